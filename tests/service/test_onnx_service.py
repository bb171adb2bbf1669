"""Networks from ONNX, residual and with a softmax, as services: digits, targets and last steps travel with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from service_clinic import Clinic

from pehealth.config import Engine
from pehealth.crypto.prg import Prg
from pehealth.nets.onnx_check import onnxruntime_outputs
from pehealth.nets.onnx_graph import read_graph
from pehealth.nets.onnx_import import Wishes, import_onnx

VECTORS = Path(__file__).parent.parent / "vectors" / "onnx"
TARGET = 0.01


@pytest.mark.slow
async def test_a_residual_network_and_one_with_a_softmax_answer_as_onnxruntime_does(clinic: Clinic) -> None:
    await clinic.start()
    for name, engine, high in (("ecg_residual", Engine.RLWE, 2.0), ("dropout_softmax", Engine.DEALT, 1.0)):
        path = VECTORS / f"{name}.onnx"
        imported = import_onnx(path, Wishes(-1.0, high, target=TARGET))
        room = await clinic.deploy(imported.model, engine=engine, batch=2)
        assert room.spec.network == imported.model.network
        inputs = imported.model.network.inputs
        readings = Prg.insecure_seed(4).below((2, inputs), 1001).astype(np.float64) / 1000 * (high + 1.0) - 1.0
        async with clinic.client(model=name) as client:
            (answer,) = await client.infer(readings)
        clinic.check([answer], readings)
        assert answer.digits == imported.model.digits
        assert answer.last == imported.model.last
        wanted = onnxruntime_outputs(read_graph(path), readings)
        assert answer.outputs is not None
        assert np.abs(answer.outputs - wanted).max() <= TARGET
