"""What services ask and answer: requests, replies, descriptions of deployments and models, an operator's commands."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import msgpack
import numpy as np

from fuzzing.target import Source, Target, demand
from parties.control import ControlError, Decoder
from parties.service.cards import ModelCard, answer_of
from parties.service.fields import MOST_INDEX, Fields
from parties.service.requests import error_of, unpack_map
from parties.service.spec import Spec
from pehealth.config import Engine, Parameters, Party
from pehealth.data.ranges import Ranges
from pehealth.errors import PehealthError
from pehealth.nets.describe import Conv2d, Dense, MaxPool, Network, Relu
from transport.errors import TransportError

_ODD = (
    0, -1, 1, 2, 2**31, 2**63, 10**18, 1.5, float("inf"), float("nan"), None, "", "x", "9" * 5000, [], {}, [[]], True,
    b"\0", [1, 2], [[1, 3]], [[3, 1]], [-1],
)  # fmt: skip
Reader = Callable[[Source], None]


def run(data: bytes) -> None:
    """Choose a reader; give it bytes, or a valid message with one or two values replaced."""
    source = Source(data)
    _READERS[source.below(len(_READERS))](source)


def _changed(source: Source, valid: dict[str, Any]) -> dict[str, Any]:
    """Return the message in the rest of the input, or a copy of a valid one in which some values are replaced."""
    if not source.below(4):
        return unpack_map(source.rest(), "E1: HC sent a request that")
    document: Any = copy.deepcopy(valid)
    for _ in range(1 + source.below(2)):
        place = document
        for _ in range(source.below(6)):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[source.octet() % len(keys)]
            if source.below(3) == 0 or not isinstance(place[key], dict | list):
                place[key] = copy.deepcopy(_ODD[source.below(len(_ODD))])
                break
            place = place[key]
    return document


def _request(source: Source) -> None:
    given = _changed(source, {"index": 7, "spans": [[1, 65], [70, 71]], "client": "HMS1", "state": b"x", "spec": {}})
    fields = Fields("grant", given)
    demand(1 <= fields.index() <= MOST_INDEX, "an index out of bounds")
    spans = fields.spans("spans")
    demand(all(0 <= a < b <= MOST_INDEX + 1 for a, b in spans), "spans out of bounds")
    demand(len(fields.text("client", 64)) <= 64 and len(fields.octets("state", 100)) <= 100, "longer than allowed")
    demand(all(isinstance(name, str) for name in fields.table("spec")), "a table with other keys than texts")
    fields.finish()


def _reply(source: Source) -> None:
    reply = _changed(source, {"n": 1, "error": "HC: no material is left", "kind": "MaterialError", "origin": ""})
    words = [reply.get(name, "") for name in ("kind", "error", "origin")]
    if all(isinstance(word, str) for word in words):
        error = error_of("HC", words[0], words[1], words[2])
        demand(str(error).isprintable() or not words[1].isprintable() or words[2], "an error that cannot be shown")


def _spec(source: Source) -> None:
    spec = Spec.from_wire(_changed(source, _valid_spec()))
    again = Spec.from_wire(msgpack.unpackb(msgpack.packb(spec.to_wire())))
    demand(again == spec and again.digest() == spec.digest(), "a deployment does not come back")
    for party in (Party.E1, Party.E2):
        demand(spec.model_bytes(party) >= 0, "a model of less than nothing")


def _card(source: Source) -> None:
    card = ModelCard.from_wire(_changed(source, _valid_card()))
    demand(ModelCard.from_wire(msgpack.unpackb(msgpack.packb(card.to_wire()))) == card, "a card does not come back")
    result = {"logits": [[1, 2]]} if source.below(2) else {"classes": [1]}
    answer = answer_of(card, 7, 1, _changed(source, result), 0.1, 0)
    demand(answer.classes is None or len(answer.classes) <= card.batch, "another number of samples")
    with np.errstate(all="ignore"):
        _ = answer.values


def _command(source: Source) -> None:
    decoder = Decoder(4096)
    cuts = source.below(4)
    body = source.rest()
    for at in range(0, len(body), cuts * 7 + 1):
        for message in decoder.feed(body[at : at + cuts * 7 + 1]):
            demand(isinstance(message.body, dict), "a command that is no map")
    decoder.end()


_READERS: tuple[Reader, ...] = (_request, _reply, _spec, _card, _command)


@cache
def _valid_spec() -> dict[str, Any]:
    network = Network("small", (1, 5, 5), (Conv2d(2, (2, 2)), Relu(), MaxPool((2, 2)), Dense(2)), ("no", "yes"))
    return Spec("ab" * 8, "small", 3, network, Parameters(Engine.DEALT, digits=4, ring=40), dealer=True).to_wire()


@cache
def _valid_card() -> dict[str, Any]:
    ranges = Ranges(("pulse",), (0.0,), (200.0,))
    return ModelCard(
        "ab" * 8, "small", 3, "dealt", (1, 5, 5), ("no", "yes"), ranges, 4, 40, 1, 10**8, 5, "logits", "cd" * 16, 8
    ).to_wire()


def seeds() -> list[bytes]:
    """Messages as they are sent, and changed ones."""
    valid = (
        {"index": 7, "spans": [[1, 65]], "client": "HMS1", "state": b"x", "spec": {}},
        {"n": 1, "error": "no", "kind": "Busy"},
        _valid_spec(),
        _valid_card(),
    )
    whole = [bytes((reader, 0)) + msgpack.packb(message) for reader, message in enumerate(valid)]
    unchanged = [bytes((reader, 1, 0, 0)) for reader in range(4)]
    places = itertools.product(range(4), range(6), range(0, 23, 4))
    built = [bytes((reader, 1, 0, 5, key, 1, key, 0, value)) for reader, key, value in places]
    packed = msgpack.packb([0, {"ask": "status"}])
    command = len(packed).to_bytes(4, "big") + packed
    return [*whole, *unchanged, *built, bytes((4, 0)) + command, bytes((4, 2)) + command * 3]


TARGET = Target("request", run, (PehealthError, TransportError, ControlError), seeds, most_bytes=2048)
