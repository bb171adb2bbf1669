"""From a request to a job: the model, its integers, the samples, every setting decided, the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from parties.request import RunRequest
from parties.settle_ddh import settle_ddh
from parties.settle_literal import settle_literal
from parties.settle_masked import settle_masked
from pehealth.config import Engine
from pehealth.data.catalog import load as load_dataset
from pehealth.data.dataset import Dataset
from pehealth.errors import ConfigError
from pehealth.nets.plan import Plan
from pehealth.nets.stand_in import NOTE, random_dataset
from pehealth.nets.weights import Model, QuantizedModel
from pehealth.nets.zoo import load_model

SETTLE = {Engine.PAPER: settle_literal, Engine.DDH: settle_ddh}
"""How settings are decided; the other engines share one way."""


@dataclass(frozen=True, eq=False)
class Job:
    """A run, ready to start.

    Attributes:
        request: what was asked for, checked.
        model, quantised: the centre's.
        plan: settings and costs.
        features, inputs, labels, indices: the samples: reals in [0, 1], their integers, classes, place in the test set.
        majority: accuracy of always answering the most frequent class.
    """

    request: RunRequest
    model: Model
    quantised: QuantizedModel
    plan: Plan
    features: NDArray[np.float64]
    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]
    indices: NDArray[np.intp]
    majority: float

    def __repr__(self) -> str:
        return f"<Job {self.model.network.name} on {self.plan.parameters.engine}, {len(self.labels)} samples>"

    @property
    def queries(self) -> int:
        """Queries that the samples need, repeats included."""
        return self.request.queries * self.request.repeat

    def padded_inputs(self) -> NDArray[np.int64]:
        """Return the inputs of all queries: the last batch is filled up with zeros, and all is repeated."""
        missing = self.request.queries * self.request.batch - len(self.inputs)
        once = np.concatenate([self.inputs, np.zeros((missing, self.inputs.shape[1]), np.int64)])
        return np.tile(once, (self.request.repeat, 1))


def resolve(request: RunRequest) -> Job:
    """Decide everything that the request leaves open.

    Raises:
        ConfigError: the request, the network or the data set cannot be used; all problems of one kind are listed.
        RangeError: digits or weights do not fit; names the layer.
    """
    request = request.checked()
    model = load_model(request.net)
    data = _dataset(request, model)
    if problems := list(_problems(request, model, data)):
        raise ConfigError(*problems)
    return _job(request, model, data)


def resolve_samples(request: RunRequest, model: Model, readings: NDArray[np.float64]) -> Job:
    """Decide everything for samples that somebody gives, in place of a data set's.

    Args:
        request: its `net` and `samples` are those of the other arguments.
        model: the model.
        readings: (n, inputs) in the readings' own units.

    Raises:
        ConfigError, RangeError: as `resolve`; or a reading is out of its range.
    """
    request = request.checked()
    features = model.ranges.normalise(readings).reshape(len(readings), *model.network.input_shape)
    nothing, all_of_them = np.zeros(0, np.intp), np.arange(len(readings), dtype=np.intp)
    labels = np.zeros(len(readings), np.int64)
    data = Dataset(
        model.network.name, features, labels, model.network.classes, nothing, all_of_them, model.ranges, "given"
    )
    return _job(request, model, data)


def _job(request: RunRequest, model: Model, data: Dataset) -> Job:
    model.ranges.check(data.features)  # before settings are tried on them: a bad reading is no fault of the settings
    settle = SETTLE.get(request.engine, settle_masked)
    quantised, plan = settle(request, model, data)
    if not model.dataset:
        plan = replace(plan, notes=(*plan.notes, NOTE.format(name=model.network.name)))
    indices = data.test[: request.samples]
    features = data.features[indices]
    return Job(
        request,
        model,
        quantised,
        plan,
        features,
        quantised.encode_input(features),
        data.labels[indices],
        indices,
        data.majority,
    )


def _problems(request: RunRequest, model: Model, data: Dataset) -> Iterator[str]:
    """Yield what the request asks of this network and these data that they do not have."""
    if len(data.test) < request.samples:
        yield f"--samples {request.samples}: {data.name} has {len(data.test)} test samples"
    if model.network.inputs < request.sensors:
        yield f"--sensors {request.sensors}: a sample of {model.network.name} has {model.network.inputs} readings"


def resolve_deployment(request: RunRequest) -> Job:
    """Decide everything that deploying or dealing needs: a job without samples.

    Raises:
        ConfigError, RangeError: as `resolve`; not every engine keeps state.
    """
    request = request.checked()
    model = load_model(request.net)
    quantised, plan = settle_masked(request, model, None)
    nothing = np.zeros(0, np.int64)
    inputs = np.zeros((0, model.network.inputs), np.int64)
    return Job(request, model, quantised, plan, inputs.astype(np.float64), inputs, nothing, nothing, 0.0)


def _dataset(request: RunRequest, model: Model) -> Dataset:
    if not model.dataset:
        return random_dataset(model, request.samples)
    return load_dataset(model.dataset, request.data_dir, training=False)
