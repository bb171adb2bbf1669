"""From the nodes of an ONNX file to operations of ours; every node that cannot be expressed is listed, at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pehealth.errors import UnsupportedLayer
from pehealth.nets.last import Last
from pehealth.nets.layers import Relu, Reshape, Transpose
from pehealth.nets.onnx_graph import Graph, Node
from pehealth.nets.onnx_linear import LINEAR_RULES
from pehealth.nets.onnx_ops import Input, Op, Unknown, in_order, users
from pehealth.nets.onnx_pools import PADDED_MAX, POOL_RULES
from pehealth.nets.onnx_rules import RULES, Context, Unsupported

FINAL: dict[str, Last] = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
"""What the centre does to the logits, if it is the file's last node."""
MOST_AXES = 3
"""Of a sample as networks are described; an input with more is taken flat."""
AT_THE_END = "as the last node, where the centre does it"
NEAREST = {
    "Sigmoid": f"{AT_THE_END}; or HardSigmoid",
    "Softmax": AT_THE_END,
    "LogSoftmax": AT_THE_END,
    "Tanh": "Clip from -1 to 1 (hardtanh)",
    "Erf": "Relu in place of Gelu",
    "Gelu": "Relu",
    "Elu": "LeakyRelu",
    "Selu": "LeakyRelu",
    "Softplus": "Relu",
    "Mish": "Relu",
    "HardSwish": "Relu or Clip",
    "LSTM": "Conv over time",
    "GRU": "Conv over time",
    "RNN": "Conv over time",
    "ConvTranspose": "Conv",
    "LayerNormalization": "BatchNormalization, folded into weights",
    "InstanceNormalization": "BatchNormalization, folded into weights",
    "GroupNormalization": "BatchNormalization, folded into weights",
    "LRN": "BatchNormalization, folded into weights",
    "ArgMax": "nothing: leave it out, the centre takes the class of the logits",
    "Pow": "Relu: values are not multiplied with one another",
    "Einsum": "MatMul with constant weights",
    "Attention": "Conv or MatMul with constant weights",
    "Gather": "Reshape or Transpose; nothing is cut off",
    "Slice": "a stride of Conv or a pool; nothing is cut off",
    "Split": "separate Conv or MatMul of the whole",
    "Resize": "Conv",
    "Upsample": "Conv",
}


@dataclass(frozen=True)
class Problem:
    """A node that cannot be expressed.

    Attributes:
        node, op, shape: which one, what it does, the shape of its first input.
        nearest: the nearest form that is supported.
    """

    node: str
    op: str
    shape: str
    nearest: str

    def __str__(self) -> str:
        return f"node {self.node}: {self.op} on {self.shape} is not supported; nearest: {self.nearest}"


@dataclass(frozen=True, eq=False)
class Lowered:
    """A file in operations of ours.

    Attributes:
        input, output: the first operation and the last.
        last: what the centre does to the output.
    """

    input: Op
    output: Op
    last: Last


def lower(graph: Graph) -> Lowered:
    """Return the operations of a file.

    Raises:
        UnsupportedLayer: with every node that cannot be expressed: its name, operator, shape, nearest supported form.
    """
    shape = graph.input_shape if len(graph.input_shape) <= MOST_AXES else (math.prod(graph.input_shape),)
    entry = Op(Input(), [], shape)
    ctx = Context(graph, {graph.input: entry})
    nodes, last = _without_last(graph)
    problems: list[Problem] = []
    for node in nodes:
        try:
            ctx.values[node.outputs[0]] = _rule(ctx, node)
        except (Unsupported, ValueError, TypeError, LookupError) as refused:
            nearest = str(refused) if isinstance(refused, Unsupported) else f"attributes that fit ({refused!r})"
            problems.append(Problem(node.name, node.op, _shown(graph, node.inputs), nearest))
            for name in node.outputs:
                ctx.values[name] = Op(Unknown(), [entry], _sample(graph, name), node.name)
    name = nodes[-1].outputs[0] if nodes else graph.input
    output = ctx.values[name]
    problems += [
        Problem(op.node, "MaxPool with padding", "x".join(map(str, op.source.source.shape)), PADDED_MAX)
        for op in _unsound(output)
    ]
    if problems:
        raise UnsupportedLayer(*map(str, problems))
    return Lowered(entry, output, last)


def _without_last(graph: Graph) -> tuple[list[Node], Last]:
    """Return the nodes without a final softmax or the like over the classes, and which it was."""
    nodes = list(graph.nodes)
    while nodes and nodes[-1].op in ("Identity", "Flatten", "Reshape", "Squeeze", "Cast") and len(nodes) > 1:
        if nodes[-2].op not in FINAL:
            break
        nodes.pop()
    if not nodes or nodes[-1].op not in FINAL:
        return list(graph.nodes), "logits"
    node = nodes[-1]
    shape = graph.shapes.get(node.inputs[0], ())
    whole = len(shape) > 1 and shape[-1] == math.prod(shape)
    axis = int(node.attributes.get("axis", -1))
    along = node.op == "Sigmoid" or axis in (-1, len(shape) - 1) or (axis == 1 and whole)
    return (nodes[:-1], FINAL[node.op]) if whole and along else (list(graph.nodes), "logits")


def _rule(ctx: Context, node: Node) -> Op:
    rule = {**RULES, **LINEAR_RULES, **POOL_RULES}.get(node.op)
    if rule is None:
        raise Unsupported(NEAREST.get(node.op, "none; docs/onnx.md lists what is supported"))
    return rule(ctx, node)


def _unsound(output: Op) -> list[Op]:
    """Return the padded max pools for which a zero is not as good as minus infinity."""
    ops = in_order(output)
    takers = users(ops)

    def clipped(op: Op) -> bool:
        behind = takers[id(op)]
        return bool(behind) and all(
            isinstance(user.layer, Relu | Unknown) or (isinstance(user.layer, Reshape | Transpose) and clipped(user))
            for user in behind
        )

    return [
        op
        for op in ops
        if op.padded
        and not (op.source.source.nonnegative or isinstance(op.source.source.layer, Unknown) or clipped(op))
    ]


def _shown(graph: Graph, names: tuple[str, ...]) -> str:
    shape = graph.shapes.get(next((n for n in names if n not in graph.constants), ""), ())
    return "x".join(map(str, shape[1:])) or "?"


def _sample(graph: Graph, name: str) -> tuple[int, ...]:
    return graph.shapes.get(name, (1, 1))[1:] or (1,)
