"""Handshake: both ends find the same first difference, and nothing a peer says is trusted."""

from __future__ import annotations

import dataclasses

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transport.errors import FrameError, HandshakeMismatch
from transport.handshake import (
    MAX_REASON,
    Hello,
    compare,
    decode_abort,
    decode_hello,
    encode_abort,
    encode_hello,
)

FIELDS = {"engine": "rlwe", "digits": "4", "layer 1": "conv2d 1x28x28", "model": "ab" * 32}
E1 = Hello("E1", role="E1", run="run 5", fields=FIELDS, wanted="E2")
E2 = Hello("E2", role="E2", run="run 5", fields=FIELDS, wanted="E1")


def mismatch(ours: Hello, theirs: Hello) -> HandshakeMismatch:
    """Return what our end raises; the other must name the same field with the sides exchanged."""
    with pytest.raises(HandshakeMismatch) as here:
        compare(ours, theirs)
    with pytest.raises(HandshakeMismatch) as there:
        compare(theirs, ours)
    assert (here.value.ours, here.value.theirs) == (there.value.theirs, there.value.ours)
    return here.value


def test_equal_ends_agree() -> None:
    compare(E1, E2)
    compare(E2, E1)


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"version": 2, "run": "x"}, "protocol version", "ours 1, theirs 2; install the same release"),
        ({"local": "E1", "wanted": "E2", "run": "x"}, "name", "both ends say that they are E1"),
        ({"role": "E1", "run": "x"}, "role", "both ends say that they are E1"),
        ({"run": "run 4", "fields": {}}, "run", "ours 'run 5', theirs 'run 4'; start both ends for the same run"),
        ({"fields": {**FIELDS, "digits": "3", "model": "x"}}, "digits", "digits differs: ours '4', theirs '3'"),
        ({"fields": {**FIELDS, "model": "x"}}, "model", "give both ends the same settings"),
    ],
)
def test_first_difference_is_named_with_a_remedy(changed: dict[str, object], field: str, words: str) -> None:
    error = mismatch(E1, dataclasses.replace(E2, **changed))  # type: ignore[arg-type]
    assert error.field == field
    assert words in str(error)
    assert error.peer == changed.get("local", "E2")


@pytest.mark.parametrize("name", ["extra", "digits"])
def test_field_that_one_end_lacks_differs(name: str) -> None:
    fewer = {key: text for key, text in FIELDS.items() if key != name}
    more = {**FIELDS, name: "4"}
    error = mismatch(dataclasses.replace(E1, fields=fewer), dataclasses.replace(E2, fields=more))
    assert (error.field, error.ours, error.theirs) == (name, None, "4")


def test_order_of_the_fields_does_not_matter_when_all_agree() -> None:
    compare(E1, dataclasses.replace(E2, fields=dict(reversed(FIELDS.items()))))


def test_wrong_party_is_named_at_both_ends() -> None:
    hc = Hello("HC", role="HC", run="run 5", wanted="E1")
    with pytest.raises(HandshakeMismatch, match="peer's name differs: ours 'E2', theirs 'HC'; we wanted E2"):
        compare(E1, hc)
    with pytest.raises(HandshakeMismatch, match="wanted name differs: ours 'HC', theirs 'E2'; E1 wanted E2"):
        compare(dataclasses.replace(hc, wanted="E1"), E1)


def test_greeting_survives_the_wire_with_its_order() -> None:
    again = decode_hello(encode_hello(E1))
    assert again == E1
    assert list(again.fields) == list(FIELDS)


def test_greeting_of_another_version_gives_its_version_and_name() -> None:
    assert decode_hello(msgpack.packb([9, "E2", {"anything": 1}])) == Hello("E2", version=9)
    assert decode_hello(msgpack.packb([9, 5])) == Hello("unknown", version=9)


BAD_GREETINGS: dict[str, object] = {
    "no list": {"local": "E2"},
    "an empty list": [],
    "a version that is a text": ["1", "E2", "E1", "", "", []],
    "a version that is true": [True, "E2", "E1", "", "", []],
    "a negative version": [-1, "E2", "E1", "", "", []],
    "too few parts": [1, "E2", "E1", "", ""],
    "too many parts": [1, "E2", "E1", "", "", [], 0],
    "a name in bytes": [1, b"E2", "E1", "", "", []],
    "an empty name": [1, "", "E1", "", "", []],
    "a name with an escape": [1, "E2\x1b[31m", "E1", "", "", []],
    "a name that is too long": [1, "E" * 65, "E1", "", "", []],
    "a bad wanted name": [1, "E2", "E 1", "", "", []],
    "a bad role": [1, "E2", "E1", "\n", "", []],
    "a run that is too long": [1, "E2", "E1", "", "r" * 129, []],
    "fields in a mapping": [1, "E2", "E1", "", "", {"a": "b"}],
    "a field of one part": [1, "E2", "E1", "", "", [["a"]]],
    "a field that is a number": [1, "E2", "E1", "", "", [["a", 1]]],
    "a field without a name": [1, "E2", "E1", "", "", [["", "b"]]],
    "a field twice": [1, "E2", "E1", "", "", [["a", "b"], ["a", "c"]]],
    "a text that is too long": [1, "E2", "E1", "", "", [["a", "b" * 1025]]],
    "too many fields": [1, "E2", "E1", "", "", [[str(n), ""] for n in range(1025)]],
}


@pytest.mark.parametrize("message", BAD_GREETINGS.values(), ids=BAD_GREETINGS)
def test_greeting_is_decoded_strictly(message: object) -> None:
    with pytest.raises(FrameError, match="E7"):
        decode_hello(msgpack.packb(message), "E7")


@pytest.mark.parametrize("payload", [b"", b"\xc1", msgpack.packb(1) + b"\0", b"\x91" * 60000, b"\xdd\xff\xff\xff\xff"])
def test_what_is_no_msgpack_is_a_frame_error(payload: bytes) -> None:
    for decode in (decode_hello, decode_abort):
        with pytest.raises(FrameError, match="expected"):
            decode(payload)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_decoded_or_a_frame_error(payload: bytes) -> None:
    for decode in (decode_hello, decode_abort):
        try:
            decode(payload)
        except FrameError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.lists(JSON, max_size=7).map(lambda tail: [1, *tail]))
def test_any_message_is_decoded_or_a_frame_error(message: list[object]) -> None:
    for decode in (decode_hello, decode_abort):
        try:
            decode(msgpack.packb(message))
        except FrameError:
            continue


@pytest.mark.parametrize("bad", [{"local": ""}, {"local": "E 1"}, {"run": "r" * 129}, {"fields": {"a": "b" * 1025}}])
def test_our_own_greeting_is_checked(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        dataclasses.replace(E1, **bad)  # type: ignore[arg-type]


def test_greeting_that_fits_into_no_frame_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="send digests of long fields"):
        encode_hello(dataclasses.replace(E1, fields={str(n): "x" * 1000 for n in range(70)}))


def test_abort_survives_the_wire() -> None:
    told = decode_abort(encode_abort("HC", "material of batch 7 is used up"))
    assert (told.origin, told.reason) == ("HC", "material of batch 7 is used up")


def test_long_reason_is_cut_between_characters() -> None:
    told = decode_abort(encode_abort("E1", "ä" * 2000))
    assert told.reason == "ä" * (MAX_REASON // 2)
    with pytest.raises(FrameError, match="at most 1024"):
        decode_abort(msgpack.packb(["E1", "x" * 1025]))


def test_reason_cannot_command_the_terminal() -> None:
    assert decode_abort(msgpack.packb(["E1", "a\x1b[2Jb\nc"])).reason == "a?[2Jb?c"
    with pytest.raises(FrameError, match="a party's name"):
        decode_abort(msgpack.packb(["E1\n", "x"]))
