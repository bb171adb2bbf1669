"""How fast this machine computes: a compute model for the engine of any settings."""

from __future__ import annotations

from pehealth.config import Engine, Parameters
from pehealth.errors import ConfigError
from pehealth.experiments.compute_model import ComputeModel
from pehealth.experiments.measure_literal import calibrate_literal
from pehealth.experiments.measure_masked import calibrate_masked
from pehealth.nets.scales import Arithmetic


def calibrate(parameters: Parameters) -> ComputeModel:
    """Return rates, measured now on small layers: takes some seconds.

    Raises:
        ConfigError: the engine's settings follow from weights, so that small layers have none.
    """
    if parameters.engine is Engine.DDH:
        raise ConfigError("engine ddh splits weights by their size, so nothing is known of it without weights")
    literal = Arithmetic.of(parameters.engine) is Arithmetic.LITERAL
    return calibrate_literal(parameters) if literal else calibrate_masked(parameters)
