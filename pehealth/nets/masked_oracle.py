"""The oracle that is given the same masks as a secure run and reproduces its integers with ==. For tests alone.

Whoever can draw the masks can unmask the readings: no party but a test calls this.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Words
from pehealth.crypto import gate_relu
from pehealth.crypto.linear import pool_windows
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed, to_signed
from pehealth.nets.masked_material import MaterialPlan, mask_source
from pehealth.nets.stages import ArgmaxStage, LinearStage, MaxStage, ReluStage
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
    out: dict[int, Signed] = {}
    for stage in plan.stages:
        index = stage.placed.index
        if isinstance(stage, LinearStage):
            w, b = weights[index]
            x = to_signed(
                stage.layer.add_bias(stage.layer.apply(from_signed(w, 64), from_signed(x, 64)), from_signed(b, 64)),
                ring,
            )
            if products is not None:
                mask = mask_source(rng, index).ring((plan.batch, stage.layer.inputs), ring)
                exact = stage.layer.apply(from_signed(w, 64), mask)
                x = to_signed(from_signed(x, 64) + exact - products[index], ring)
        elif isinstance(stage, ReluStage):
            r = mask_source(rng, index).ring(stage.count, ring)
            x = gate_relu.oracle(x.reshape(-1), r, stage.gate).reshape(x.shape)
        elif isinstance(stage, ArgmaxStage):
            x = x.argmax(axis=1)  # the lowest index among equals
        else:
            gathered = x[:, pool_windows(stage.placed.in_shape, stage.layer.window, stage.layer.steps)]
            x = gathered.max(axis=2) if isinstance(stage, MaxStage) else gathered.sum(axis=2)
        out[index] = x
    return out
