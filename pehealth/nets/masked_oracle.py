"""The oracle that is given the same masks as a secure run and reproduces its integers with ==. For tests alone.

Whoever can draw the masks can unmask the readings: no party but a test calls this.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Words
from pehealth.config import Party
from pehealth.crypto import gate_relu, gate_rescale
from pehealth.crypto.linear import Ints, pool_windows
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed, to_signed
from pehealth.crypto.ring import mask as ring_mask
from pehealth.nets.masked_material import MaterialPlan, mask_source
from pehealth.nets.run_masked import local
from pehealth.nets.stages import (
    AddStage,
    ArgmaxStage,
    LinearStage,
    MaxStage,
    MoveStage,
    ReluStage,
    RescaleStage,
    Stage,
    SumStage,
)
from pehealth.nets.weights import QuantizedModel

Signed = NDArray[np.int64]


def masked_oracle(
    plan: MaterialPlan, model: QuantizedModel, x: Signed, rng: Prg, products: Mapping[int, Words] | None = None
) -> dict[int, Signed]:
    """Return the output of every layer, by index, that a secure run on these masks gives; the class comes last.

    Args:
        plan: of the run.
        model: the centre's integers.
        x: readings (batch, inputs) at scale 10^d.
        rng: the generator that `deal_query` was given.
        products: layer index -> U_1 + U_2 as the servers derive them, where that may differ from W * R (`rlwe`).
    """
    ring = plan.engine.ring
    weights = dict(
        zip((p.index for p in model.network.linear_layers), zip(model.weights, model.biases, strict=True), strict=True)
    )
    values: dict[int, Signed] = {0: x}
    for stage in plan.stages:
        inputs = [values[source] for source in stage.placed.sources]
        index = stage.placed.index
        if isinstance(stage, LinearStage):
            wrong = None if products is None else products[index]
            values[index] = _linear(plan, stage, weights[index], inputs[0], mask_source(rng, stage.mask_of), wrong)
        else:
            values[index] = _between(stage, inputs, mask_source(rng, index), ring)
    del values[0]
    return values


def _linear(
    plan: MaterialPlan, stage: LinearStage, weights: tuple[Ints, Ints], x: Signed, masks: Prg, products: Words | None
) -> Signed:
    w, b = (from_signed(array, 64) for array in weights)
    z = stage.layer.add_bias(stage.layer.apply(w, from_signed(x, 64)), b)
    if products is not None:
        mask = masks.ring((plan.batch, stage.layer.inputs), plan.engine.ring)
        z = z + stage.layer.apply(w, mask) - products
    return to_signed(z & ring_mask(plan.engine.ring), plan.engine.ring)


def _between(stage: Stage, inputs: list[Signed], masks: Prg, ring: int) -> Signed:
    x = inputs[0]
    if isinstance(stage, ReluStage):
        return gate_relu.oracle(x.reshape(-1), masks.ring(stage.count, ring), stage.gate).reshape(x.shape)
    if isinstance(stage, RescaleStage):
        return gate_rescale.oracle(x.reshape(-1), masks.ring(stage.count, ring), stage.gate).reshape(x.shape)
    if isinstance(stage, ArgmaxStage):
        return np.asarray(x.argmax(axis=1))  # the lowest index among equals
    if isinstance(stage, MaxStage):
        windows = pool_windows(stage.placed.in_shape, stage.layer.window, stage.layer.steps)
        return np.asarray(x[:, windows].max(axis=2))
    if isinstance(stage, SumStage | AddStage | MoveStage):
        whole = local(stage, Party.E1, [from_signed(part, 64) for part in inputs])
        return to_signed(whole & ring_mask(ring), ring)
    raise TypeError(f"no oracle for {stage.placed.name}")
