"""The centre's last step: against its definition, also far from 0, and all the way to a client."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from parties.private import pack_model, unpack_model
from parties.service.cards import ModelCard, answer_of
from pehealth.api import run_local
from pehealth.data.ranges import Ranges
from pehealth.errors import PeerProtocolError
from pehealth.nets.last import finished
from pehealth.nets.onnx_import import import_onnx
from pehealth.nets.scales import Arithmetic

FILE = Path(__file__).parent.parent / "vectors" / "onnx" / "dropout_softmax.onnx"
LOGITS = np.array([[0.5, -1.0, 3.0], [1000.0, -1000.0, 999.0]])
CARD = ModelCard(
    "d", "m", 1, "dealt", (2,), ("a", "b", "c"), Ranges(("x",), (0.0,), (1.0,)), 2, 32, 1, 100, 3, "logits", "00",
    1, "softmax",
)  # fmt: skip


def test_each_step_is_what_its_name_says():
    with np.errstate(all="raise", under="ignore"):
        soft, logarithm, sigmoid = (finished(last, LOGITS) for last in ("softmax", "log_softmax", "sigmoid"))
    assert np.allclose(soft[0], np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum())
    assert np.allclose(np.exp(logarithm), soft)
    assert np.allclose(sigmoid[0], 1 / (1 + np.exp(-LOGITS[0])))
    assert sigmoid[1].tolist() == [1.0, 0.0, 1.0]
    assert finished("logits", LOGITS) is LOGITS


def test_a_client_is_told_the_last_step_and_takes_it():
    assert ModelCard.from_wire(CARD.to_wire()) == CARD
    answer = answer_of(CARD, 7, 1, {"logits": [[100, 0, 50]]}, 0.1, 0)
    assert answer.outputs.sum() == pytest.approx(1)
    assert np.allclose(answer.outputs, finished("softmax", np.array([[1.0, 0.0, 0.5]])))
    plain = dataclasses.replace(CARD, last="logits")
    assert answer_of(plain, 7, 1, {"logits": [[100, 0, 50]]}, 0.1, 0).outputs.tolist() == [[1.0, 0.0, 0.5]]
    for wrong in ("tanh", 3, None, ["softmax"]):
        with pytest.raises(PeerProtocolError, match="card cannot be read"):
            ModelCard.from_wire({**CARD.to_wire(), "last": wrong})


def test_the_centre_keeps_the_last_step_with_its_integers():
    model = import_onnx(FILE).model.quantise(4, Arithmetic.MASKED)
    assert unpack_model(pack_model(model), model.network).last == "softmax"


def test_run_local_gives_the_models_outputs():
    result = run_local(FILE, np.full((2, 12), 0.25), engine="dealt")
    assert np.allclose(result.outputs.sum(axis=1), 1)
    assert result.last == "softmax"
    assert [r.outputs.argmax() for r in result] == list(result.classes)
