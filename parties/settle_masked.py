"""Deciding digits, ring and lattice of the masked engines."""

from __future__ import annotations

from parties.request import RunRequest
from pehealth.data.dataset import Dataset
from pehealth.errors import ConfigError
from pehealth.nets.plan import Plan
from pehealth.nets.weights import Model, QuantizedModel


def settle_masked(request: RunRequest, model: Model, data: Dataset) -> tuple[QuantizedModel, Plan]:
    """Return the model's integers and the plan."""
    raise ConfigError(f"engine {request.engine} is not in this version; --engine paper is ({model}, {data})")
