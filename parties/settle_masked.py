"""Deciding digits, ring and lattice of the masked engines, from bounds that are proven."""

from __future__ import annotations

from dataclasses import replace

from parties.request import MAX_RING, RunRequest
from pehealth.config import Engine, Parameters
from pehealth.data.dataset import Dataset
from pehealth.engines.catalog import lattice_name, masked_engine
from pehealth.errors import ConfigError
from pehealth.nets.bounds import check_ring, ring_bits, value_bounds, with_gate_margin
from pehealth.nets.describe import MaxPool, Network, Rescale
from pehealth.nets.error_bound import error_bounds
from pehealth.nets.plan import Plan
from pehealth.nets.plan_masked import plan_masked
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model, QuantizedModel

DEFAULT_DIGITS = 4
WORD_BITS = 8
"""Rings are whole bytes wide: elements are then packed without shifting bits."""


def settle_masked(request: RunRequest, model: Model, _data: Dataset | None) -> tuple[QuantizedModel, Plan]:
    """Return the model's integers and the plan.

    Raises:
        RangeError: the ring is too narrow, or no ring is wide enough; names the layer.
        ConfigError: the engine cannot run a layer in this ring.
    """
    if request.engine is Engine.PAPER:
        raise ConfigError("engine paper is not a masked engine")
    digits = settled_digits(request, model)
    quantised = model.quantise(digits, Arithmetic.MASKED)
    slack = 1 if request.engine is Engine.RLWE else 0
    bounds = value_bounds(quantised, slack=slack)
    spare = spare_bits(model.network, request)
    compared = with_gate_margin(bounds, quantised)
    ring = request.ring or min(-(-ring_bits(compared, spare) // WORD_BITS) * WORD_BITS, MAX_RING)
    check_ring(compared, ring, spare)
    lattice = request.lattice or lattice_name(request.engine, (p.linear for p in model.network.linear_layers), ring)
    parameters = Parameters(
        request.engine, digits, ring, lattice=lattice, batch=request.batch, sensors=request.sensors,
        reveal=request.reveal,
    )  # fmt: skip
    plan = plan_masked(model.network, parameters, masked_engine(parameters), dealer=request.dealer)
    errors = error_bounds(quantised, slack)
    return quantised, replace(
        plan,
        bounds=tuple(b.magnitude for b in bounds),
        error_bound=errors[-1],
        notes=(_note(ring, errors[-1]), *_target_note(model, digits)),
    )


def settled_digits(request: RunRequest, model: Model) -> int:
    """Return the digits asked for; else those that the model was imported with; else the default."""
    if request.digits is not None:
        return request.digits
    return DEFAULT_DIGITS if model.digits is None else model.digits


def _target_note(model: Model, digits: int) -> tuple[str, ...]:
    if model.target is None or model.digits is None:
        return ()
    named = "" if digits == model.digits else f"; {digits} are taken, as asked for"
    return (
        f"{model.digits} digits were chosen at import for an error of an output of at most {model.target:g}{named}",
    )


def spare_bits(network: Network, request: RunRequest) -> int:
    """Return 1 if a gate needs a bit more, else 0: max pools and the class alone compare differences; a rescale."""
    wide = any(isinstance(layer, MaxPool | Rescale) for layer in network.layers)
    return int(wide or request.reveal == "class")


def _note(ring: int, bound: int) -> str:
    return f"ring of {ring} bits by interval bounds; a logit may differ from the ideal one by at most {bound} units"
