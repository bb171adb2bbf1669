"""Whatever the parties send to a sensor: an answer, or an error of ours; never another exception, never much memory."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.errors import ConfigError
from pehealth.sensor.conversation import REPLIES, REPLY, REPLY_BYTES, Conversation, decode_reply
from pehealth.sensor.described import MAX_LEASE, choose, spans_of
from pehealth.sensor.share import MAX_READINGS
from transport.errors import FrameError, PeerAbort, PeerLost, TransportError, UnexpectedMessage
from transport.framing import Kind, pack_header
from transport.handshake import Hello, encode_abort, encode_hello

OURS = Hello("HMS1", "HMS", "room", {"model": "clinic"}, "E1")
CARD = {
    "deployment": "room",
    "model": "clinic",
    "version": 1,
    "settings": "ab",
    "input_shape": [2],
    "batch": 1,
    "ring": 40,
    "digits": 4,
    "labels": ["well", "ill"],
    "scale": "10000",
    "error_bound": "12",
    "ranges": {"names": ["x"], "low": [0.0], "high": [1.0]},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(ANYTHING, st.sampled_from(sorted(CARD)))
def test_a_model_with_anything_as_a_field(value, field: str) -> None:
    try:
        model = choose({"models": [{**CARD, field: value}]}, "", None)
    except (FrameError, ConfigError):
        return
    assert model.batch * model.scaling.inputs <= MAX_READINGS
    assert 1 <= model.ring <= 64


@given(ANYTHING)
def test_anything_as_models_or_spans(value) -> None:
    with pytest.raises((FrameError, ConfigError)):
        choose({"models": value}, "", None)
    try:
        numbers = spans_of({"spans": value})
    except FrameError:
        return
    assert 0 < len(numbers) <= MAX_LEASE


def test_spans_that_are_no_lease() -> None:
    assert spans_of({"spans": [[3, 5], [9, 10]]}) == [3, 4, 9]
    for spans in ([], [[5, 3]], [[-1, 3]], [[0, MAX_LEASE + 1]], [[1, 2, 3]], [["a", 2]], 7, None):
        with pytest.raises(FrameError):
            spans_of({"spans": spans})


def test_the_newest_version_or_the_one_that_was_named() -> None:
    told = {"models": [{**CARD, "version": v} for v in (2, 10, 3)] + [{**CARD, "model": "eyes"}]}
    assert choose(told, "clinic", None).version == 10
    assert choose(told, "clinic", 3).version == 3
    with pytest.raises(ConfigError, match="HC does not have clinic version 4; it has clinic version 2, "):
        choose(told, "clinic", 4)
    with pytest.raises(ConfigError, match="HC has several models: name one of"):
        choose(told, "", None)
    with pytest.raises(ConfigError, match="HC does not have any model; it has none"):
        choose({"models": []}, "", None)


@given(ANYTHING, st.sampled_from(["logits", "classes", "query"]))
def test_anything_as_a_result(value, field: str) -> None:
    model = choose({"models": [CARD]}, "", None)
    try:
        place, logits = model.result_in({field: value})
    except FrameError:
        return
    assert place in (None, 0, 1)
    assert logits is None or len(logits) == 2


def test_results() -> None:
    model = choose({"models": [CARD]}, "", None)
    assert model.result_in({"logits": [[5000, -(10**4)]]}) == (0, (0.5, -1.0))
    assert model.result_in({"classes": [1]}) == (1, None)
    for told in ({"logits": [[1]]}, {"logits": [[1, 2], [3, 4]]}, {"logits": [[1.0, 2.0]]}, {"classes": [2]}):
        with pytest.raises(FrameError, match="of clinic, came something else"):
            model.result_in(told)


@given(st.binary(max_size=64) | ANYTHING.map(msgpack.packb))
def test_anything_as_a_reply(payload: bytes) -> None:
    try:
        reply = decode_reply(payload, "E1")
    except FrameError:
        return
    assert reply.ok is None or isinstance(reply.ok, dict)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_on_a_link(data: bytes, greeted: bool) -> None:
    talk = Conversation(OURS)
    if greeted:
        talk.feed(hello_frame())
    try:
        talk.feed(data)
        talk.feed(b"")
    except TransportError:
        return
    raise AssertionError("a link that ended is an error")


def frame(kind: Kind, payload: bytes, sequence: int, query: int = 0, tag: int | None = None) -> bytes:
    return pack_header(kind, 0, 0, sequence, query, kind if tag is None else tag, len(payload)) + payload


def hello_frame() -> bytes:
    return frame(Kind.HELLO, encode_hello(Hello("E1", "E1", "room", {"model": "clinic"}, "HMS1")), 0)


def test_order_and_ends() -> None:
    with pytest.raises(PeerAbort, match="E1 stopped: not now"):
        Conversation(OURS).feed(frame(Kind.ABORT, encode_abort("E1", "not now"), 0))
    with pytest.raises(FrameError, match="expected a greeting, came a frame of kind BYE"):
        Conversation(OURS).feed(frame(Kind.BYE, b"", 0))
    talk = Conversation(OURS)
    assert talk.feed(hello_frame() + frame(Kind.KEEPALIVE, b"", 1)) == []
    with pytest.raises(UnexpectedMessage, match="expected a reply from E1, came online layer 3"):
        talk.feed(frame(Kind.DATA, b"", 2, 5, 3 << 30 | 3 << 16))
    talk = Conversation(OURS)
    talk.feed(hello_frame())
    reply = msgpack.packb({"n": 1, "ok": {}})
    assert talk.feed(frame(Kind.DATA, reply, 1, REPLIES, REPLY) + frame(Kind.BYE, b"", 2))[0].n == 1
    with pytest.raises(PeerLost, match="E1 said goodbye"):
        talk.feed(b"")
    talk = Conversation(OURS)
    talk.feed(hello_frame())
    with pytest.raises(FrameError, match="second greeting"):
        talk.feed(frame(Kind.HELLO, b"", 1))


def test_a_reply_that_is_too_long_is_refused_by_its_header() -> None:
    talk = Conversation(OURS)
    talk.feed(hello_frame())
    with pytest.raises(FrameError, match=f"at most {REPLY_BYTES} bytes"):
        talk.feed(pack_header(Kind.DATA, 0, 0, 1, REPLIES, REPLY, REPLY_BYTES + 1))
