"""From the words of `pehealth replay` to settings, and from those to a result and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pehealth.errors import ConfigError
from pehealth.experiments.chart import log_chart
from pehealth.experiments.replay import Settings, handling_of
from pehealth.experiments.replay_record import ReplayResult, replay_result
from pehealth.experiments.steps import Phase, RunTrace
from pehealth.experiments.sweep import BANDWIDTHS, LATENCIES, Grid, sweep
from pehealth.experiments.timeline import timeline
from pehealth.experiments.units import duration, rate
from transport.network import Network, parse_network

AS_TRACED = "traced"


def read_settings(
    trace: RunTrace, network: str, links: Sequence[str], speed: str, handling: str, seed: int
) -> Settings:
    """Return the settings behind the words of the command line.

    Raises:
        ConfigError: words that mean nothing, or name a party that is not in the trace; all are listed.
    """
    problems: list[str] = []
    parts = {}
    for text in links:
        party, _, words = text.partition("=")
        problems += _unknown(trace, party, "--link")
        parts[party] = _network(words, "--link", problems)
    settings = Settings(
        _network(network, "--network", problems),
        parts,
        _speeds(trace, speed, problems),
        handling_of(trace) if handling == AS_TRACED else _network(handling, "--handling", problems).latency,
        f"replay {seed}".encode(),
    )
    if problems:
        raise ConfigError(*problems)
    return settings


def replay_and_draw(
    trace: RunTrace,
    settings: Settings,
    phase: Phase = "online",
    grid: tuple[str, str] | None = None,
    timeline_file: Path | None = None,
    plot_file: Path | None = None,
) -> ReplayResult:
    """Replay, and draw what was asked for; `grid` holds latencies and bandwidths as texts, empty for the usual ones.

    Raises:
        ConfigError: a text that means nothing; a picture that cannot be written.
    """
    result = replay_result(trace, settings, own_settings(trace), phase)
    if grid is not None:
        result = replace(result, grid=_grid(result, *grid))
    title = f"{trace.net} on engine {trace.engine}, {network_words(settings.network)}"
    if timeline_file is not None:
        words = _warned(f"{title}: {duration(result.shown.seconds)}", trace)
        timeline(result.shown, result.path, trace.parties, trace.layers, words).save(timeline_file)
    if plot_file is not None and result.grid is not None:
        lines = {
            rate(bandwidth): [
                (latency, row[column]) for latency, row in zip(result.grid.latencies, result.grid.seconds, strict=True)
            ]
            for column, bandwidth in enumerate(result.grid.bandwidths)
        }
        words = _warned(f"{trace.net} on engine {trace.engine}: time of a query", trace)
        log_chart(words, lines, x_label="latency, one way", y_label="time", x_text=duration, y_text=duration).save(
            plot_file
        )
    return result


def own_settings(trace: RunTrace) -> Settings:
    """Return the settings of the traced run itself."""
    return Settings(parse_network(trace.parameters.network or "none"), handling=handling_of(trace))


def network_words(network: Network) -> str:
    """Return for instance "20 ms, 100 Mbit/s"."""
    jitter = f", up to {duration(network.jitter)} of jitter" if network.jitter else ""
    tcp = ", TCP's slow start" if network.slow_start else ""
    return f"{duration(network.latency)}, {rate(network.bandwidth)}{jitter}{tcp}"


def _grid(result: ReplayResult, latencies: str, bandwidths: str) -> Grid:
    problems: list[str] = []
    rows = [_network(text, "--latencies", problems).latency for text in latencies.split(",") if text]
    columns = [_network(f"0ms,{text}", "--bandwidths", problems).bandwidth for text in bandwidths.split(",") if text]
    if problems:
        raise ConfigError(*problems)
    return sweep(result.shown.trace, result.settings, rows or LATENCIES, columns or BANDWIDTHS)


def _network(text: str, flag: str, problems: list[str]) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        problems.append(f"{flag}: {error}")
        return Network()


def _speeds(trace: RunTrace, text: str, problems: list[str]) -> dict[str, float]:
    speeds = {}
    for part in text.split(","):
        party, _, factor = part.rpartition("=")
        try:
            value = float(factor)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            problems.append(f"--speed: expected a factor above 0, or PARTY=FACTOR,... such as E1=2,E2=2; came {part!r}")
        problems += _unknown(trace, party, "--speed") if party else []
        speeds.update(dict.fromkeys([party] if party else trace.parties, value))
    return {party: factor for party, factor in speeds.items() if factor != 1.0}


def _unknown(trace: RunTrace, party: str, flag: str) -> list[str]:
    return (
        [] if party in trace.parties else [f"{flag}: {party!r} is no party of this trace: {', '.join(trace.parties)}"]
    )


def _warned(title: str, trace: RunTrace) -> str:
    return f"{title} (INSECURE: {trace.parameters.group})" if trace.security.insecure else title
