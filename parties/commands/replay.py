"""`pehealth replay`: what a traced run takes under another network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile
from pehealth import schema
from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from pehealth.experiments.replay import Settings
    from pehealth.experiments.steps import RunTrace

Texts = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


def replay(
    file: Path,
    *,
    network: str = "wan",
    link: Texts = (),
    speed: str = "1",
    handling: str = "traced",
    phase: Literal["online", "offline", "setup"] = "online",
    sweep: bool = False,
    latencies: str = "",
    bandwidths: str = "",
    timeline: Path | None = None,
    plot: Path | None = None,
    seed: int = 1,
    json: JsonFile = None,
) -> None:
    """Compute from a trace what the run takes under another network, and why: no party runs.

    Args:
        file: What `pehealth run --trace` wrote.
        network: Of every link: lan, wan, 4g, none, or LATENCY,BANDWIDTH[,JITTER] and ",tcp" for slow start.
        link: PARTY=NETWORK for the links of one party, such as HMS1=4g.
        speed: How many times as fast everybody computes, or PARTY=FACTOR,... such as E1=2,E2=2.
        handling: What a message costs beside its network, such as 100us; "traced" is what it cost in the run.
        phase: Which phase to replay.
        sweep: Also show the time under a grid of networks.
        latencies: Of the grid, such as 1ms,20ms,100ms.
        bandwidths: Of the grid, such as 10mbit,1gbit.
        timeline: Draw the query's timeline into this file (.svg, or .png with the [plots] extra).
        plot: Draw the grid into this file (.svg, or .png with the [plots] extra).
        seed: Of the jitter.
        json: Write the document (schema replay-1) to this file; - is standard output, without the tables.
    """
    from parties.replaying import read_settings, replay_and_draw
    from parties.tracing import read_trace

    for path, flag in ((timeline, "--timeline"), (plot, "--plot"), (json, "--json")):
        check_writable(path, flag)
    trace: RunTrace = read_trace(file)
    if not trace.phase(phase):
        raise ConfigError(f"{file} holds no query in the {phase} phase")
    settings: Settings = read_settings(trace, network, link, speed, handling, seed)
    grid = (latencies, bandwidths) if sweep or plot or latencies or bandwidths else None
    result = replay_and_draw(trace, settings, phase, grid, timeline, plot)
    if json is not None:
        write(json, result.to_json(), schema.REPLAY)
    if json != STDOUT:
        from parties.console import open_console
        from parties.render_replay import show

        show(open_console(), result)
