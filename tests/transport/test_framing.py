"""Frames: whatever comes, the reader makes frames of it or raises FrameError, however the bytes are cut."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.errors import FrameError
from transport.framing import HEADER_BYTES, Frame, FrameReader, Kind, encode, pack_header

ROOT = Path(__file__).parent.parent.parent
VECTORS: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "frames.json").read_text())
LIMIT: int = VECTORS["limit"]
TAG = 3 << 30 | 1


def frames_of(case: dict[str, Any]) -> list[Frame]:
    return [
        Frame(
            Kind[f["kind"]], f["depth"], f["rounds"], f["sequence"], f["query"], f["tag"], bytes.fromhex(f["payload"])
        )
        for f in case["frames"]
    ]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut data into pieces of the given sizes, again and again."""
    pieces, position = [], 0
    while position < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[position : position + size])
        position += size
    return pieces


def read(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[Frame], str]:
    """Return the frames and the error, if any, that come of the pieces and the end after them."""
    reader = FrameReader(limit)
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += reader.feed(piece)
        reader.finish()
    except FrameError as error:
        with pytest.raises(FrameError, match="expected"):
            reader.feed(b"more")
        return frames, str(error)
    return frames, ""


CUTS = [[10**9], [1], [HEADER_BYTES], [23, 2], [25], [5, 1, 7]]


@pytest.mark.parametrize("sizes", CUTS, ids=str)
@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["name"])
def test_good_vectors_read_alike_however_they_are_cut(case: dict[str, Any], sizes: list[int]) -> None:
    data = bytes.fromhex(case["bytes"])
    assert read(cut(data, sizes)) == (frames_of(case), "")
    assert b"".join(encode(frame) + frame.payload for frame in frames_of(case)) == data


@pytest.mark.parametrize("sizes", CUTS, ids=str)
@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_bad_vectors_fail_alike_however_they_are_cut(case: dict[str, Any], sizes: list[int]) -> None:
    frames, error = read(cut(bytes.fromhex(case["bytes"]), sizes))
    assert frames == frames_of(case)
    assert case["error"] in error


def test_vectors_on_disk_are_those_of_the_script() -> None:
    assert (
        subprocess.run([sys.executable, ROOT / "scripts" / "make_frame_vectors.py", "--check"], check=False).returncode
        == 0
    )


@given(st.binary(max_size=200), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_arbitrary_bytes_give_frames_or_a_frame_error(data: bytes, sizes: list[int]) -> None:
    assert read(cut(data, sizes), 64) == read([data], 64)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=40), st.integers(0, 3)), max_size=6),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
def test_nearly_right_bytes_give_frames_or_a_frame_error(parts: list[tuple[int, bytes, int]], sizes: list[int]) -> None:
    data = b"".join(
        pack_header(kind, 0, 0, number + (slip == 3), 0, kind or TAG, len(payload) + (slip == 2)) + payload
        for number, (kind, payload, slip) in enumerate(parts)
    )
    whole = read([data], 32)
    assert read(cut(data, sizes), 32) == whole
    if all(kind <= 4 and len(payload) <= 32 and slip < 2 for kind, payload, slip in parts):
        assert [frame.payload for frame in whole[0]] == [payload for _, payload, _ in parts]


def test_header_that_cannot_be_packed_is_a_frame_error() -> None:
    with pytest.raises(FrameError, match="depth 65536"):
        pack_header(Kind.DATA, 2**16, 0, 0, 0, TAG, 0)


def test_sequence_wraps() -> None:
    reader = FrameReader()
    data = b"".join(pack_header(0, 0, 0, number % 2**16, 0, TAG, 0) for number in range(2**16 + 2))
    assert [frame.sequence for frame in reader.feed(data)][-3:] == [65535, 0, 1]


def test_announced_length_takes_no_memory_before_it_comes() -> None:
    reader = FrameReader()
    tracemalloc.start()
    reader.feed(pack_header(0, 0, 0, 0, 0, TAG, 200 * 2**20))
    reader.feed(bytes(1000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000
    assert reader.missing == 200 * 2**20 - 1000


def test_trickle_takes_no_more_memory_than_its_bytes() -> None:
    size = 2**17
    reader = FrameReader()
    reader.feed(pack_header(0, 0, 0, 0, 0, TAG, 2**20))
    tracemalloc.start()
    for _ in range(size // 2):
        reader.feed(b"ab")
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size <= now < 1.5 * size


def test_payload_that_comes_in_one_piece_is_not_copied() -> None:
    reader = FrameReader()
    payload = bytes(10**6)
    reader.feed(pack_header(0, 0, 0, 0, 0, TAG, len(payload)))
    assert reader.feed(payload)[0].payload is payload


def test_control_frames_are_short_whatever_the_limit() -> None:
    reader = FrameReader(10**9)
    with pytest.raises(FrameError, match="at most 65536"):
        reader.feed(pack_header(Kind.ABORT, 0, 0, 0, 0, Kind.ABORT, 65537))
