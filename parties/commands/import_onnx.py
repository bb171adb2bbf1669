"""`pehealth import`: a model file from an ONNX file, checked, with digits that meet an error target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from parties.console import count, line, new_table, open_console, show_table
from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile
from pehealth import schema
from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from pehealth.data.ranges import Ranges
    from pehealth.nets.onnx_import import Imported

Range = Annotated[tuple[float, float] | None, Parameter(name="--input-range", allow_leading_hyphen=True)]
MOST_SHOWN = 4
STEPS = {
    "logits": "nothing: outputs are logits",
    "softmax": "softmax of the logits",
    "log_softmax": "logarithm of the softmax of the logits",
    "sigmoid": "sigmoid of each logit",
}


def import_model(
    file: Path,
    *,
    out: Path | None = None,
    target: float = 0.01,
    proven: bool = False,
    digits: int | None = None,
    samples: Path | None = None,
    input_range: Range = None,
    name: str = "",
    classes: str = "",
    dataset: str = "",
    json: JsonFile = None,
) -> None:
    """Import a network from an ONNX file; list all that is unsupported, or check it against onnxruntime.

    Args:
        file: The ONNX file (.onnx).
        out: Write the model to this file (.npz), for --net.
        target: Greatest error of an output, secure against onnxruntime, that the digits are chosen for.
        proven: The target must be met by proof for all readings in range, not by measurement with room to spare.
        digits: Take these digits, whatever the target.
        samples: File of readings (.csv, .npy), to measure on beside random ones.
        input_range: Lowest and highest reading (default: from the samples, with a margin; else 0 and 1).
        name: Name of the network (default: the file's).
        classes: Names of the classes, with commas between (default: their numbers).
        dataset: Data set that `run` takes samples from, as `pehealth data list` names it (default: random readings).
        json: Write the document (schema import-1) to this file; - is standard output, without the tables.
    """
    from pehealth.nets.onnx_import import Wishes, import_onnx
    from pehealth.nets.weights import save

    check_writable(json, "--json")
    check_writable(out, "--out")
    if problems := list(_problems(out, target)):
        raise ConfigError(*problems)
    low, high = input_range or (None, None)
    labels = tuple(part.strip() for part in classes.split(",")) if classes else ()
    wishes = Wishes(low, high, samples, target, proven, digits, name, labels, dataset)
    imported = import_onnx(file, wishes)
    if out is not None:
        save(imported.model, out)
    if json is not None:
        write(json, imported.to_json(file, out), schema.IMPORT)
    if json != STDOUT:
        _show(open_console(), imported, file, out)


def _problems(out: Path | None, target: float) -> list[str]:
    problems = []
    if out is not None and out.suffix != ".npz":
        problems.append(f"--out {out}: a model file ends in .npz")
    if not target > 0:
        problems.append(f"--target {target:g} must be above 0")
    return problems


def _readings(ranges: Ranges) -> str:
    """Return the ranges in words, the first few of them."""
    low, high = ranges.low, ranges.high
    if len(low) == 1:
        return f"Readings from {low[0]:g} to {high[0]:g}"
    shown = [f"{n} {a:g} to {b:g}" for n, a, b in list(zip(ranges.names, low, high, strict=True))[:MOST_SHOWN]]
    return f"Readings with a range each: {', '.join(shown)}{', ...' if len(low) > MOST_SHOWN else ''}"


def _show(console: Console, imported: Imported, file: Path, out: Path | None) -> None:
    model, p = imported.model, imported.precision
    shape = " x ".join(map(str, model.network.input_shape))
    line(
        console, f"{file}: network {model.network.name}, {shape} readings, {len(model.network.classes)} outputs", "bold"
    )
    line(console, f"{_readings(model.ranges)}; any other is refused by the sensor")
    table = new_table(
        console, "Layers", "layer", "from node", "takes", "output", "weights", "|output| seen", "at most", left=4
    )
    for layer in imported.layers():
        sizes = "x".join(map(str, layer["shape"])), count(layer["weights"]) if layer["weights"] else ""
        takes = ", ".join(map(str, layer["from"]))
        table.add_row(layer["name"], layer["node"], takes, *sizes, f"{layer['seen']:.4g}", f"{layer['bound']:.4g}")
    show_table(console, table)
    console.print()
    line(console, f"The centre's last step, in the clear: {STEPS[model.last]}")
    for what, worst in imported.difference.items():
        line(console, f"Greatest |import - onnxruntime| of an output, in floats, over {what}: {worst:.2g}")
    line(console, f"Digits: {p.digits}, ring of {p.ring} bits, for an error of an output of at most {p.target:g}")
    line(console, f"- measured, secure arithmetic imitated on the same readings: {p.measured:.2g}")
    line(console, f"- proven for all readings in range and all roundings: {p.proven:.2g}")
    if not p.meets(proven=False):
        line(console, f"!!! the measured error is not below half of the target of {p.target:g} !!!", "bold")
    if out is not None:
        line(console, f"Written to {out}: pehealth run --net {out}")
