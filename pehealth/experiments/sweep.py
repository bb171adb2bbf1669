"""One traced query under many networks: a grid of latencies and bandwidths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pehealth.experiments.replay import Settings, replay
from pehealth.experiments.steps import QueryTrace

LATENCIES = (0.1e-3, 0.5e-3, 1e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3)
"""Seconds, one way."""
BANDWIDTHS = (1e6 / 8, 10e6 / 8, 100e6 / 8, 1e9 / 8, 10e9 / 8)
"""Bytes a second."""


@dataclass(frozen=True)
class Grid:
    """Seconds of one query: a row for each latency, a column for each bandwidth."""

    latencies: tuple[float, ...]
    bandwidths: tuple[float, ...]
    seconds: tuple[tuple[float, ...], ...]


def sweep(
    query: QueryTrace,
    settings: Settings,
    latencies: Sequence[float] = LATENCIES,
    bandwidths: Sequence[float] = BANDWIDTHS,
) -> Grid:
    """Return what the query takes under each network, all else as in `settings`."""

    def seconds(latency: float, bandwidth: float) -> float:
        network = replace(settings.network, latency=latency, bandwidth=bandwidth)
        return replay([query], replace(settings, network=network))[0].seconds

    rows = tuple(tuple(seconds(latency, bandwidth) for bandwidth in bandwidths) for latency in latencies)
    return Grid(tuple(latencies), tuple(bandwidths), rows)
