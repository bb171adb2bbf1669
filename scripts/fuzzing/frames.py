"""The frame decoder: arbitrary bytes, arbitrarily cut, give the same frames and the same error."""

from __future__ import annotations

import json
from pathlib import Path

from fuzzing.target import Source, Target, cut, demand
from transport.errors import FrameError
from transport.framing import CONTROL_LIMIT, HEADER_BYTES, Frame, FrameReader, Kind, encode

_VECTORS = Path(__file__).parent.parent.parent / "tests" / "vectors" / "frames.json"
_LIMITS = (0, 64, 4096, 2**32 - 1)
_RAW, _REPAIRED = 0, 1


def run(data: bytes) -> None:
    """Read a stream whole and in pieces; in one mode its frames are numbered as they should be."""
    source = Source(data)
    limit = _LIMITS[source.below(len(_LIMITS))]
    repaired = source.below(2) == _REPAIRED
    sizes = [1 + source.octet() for _ in range(source.below(4))]
    stream = source.rest()
    if repaired:
        stream = _numbered(stream)
    frames, error = _read([stream], limit)
    demand((frames, str(error)) == _outcome(cut(stream, sizes), limit), "the outcome depends on how the bytes were cut")
    for number, frame in enumerate(frames):
        demand(frame.sequence == number & 0xFFFF, "a frame out of sequence was let through")
        demand(len(frame.payload) <= (limit if frame.kind is Kind.DATA else min(limit, CONTROL_LIMIT)), "too long")
    whole = b"".join(encode(frame) + frame.payload for frame in frames)
    demand(stream.startswith(whole), "the frames are not what was sent")
    if error is not None:
        raise error
    demand(whole == stream, "bytes are missing, and no error was raised")


def _outcome(pieces: list[bytes], limit: int) -> tuple[list[Frame], str]:
    frames, error = _read(pieces, limit)
    return frames, str(error)


def _read(pieces: list[bytes], limit: int) -> tuple[list[Frame], FrameError | None]:
    reader = FrameReader(limit)
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += reader.feed(piece)
        reader.finish()
    except FrameError as error:
        return frames, error
    return frames, None


def _numbered(stream: bytes) -> bytes:
    """Give every header the version, kind and number that it should have, as far as the lengths in them lead."""
    out, at, number = bytearray(stream), 0, 0
    while at + HEADER_BYTES <= len(out):
        out[at + 4] = 1
        out[at + 5] %= len(Kind)
        out[at + 10 : at + 12] = (number & 0xFFFF).to_bytes(2, "big")
        if out[at + 5]:
            out[at + 6 : at + 10] = bytes(4)
            out[at + 12 : at + 24] = bytes(11) + out[at + 5 : at + 6]
        else:
            out[at + 20] |= 0x40
        at += HEADER_BYTES + int.from_bytes(out[at : at + 4], "big")
        number += 1
    return bytes(out)


def seeds() -> list[bytes]:
    """The vectors of the frame format, good and bad, behind a few ways to cut."""
    vectors = json.loads(_VECTORS.read_text())
    streams = [bytes.fromhex(case["bytes"]) for case in (*vectors["good"], *vectors["bad"])]
    heads = (bytes((2, _RAW, 0)), bytes((2, _REPAIRED, 2, 22, 0)), bytes((1, _RAW, 1, 0)))
    return [head + stream for stream in streams for head in heads if len(stream) < TARGET.most_bytes]


TARGET = Target("frame", run, (FrameError,), seeds)
