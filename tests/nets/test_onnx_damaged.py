"""ONNX files that were damaged or made to hurt: a documented error, or a network that is checked as any other."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzzing.tamper import cuts, flips

from pehealth.errors import ConfigError, RangeError, UnsupportedLayer
from pehealth.nets.onnx_import import import_onnx

VECTORS = Path(__file__).parent.parent / "vectors" / "onnx"


def test_no_groups_at_all_name_their_node(tmp_path: Path) -> None:
    path = tmp_path / "zero.onnx"
    onnx = pytest.importorskip("onnx")
    model = onnx.load(VECTORS / "avgpool.onnx")
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    next(a for a in node.attribute if a.name == "group").i = 0
    onnx.save(model, path)
    with pytest.raises(ConfigError, match=r"zero.onnx: node .* \(Conv\) has group 0: expected numbers from 1"):
        import_onnx(path)


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand", "Tile", "Range"])
def test_a_constant_of_terabytes_is_not_made(op: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, array, count = onnx.helper, onnx.numpy_helper.from_array, 10**12
    constants = {"shape": np.array([count]), "one": np.ones(1, np.float32)}
    if op == "Range":
        constants = {"from": np.float32(0), "to": np.float32(count), "by": np.float32(1)}
    taken = {"ConstantOfShape": ["shape"], "Range": ["from", "to", "by"]}.get(op, ["one", "shape"])
    nodes = [
        helper.make_node(op, taken, ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    inputs, outputs = ([helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", 4])] for n in "xy")
    values = [array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "bomb", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "bomb.onnx")
    tracemalloc.start()
    with pytest.raises(UnsupportedLayer, match=f"{op} on"):
        import_onnx(tmp_path / "bomb.onnx")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 64 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avgpool", "clip_leaky", "maxpool"])
def test_damage_all_over_a_file(name: str, tmp_path: Path) -> None:
    data, path, ends = (VECTORS / f"{name}.onnx").read_bytes(), tmp_path / "damaged.onnx", Counter[str]()
    for _, damaged in (*flips(data, 53), *cuts(data)):
        path.write_bytes(damaged)
        try:
            import_onnx(path)
            ends["imported"] += 1
        except (ConfigError, RangeError):
            ends["refused"] += 1
    assert ends["refused"] > 0
    assert ends["imported"] > 0
