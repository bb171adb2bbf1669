"""The document of `pehealth replay --json`: pehealth/schema/replay-1.json."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from pehealth import __version__
from pehealth.errors import ConfigError
from pehealth.experiments.critical import Piece, by_layer, critical_path, totals
from pehealth.experiments.replay import Replayed, Settings, replay, typical
from pehealth.experiments.steps import Phase, RunTrace
from pehealth.experiments.sweep import Grid
from transport.network import Network

SCHEMA = 1


@dataclass(frozen=True)
class ReplayResult:
    """What a trace takes under other settings.

    Attributes:
        trace: what was replayed.
        phase: of the queries below.
        settings: under what.
        as_traced: what the same replay gives under the trace's own network, at its own speed.
        queries: every query.
        shown: the one whose path is shown: that with the median time.
        path: its critical path.
        grid: the same query under a grid of networks, if one was asked for.
    """

    trace: RunTrace
    phase: Phase
    settings: Settings
    as_traced: float
    queries: tuple[Replayed, ...]
    shown: Replayed
    path: tuple[Piece, ...]
    grid: Grid | None = None

    @property
    def seconds(self) -> float:
        """The median over the queries (the lower of two)."""
        return median_low(q.seconds for q in self.queries)

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        trace, settings = self.trace, self.settings
        return {
            "schema": SCHEMA,
            "version": __version__,
            "command": "replay",
            "net": trace.net,
            "engine": trace.engine,
            "clock": trace.clock,
            "machine": dataclasses.asdict(trace.machine),
            "security": {**dataclasses.asdict(trace.security), "reveals": list(trace.security.reveals)},
            "phase": self.phase,
            "network": _network(settings.network),
            "links": {party: _network(network) for party, network in settings.links.items()},
            "speed": dict(settings.speed),
            "handling": settings.handling,
            "as_traced": self.as_traced,
            "seconds": self.seconds,
            "queries": [{"query": q.trace.query, "seconds": q.seconds} for q in self.queries],
            "shown": self.shown.trace.query,
            "totals": dict(totals(self.path)),
            "by_layer": [
                {"party": party, "layer": trace.layers[layer], **row}
                for (party, layer), row in by_layer(self.path).items()
            ],
            "path": [
                {**dataclasses.asdict(piece), "layer": trace.layers[piece.layer], "peer": piece.peer or None}
                for piece in self.path
            ],
            "grid": _grid(self.grid),
        }


def replay_result(
    trace: RunTrace, settings: Settings, own: Settings, phase: Phase = "online", grid: Grid | None = None
) -> ReplayResult:
    """Return what the phase takes under `settings`; `own` are those of the traced run.

    Raises:
        ConfigError: the trace has no query in this phase.
    """
    queries = trace.phase(phase)
    if not queries:
        raise ConfigError(f"this trace has no query in the {phase} phase: trace a run that makes one")
    done = replay(queries, settings, trace.in_flight if phase == "online" else 1)
    before = replay(queries, own, trace.in_flight if phase == "online" else 1)
    shown = typical(done)
    path = critical_path(shown, settings.handling)
    return ReplayResult(trace, phase, settings, typical(before).seconds, done, shown, path, grid)


def _network(network: Network) -> Mapping[str, float | None]:
    return {**dataclasses.asdict(network), "bandwidth": None if math.isinf(network.bandwidth) else network.bandwidth}


def _grid(grid: Grid | None) -> Mapping[str, object] | None:
    if grid is None:
        return None
    return {
        "latencies": list(grid.latencies),
        "bandwidths": list(grid.bandwidths),
        "seconds": [list(row) for row in grid.seconds],
    }
