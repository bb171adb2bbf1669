"""An ONNX file as plain nodes, shapes and constants, for one sample; nothing of onnx is seen outside of this module.

The batch axis is fixed at one, shapes are inferred, and whatever depends on constants and shapes alone is computed
(`Constant`, `Shape`, and the chains of `Gather` and `Concat` that exporters put before a `Reshape`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pehealth.errors import ConfigError
from pehealth.nets.layers import Shape

EXTRA = "reading an ONNX file needs the extra: pip install 'pehealth[onnx]'"
MOST_ROUNDS = 8
LARGEST_CONSTANT = 2**26
"""Elements of what is computed from constants."""
_GROWING = ("ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample")
"""Operators whose output is as large as a constant says; computed only where shape inference knows how large."""
_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, eq=False)
class Node:
    """One operator at its place.

    Attributes:
        name: as the file has it; its output's name where it has none.
        op: the operator, with its domain where that is not ONNX's own.
        inputs, outputs: names of values; "" for an input that is left out.
        attributes: numbers, strings, lists and arrays.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def ints(self, name: str, default: list[int]) -> list[int]:
        """Return an attribute that is a list of integers."""
        return [int(v) for v in self.attributes.get(name, default)]


@dataclass(frozen=True, eq=False)
class Graph:
    """A file, read.

    Attributes:
        nodes: those that the output depends on, in order; constants are gone.
        constants: values that are known.
        shapes: of every value, the batch axis (of length one) included.
        input, output: names.
        model: the file with its batch axis fixed, serialised, for onnxruntime.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, Shape]
    input: str
    output: str
    model: bytes

    @property
    def input_shape(self) -> Shape:
        """Of one sample."""
        return self.shapes[self.input][1:]


def read_graph(path: Path) -> Graph:
    """Return the network in an ONNX file.

    Raises:
        ConfigError: onnx is not installed; the file is none; or it has several inputs or outputs, or an input whose
            shape is open beyond the batch. All such problems are listed.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError as error:
        raise ConfigError(EXTRA) from error
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
    except Exception as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{path} cannot be read as an ONNX file: {first}") from error
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    if problems := list(_interface(path, inputs, list(model.graph.output))):
        raise ConfigError(*problems)
    _fix_batch(model, inputs[0])
    try:
        constants, shapes = _fold(model)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{path}: shapes cannot be inferred for one sample: {first}") from error
    output = model.graph.output[0].name
    nodes = tuple(_needed(model, output, constants))
    if problems := list(_odd_sizes(nodes)):
        raise ConfigError(*(f"{path}: {problem}" for problem in problems))
    return Graph(nodes, constants, shapes, inputs[0].name, output, model.SerializeToString())


def _interface(path: Path, inputs: list[Any], outputs: list[Any]) -> Iterator[str]:
    for what, values in (("inputs", inputs), ("outputs", outputs)):
        if len(values) != 1:
            yield f"{path} has {len(values)} {what} ({', '.join(v.name for v in values)}); one is supported"
    for value in inputs[:1]:
        dims = value.type.tensor_type.shape.dim
        lengths = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims]
        shown = "x".join(map(str, lengths))
        if len(lengths) < 2:
            yield f"{path}: input {value.name} has shape {shown}: a batch axis and one more are needed"
        elif any(not isinstance(length, int) or length < 1 for length in lengths[1:]):
            yield f"{path}: input {value.name} has shape {shown}: all axes but the first must have fixed lengths"
        elif isinstance(lengths[0], int) and lengths[0] > 1:
            yield f"{path}: input {value.name} has a batch of {lengths[0]}: export it with an open batch axis, or one"


def _fix_batch(model: Any, value: Any) -> None:  # noqa: ANN401 - onnx's protobufs
    value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _fold(model: Any) -> tuple[dict[str, NDArray[Any]], dict[str, Shape]]:  # noqa: ANN401
    """Compute what depends on constants and shapes alone, and infer all shapes, until nothing new is known."""
    import onnx
    import onnx.numpy_helper
    import onnx.shape_inference

    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    shapes: dict[str, Shape] = {}
    for _ in range(MOST_ROUNDS):
        del model.graph.value_info[:]
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        shapes = dict(_shapes(inferred))
        found = _compute(model, constants, shapes)
        if not found:
            break
        constants |= found
        kept = [node for node in model.graph.node if not set(node.output) & set(found)]
        del model.graph.node[:]
        model.graph.node.extend(kept)
        model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in found.items())
    return constants, shapes | {name: array.shape for name, array in constants.items()}


def _shapes(model: Any) -> Iterator[tuple[str, Shape]]:  # noqa: ANN401
    graph = model.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            yield value.name, tuple(d.dim_value for d in tensor.shape.dim)


def _compute(model: Any, constants: Mapping[str, NDArray[Any]], shapes: Mapping[str, Shape]) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """Return the outputs of nodes whose inputs are all known."""
    found: dict[str, NDArray[Any]] = {}
    for node in model.graph.node:
        known = {**constants, **found}
        if node.op_type == "Shape" and node.input[0] in shapes and node.domain in _DOMAINS:
            attributes = _attributes(node)
            part = slice(attributes.get("start", 0), attributes.get("end"))
            found[node.output[0]] = np.array(shapes[node.input[0]][part], np.int64)
        elif node.domain in _DOMAINS and all(name in known for name in node.input if name) and not _subgraphs(node):
            found |= _evaluate(model, node, known) if _is_small(node, shapes) else {}
    return found


def _is_small(node: Any, shapes: Mapping[str, Shape]) -> bool:  # noqa: ANN401
    """Say whether what a node makes of constants fits: a file of a hundred bytes can ask for terabytes."""
    sizes = [math.prod(shapes[name]) for name in node.output if name in shapes]
    if len(sizes) < len(node.output) and node.op_type in _GROWING:
        return False
    return all(size <= LARGEST_CONSTANT for size in sizes)


def _subgraphs(node: Any) -> bool:  # noqa: ANN401
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _evaluate(model: Any, node: Any, known: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """Return what a node makes of constants; nothing where onnx's own evaluator cannot tell."""
    import onnx
    import onnx.reference

    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [onnx.helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(node.input) if name],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    try:
        one = onnx.helper.make_model(graph, opset_imports=list(model.opset_import))
        values = onnx.reference.ReferenceEvaluator(one).run(None, {n: known[n] for n in node.input if n})
    except Exception:  # noqa: BLE001 - then it stays a node, and is named if nothing can be done with it
        return {}
    arrays = {name: np.asarray(value) for name, value in zip(filter(None, node.output), values, strict=True)}
    return arrays if all(a.size <= LARGEST_CONSTANT for a in arrays.values()) else {}


def _needed(model: Any, output: str, constants: Mapping[str, NDArray[Any]]) -> list[Node]:  # noqa: ANN401
    """Return the nodes that the output depends on, in order."""
    wanted, out = {output}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= {name for name in node.input if name not in constants}
            op = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
            name = node.name or node.output[0]
            out.append(Node(name, op, tuple(node.input), tuple(node.output), _attributes(node)))
    return out[::-1]


def _attributes(node: Any) -> dict[str, Any]:  # noqa: ANN401
    import onnx

    out: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.type == onnx.AttributeProto.TENSOR:
            value = onnx.numpy_helper.to_array(value)
        out[attribute.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return out


def _odd_sizes(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield what is wrong with the windows of nodes: a group of zero passes onnx's own check."""
    for node in nodes:
        for name in ("kernel_shape", "strides", "dilations", "group"):
            value = node.attributes.get(name, 1)
            numbers = value if isinstance(value, list | tuple) else [value]
            if not all(isinstance(number, int) and number > 0 for number in numbers):
                yield f"node {node.name} ({node.op}) has {name} {value}: expected numbers from 1"
