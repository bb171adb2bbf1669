"""`pehealth scale`: how rounds, bytes, material and time grow, up to networks far too large to run here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile
from parties.progress import show_progress
from pehealth import schema
from pehealth.config import Engine, GroupName

if TYPE_CHECKING:
    from pehealth.experiments.scale import ScaleResult

Families = Annotated[tuple[Literal["image", "channels", "depth", "batch"], ...], Parameter(consume_multiple=True)]
Networks = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


def scale(
    *,
    over: Families = ("image", "channels", "depth", "batch"),
    engine: Engine = Engine.RLWE,
    ring: int | None = None,
    digits: int | None = None,
    group: GroupName = GroupName.TOY32,
    walk: int = 10,
    networks: Networks = ("lan", "wan", "4g"),
    trace: Path | None = None,
    plot: Path | None = None,
    json: JsonFile = None,
) -> None:
    """Compute how costs grow with image size, channels, depth and batch: counts from plans, times from replays of them.

    Nothing runs but small layers, whose times are measured first. The networks have no weights, so ring and digits
    are what you say, not what bounds prove.

    Args:
        over: What grows.
        engine: How linear layers are computed.
        ring: Bits k of the ring (default: 40; 32 for paper).
        digits: Decimal digits d (default: 4; 1 for paper).
        group: Group of paper. toy32 is INSECURE; in any other no such network could be computed in a lifetime.
        walk: Window w of paper's share conversion.
        networks: Under which times are replayed: lan, wan, 4g, or LATENCY,BANDWIDTH.
        trace: Write the trace of the largest network of the first family to this file, for `pehealth replay`.
        plot: Draw each family into a file of this name with the family's before the ending (.svg, or .png with the
            [plots] extra).
        json: Write the document (schema scale-1) to this file; - is standard output, without the tables.
    """
    from parties.scaling import draw, run_scale, scale_parameters

    for path, flag in ((trace, "--trace"), (plot, "--plot"), (json, "--json")):
        check_writable(path, flag)
    parameters = scale_parameters(engine, ring, digits, group, walk)
    with show_progress() as progress:
        result: ScaleResult = run_scale(over, parameters, networks, trace, progress)
    if plot is not None:
        draw(result, plot)
    if json is not None:
        write(json, result.to_json(), schema.SCALE)
    if json != STDOUT:
        from parties.console import open_console
        from parties.render_scale import show

        show(open_console(), result)
