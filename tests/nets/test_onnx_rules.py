"""Every supported operator and its attributes, one small graph each, against onnxruntime; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pehealth.errors import ConfigError, UnsupportedLayer
from pehealth.nets.onnx_import import Imported, Wishes, import_onnx

RNG = np.random.default_rng(1)


def weights(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


class Builder:
    """A graph, node after node; `x` is the input."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.nodes, self.constants, self.last = shape, [], [], "x"

    def add(self, op: str, *inputs: str | np.ndarray, outputs: int = 1, **attributes: object) -> str:
        names = []
        for value in inputs:
            if isinstance(value, str):
                names.append(value)
            else:
                names.append(f"c{len(self.constants)}")
                self.constants.append(numpy_helper.from_array(value, names[-1]))
        self.last = f"v{len(self.nodes)}"
        made = [self.last, *(f"{self.last}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, names, made, name=f"n{len(self.nodes)}", **attributes))
        return self.last

    def then(self, op: str, *inputs: str | np.ndarray, **attributes: object) -> Builder:
        self.add(op, self.last, *inputs, **attributes)
        return self

    def dense(self, units: int = 2) -> Builder:
        """End in a dense layer over everything."""
        size = int(np.prod(self.out_shape() if self.nodes else self.shape))
        return self.then("Flatten").then("Gemm", weights(units, size), weights(units), transB=1)

    def out_shape(self) -> list[int]:
        dims = self.model().graph.output[0].type.tensor_type.shape.dim
        return [d.dim_value for d in dims[1:]]

    def model(self, batch: int | str = 1) -> onnx.ModelProto:
        given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *self.shape])]
        graph = helper.make_graph(
            self.nodes, "g", given, [helper.make_empty_tensor_value_info(self.last)], self.constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        found = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.output}
        model.graph.output[0].CopyFrom(found[self.last])
        return model

    def load(self, folder: Path, wishes: Wishes | None = None) -> Imported:
        onnx.save(self.model("n"), folder / "g.onnx")
        return import_onnx(folder / "g.onnx", wishes)


def conv(shape: tuple[int, ...], kernel: tuple[int, ...], **attributes: object) -> Builder:
    return Builder(*shape).then("Conv", weights(*kernel), weights(kernel[0]), **attributes).then("Relu").dense()


def after_conv(op: str, *inputs: np.ndarray, shape: tuple[int, ...] = (2, 9, 8), **attributes: object) -> Builder:
    kernel = weights(3, shape[0], *(2,) * (len(shape) - 1))
    return Builder(*shape).then("Conv", kernel, weights(3)).then(op, *inputs, **attributes)


def two(op: str) -> Builder:
    b = Builder(2, 6)
    first = b.add("Conv", "x", weights(3, 2, 3), pads=[1, 1])
    second = b.add("Relu", b.add("Conv", "x", weights(3, 2, 1)))
    b.add(op, first, second)
    return b


GOOD = {
    "conv1d strides pads": lambda: conv((2, 11), (3, 2, 3), strides=[2], pads=[2, 1]),
    "conv1d dilated": lambda: conv((2, 11), (3, 2, 3), dilations=[3]),
    "conv2d asymmetric": lambda: conv((2, 7, 9), (3, 2, 3, 2), strides=[2, 3], pads=[1, 0, 2, 1]),
    "conv2d groups dilated": lambda: conv((4, 7, 7), (6, 2, 3, 3), group=2, dilations=[2, 1], pads=[1, 1, 1, 1]),
    "conv2d same upper": lambda: conv((1, 7, 8), (2, 1, 4, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv2d same lower": lambda: conv((1, 7, 8), (2, 1, 4, 2), auto_pad="SAME_LOWER"),
    "conv2d valid": lambda: conv((1, 7, 8), (2, 1, 4, 2), auto_pad="VALID"),
    "gemm factors": lambda: Builder(5).then("Gemm", weights(5, 3), weights(3), alpha=0.5, beta=2.0),
    "gemm scalar bias": lambda: Builder(5).then("Gemm", weights(5, 3), weights(1)),
    "matmul": lambda: Builder(5).then("MatMul", weights(5, 3)).then("Add", weights(3)),
    "matmul at positions": lambda: Builder(4, 5).then("MatMul", weights(5, 3)).then("Relu").dense(),
    "matmul at positions, bias": lambda: Builder(2, 2, 5).then("MatMul", weights(5, 3)).then("Add", weights(3)).dense(),
    "linear layers composed": lambda: Builder(6).then("MatMul", weights(6, 4)).then("MatMul", weights(4, 3)),
    "conv and conv of one": lambda: conv((2, 9), (3, 2, 3)).then("Relu"),
    "conv after conv": lambda: after_conv("Conv", weights(2, 3, 3, 3), weights(2), pads=[1] * 4).then("Relu").dense(),
    "conv one after conv": lambda: after_conv("Conv", weights(2, 3, 1, 1), weights(2)).then("Relu").dense(),
    "norm after padded conv": lambda: Builder(2, 8).then("Conv", weights(3, 2, 3), pads=[1, 1]).then(
        "BatchNormalization", *(np.abs(weights(3)) + 0.5 for _ in range(4))).then("Relu").dense(),
    "norm before padded conv": lambda: Builder(2, 8).then(
        "BatchNormalization", *(np.abs(weights(2)) + 0.5 for _ in range(4))
        ).then("Conv", weights(3, 2, 3), pads=[1, 1]).then("Relu").dense(),
    "norm after a sum": lambda: two("Add").then(
        "BatchNormalization", *(np.abs(weights(3)) + 0.5 for _ in range(4))).then("Relu").dense(),
    "norm behind relu and pools": lambda: after_conv("Relu").then("MaxPool", kernel_shape=[2, 2]).then(
        "BatchNormalization", *(np.abs(weights(3)) + 0.5 for _ in range(4))
        ).then("AveragePool", kernel_shape=[2, 2]).dense(),
    "a factor for each element": lambda: Builder(7).then("Mul", weights(7)).then("Relu").dense(),
    "a shift of each element": lambda: after_conv("Add", weights(3, 8, 7)).then("Relu").dense(),
    "a factor for all": lambda: Builder(2, 8).then("Mul", np.float32(0.5)).then(
        "Conv", weights(3, 2, 3), pads=[1, 1]).then("Relu").dense(),
    "readings normalised": lambda: Builder(2, 8).then("Sub", np.float32(0.45)).then("Div", np.float32(0.22)).then(
        "Conv", weights(3, 2, 3), pads=[1, 1]).then("Relu").dense(),
    "one less x": lambda: Builder(6).then("MatMul", weights(6, 4)).then("Neg").then("Relu").dense(),
    "add": lambda: two("Add").then("Relu").dense(),
    "sub": lambda: two("Sub").dense(),
    "sum": lambda: two("Sum").then("Relu").dense(),
    "concat": lambda: (b := two("Add"), b.add("Concat", "v0", "v2", "v3", axis=1), b.dense())[-1],
    "concat along": lambda: (b := two("Add"), b.add("Concat", "v0", "v2", axis=-1), b.then("Relu").dense())[-1],
    "concat of many": lambda: (b := two("Add"), b.add("Concat", *("v0", "v2", "v3") * 4, axis=1), b.dense())[-1],
    "max pool overlapping": lambda: after_conv("Relu").then(
        "MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 1, 0, 0]).dense(),
    "max pool before relu": lambda: after_conv("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4).then(
        "Relu").dense(),
    "max pool ceil": lambda: after_conv("Relu").then(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1).dense(),
    "max pool 1d": lambda: after_conv("Relu", shape=(2, 9)).then("MaxPool", kernel_shape=[3]).dense(),
    "max pool of values below 0": lambda: after_conv("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).dense(),
    "average pool": lambda: after_conv("Relu").then("AveragePool", kernel_shape=[3, 2], strides=[1, 2]).dense(),
    "average pool padding counted": lambda: after_conv("Relu").then(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1).dense(),
    "average pool padding not counted": lambda: after_conv("Relu").then(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4).dense(),
    "average pool ceil": lambda: after_conv("Relu").then(
        "AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1).dense(),
    "average pool of linear": lambda: after_conv("AveragePool", kernel_shape=[2, 2]).then("Relu").dense(),
    "global average": lambda: after_conv("GlobalAveragePool").then("Relu").dense(),
    "global max": lambda: after_conv("Relu").then("GlobalMaxPool").dense(),
    "reduce mean": lambda: after_conv("Relu").then("ReduceMean", np.array([2, 3]), keepdims=0).dense(),
    "reduce mean over channels": lambda: after_conv("Relu").then("ReduceMean", np.array([1])).dense(),
    "reduce max": lambda: after_conv("Relu").then("ReduceMax", np.array([-1, 1]), keepdims=0).dense(),
    "ends in a mean": lambda: Builder(2, 8).then("Conv", weights(3, 2, 3)).then("GlobalAveragePool").then("Flatten"),
    "ends in a relu": lambda: Builder(5).then("MatMul", weights(5, 3)).then("Relu"),
    "ends in a transpose": lambda: Builder(3, 5).then("MatMul", weights(5, 2)).then("Transpose", perm=[0, 2, 1]),
    "transpose flatten": lambda: after_conv("Relu").then("Transpose", perm=[0, 3, 1, 2]).dense(),
    "channels last": lambda: Builder(6, 5, 2).then("Transpose", perm=[0, 3, 1, 2]).then(
        "Conv", weights(3, 2, 3, 3)).then("Relu").dense(),
    "reshape": lambda: Builder(24).then("Reshape", np.array([-1, 2, 3, 4])).then(
        "Conv", weights(3, 2, 2, 2)).then("Relu").dense(),
    "squeeze and unsqueeze": lambda: Builder(1, 9).then("Squeeze", np.array([1])).then("Unsqueeze", np.array([1])).then(
        "Conv", weights(3, 1, 2)).then("Relu").dense(),
    "pad": lambda: Builder(2, 6, 5).then("Pad", np.array([0, 0, 1, 2, 0, 0, 0, 1])).then(
        "Conv", weights(3, 2, 3, 3)).then("Relu").dense(),
    "pad of some axes": lambda: Builder(2, 6, 5).then(
        "Pad", np.array([1, 2]), np.float32(0), np.array([-1])).then("Conv", weights(3, 2, 3, 3)).then("Relu").dense(),
    "a sample with four axes": lambda: Builder(1, 2, 5, 4).then("Transpose", perm=[0, 3, 1, 2, 4]).then(
        "Reshape", np.array([0, 5, 2, 4])).then("Conv", weights(3, 5, 2, 2), pads=[1] * 4).then("Relu").dense(),
    "dropout and identity": lambda: Builder(6).then("Dropout").then("Identity").dense(),
    "leaky": lambda: after_conv("LeakyRelu", alpha=0.2).dense(),
    "leaky, conv": lambda: after_conv("LeakyRelu", alpha=0.01).then("Conv", weights(2, 3, 3, 3)).then("Relu").dense(),
    "prelu": lambda: after_conv("PRelu", np.float32([[[0.25]]])).then("MaxPool", kernel_shape=[2, 2]).dense(),
    "relu6": lambda: after_conv("Clip", np.float32(0), np.float32(0.5)).dense(),
    "clip": lambda: after_conv("Clip", np.float32(-0.25), np.float32(0.5)).then("Conv", weights(2, 3, 2, 2)).dense(),
    "clip below": lambda: after_conv("Clip", np.float32(-0.25)).dense(),
    "clip above": lambda: after_conv("Clip", "", np.float32(0.25)).dense(),
    "hard sigmoid": lambda: after_conv("HardSigmoid", alpha=0.5, beta=0.4).dense(),
    "abs": lambda: after_conv("Abs").dense(),
    "softmax": lambda: Builder(6).dense(4).then("Softmax"),
    "log softmax": lambda: Builder(6).dense(4).then("LogSoftmax", axis=1),
    "sigmoid": lambda: Builder(6).dense(1).then("Sigmoid"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("limits", [(None, None), (-1.5, 2.0)])
def test_an_operator_is_imported_as_onnxruntime_has_it(tmp_path, name, limits):
    """`import_onnx` itself compares with onnxruntime and raises; the digits then meet the target, too."""
    imported = GOOD[name]().load(tmp_path, Wishes(*limits, target=0.05))
    assert imported.difference["random readings"] < 1e-4
    assert imported.precision.measured < 0.05


def test_batch_normalisation_leaves_no_layer_behind(tmp_path):
    imported = GOOD["norm after padded conv"]().load(tmp_path)
    assert [p.kind for p in imported.model.network.placed] == ["conv1d", "relu", "dense"]
    behind = GOOD["norm behind relu and pools"]().load(tmp_path)
    assert [p.kind for p in behind.model.network.placed] == ["conv2d", "relu", "maxpool", "meanpool", "dense"]


def test_two_linear_layers_become_one_and_a_rescale_stands_between_others(tmp_path):
    def kinds(name: str) -> list[str]:
        return [p.kind for p in GOOD[name]().load(tmp_path).model.network.placed]

    assert kinds("linear layers composed") == ["dense"]
    assert kinds("conv one after conv") == ["conv2d", "relu", "dense"]
    assert kinds("conv after conv") == ["conv2d", "rescale", "conv2d", "relu", "dense"]


BAD = {
    "Conv over one or two axes": lambda: Builder(1, 4, 4, 4).then("Conv", weights(2, 1, 2, 2, 2)).dense(),
    "mode constant": lambda: Builder(1, 6).then("Pad", np.array([0, 0, 1, 0, 0, 1]), mode="reflect").dense(),
    "padding with zeros": lambda: Builder(6).then("Pad", np.array([0, 1, 0, 0]), np.float32(1)).dense(),
    "nothing cut off": lambda: Builder(6).then("Pad", np.array([0, -1, 0, 0])).dense(),
    "a ReLU right before or right after it": lambda: after_conv("MaxPool", kernel_shape=[2, 2], pads=[1] * 4).dense(),
    "no dilation": lambda: after_conv("Relu").then("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]).dense(),
    "without indices": lambda: after_conv("Relu").then("MaxPool", kernel_shape=[2, 2], outputs=2).dense(),
    "a slope p / q": lambda: after_conv("LeakyRelu", alpha=0.123456).dense(),
    "one slope for all channels": lambda: after_conv("PRelu", weights(3, 1, 1)).dense(),
    "as the last node": lambda: Builder(6).dense(4).then("Softmax").dense(),
    "weights": lambda: (b := Builder(4, 4), b.add("MatMul", "x", b.add("Relu", "x")), b)[-1],
    "not multiplied with one another": lambda: two("Mul").dense(),
    "values of one shape": lambda: (
        b := two("Add"), b.add("Add", "v0", b.add("GlobalAveragePool", "v3")), b.dense())[-1],
    "the batch axis left alone": lambda: Builder(6).then("Transpose").then("Relu"),
    "nothing: leave it out": lambda: Builder(6).dense(4).then("ArgMax", axis=1),
    "docs/onnx.md": lambda: Builder(6).dense(4).then("Sin"),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_expressed_is_refused_with_the_nearest_form(tmp_path, message):
    with pytest.raises(UnsupportedLayer, match=message):
        BAD[message]().load(tmp_path)


def test_a_network_without_weights_is_refused(tmp_path):
    with pytest.raises(UnsupportedLayer, match="nothing to keep secret"):
        Builder(6).then("Relu").load(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([("x", [1, 3]), ("y", [1, 3])], r"has 2 inputs \(x, y\); one is supported"),
        ([("x", ["n", "m"])], "input x has shape nxm: all axes but the first must have fixed lengths"),
        ([("x", [4, 3])], "has a batch of 4"),
        ([("x", [3])], "a batch axis and one more are needed"),
    ],
)
def test_interfaces_that_cannot_be_used_are_named(tmp_path, inputs, message):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    nodes = [helper.make_node("Relu", ["x"], ["o"])]
    graph = helper.make_graph(nodes, "g", values, [helper.make_tensor_value_info("o", TensorProto.FLOAT, inputs[0][1])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "g.onnx")
    with pytest.raises(ConfigError, match=message):
        import_onnx(tmp_path / "g.onnx")
