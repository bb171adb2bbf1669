"""A client that computes in the clear what the services would: same cards, same answers, no links."""

from __future__ import annotations

from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio

from parties.request import RunRequest
from parties.resolve import resolve_deployment
from parties.service.cards import Answer, ModelCard
from pehealth.errors import PeerAborted
from pehealth.nets.oracle import ideal


class FakeClient:
    """`parties.service.client.Client`, as far as others use it.

    Attributes:
        delays: seconds that the next calls take, in turn.
        failures: errors that the next calls raise, in turn; None: none.
        calls: how many samples each call had.
        receipts: results stay with the centre.
    """

    def __init__(self, *, batch: int = 1, reveal: str = "logits") -> None:
        job = resolve_deployment(RunRequest(net="clinic", batch=batch, samples=batch))
        network, self.model, self.plan = job.model.network, job.quantised, job.plan
        self.card = ModelCard(
            "0123456789abcdef", "clinic", 3, "rlwe", network.input_shape, network.classes, job.model.ranges,
            job.quantised.digits, job.plan.parameters.ring, batch, job.quantised.logit_scale, job.plan.error_bound,
            reveal, "ab" * 16,
        )  # fmt: skip
        self.delays, self.failures, self.calls = [], [], []
        self.receipts = False
        self._next = 100

    async def models(self) -> list[ModelCard]:
        return [self.card]

    async def infer(self, readings, *, normalised: bool = False) -> list[Answer]:
        features = np.asarray(readings) if normalised else self.card.normalise(readings)
        inputs = self.card.encode(features)
        self.calls.append(len(inputs))
        if self.delays:
            await trio.sleep(self.delays.pop(0))
        if self.failures and (error := self.failures.pop(0)):
            raise error
        return [self._answer(inputs[at : at + self.card.batch]) for at in range(0, len(inputs), self.card.batch)]

    def _answer(self, inputs) -> Answer:
        card, logits = self.card, ideal(self.model, inputs).logits.astype(np.int64)
        self._next += 1
        known = None if self.receipts else logits.argmax(axis=1)
        return Answer(
            self._next, card.deployment, card.model, card.version, len(inputs),
            logits if card.reveal == "logits" and not self.receipts else None, known, card.labels, card.scale,
            card.digits, card.error_bound, 0.01,
        )  # fmt: skip


@pytest.fixture
def new_client():
    return FakeClient


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def opened():
    """Return what opens a client as `Client.connect` does."""

    @asynccontextmanager
    async def make(client):
        yield client

    return make


@pytest.fixture
def lost():
    return PeerAborted("E2", "its disk is full")
