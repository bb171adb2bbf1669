"""Control messages survive any cutting of the bytes; what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parties.control import ControlError, Decoder, Kind, Message, encode

BODIES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False)
        | st.binary()
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
MESSAGES = st.lists(st.builds(Message, st.sampled_from(Kind), BODIES), max_size=4)


@given(MESSAGES, st.integers(1, 40))
def test_messages_survive_any_cut(messages: list[Message], cut: int) -> None:
    data = b"".join(encode(m) for m in messages)
    for size in (len(data) or 1, 1, cut):
        decoder = Decoder()
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        assert [m for piece in pieces for m in decoder.feed(piece)] == messages
        decoder.end()


@given(st.binary(max_size=64))
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    decoder = Decoder(most=1000)
    try:
        list(decoder.feed(data))
        decoder.end()
    except ControlError:
        return


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello world", "was something printed"),
        (b"\0\0\0\1\xc1", "cannot be unpacked"),
        (b"\0\0\0\0", "cannot be unpacked"),
        (b"\0\0\0\3\x92\x09\x80", "cannot be unpacked"),  # no such kind
        (b"\0\0\0\3\x92\x00\x01", "cannot be unpacked"),  # body is no map
        (b"\0\0\0\4\x92\x00\x80\x00", "cannot be unpacked"),  # trailing byte
    ],
)
def test_what_is_no_message_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ControlError, match=words):
        list(Decoder().feed(data))


def test_a_cut_message_is_noticed_at_the_end() -> None:
    decoder = Decoder()
    assert list(decoder.feed(encode(Message(Kind.MESSAGE, {"a": 1}))[:-1])) == []
    with pytest.raises(ControlError, match="was cut"):
        decoder.end()


def test_what_is_too_long_or_unknown_is_not_sent() -> None:
    with pytest.raises(ControlError, match="at most 10"):
        encode(Message(Kind.MESSAGE, {"a": "x" * 20}), most=10)
    with pytest.raises(ControlError, match="cannot be packed"):
        encode(Message(Kind.MESSAGE, {"a": object()}))
    with pytest.raises(ControlError, match="cannot be packed"):
        encode(Message(Kind.MESSAGE, {"a": 2**64}))
