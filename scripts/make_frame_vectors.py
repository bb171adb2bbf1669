"""Write tests/vectors/frames.json: byte strings and the frames, or the error, that a reader must make of them.

Headers are packed here field by field, so that the vectors do not depend on the code which they test.

python scripts/make_frame_vectors.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

PATH = Path(__file__).parent.parent / "tests" / "vectors" / "frames.json"
LIMIT = 4096
FIELDS = (
    ("length", 4),
    ("version", 1),
    ("kind", 1),
    ("depth", 2),
    ("rounds", 2),
    ("sequence", 2),
    ("query", 8),
    ("tag", 4),
)
DATA_TAG = 3 << 30 | 5 << 16 | 7
KINDS = ("DATA", "HELLO", "KEEPALIVE", "ABORT", "BYE")


def frame(payload: bytes = b"", **changed: int) -> bytes:
    """Return a frame; a DATA frame with plain values unless told otherwise."""
    values = {"length": len(payload), "version": 1, "kind": 0, "depth": 0, "rounds": 0, "sequence": 0, "query": 0}
    values["tag"] = changed.get("kind", 0) or DATA_TAG
    values |= changed
    return b"".join(values[name].to_bytes(size, "big") for name, size in FIELDS) + payload


def read(payload: bytes = b"", **changed: int) -> dict[str, object]:
    """Return what a reader makes of `frame` with the same arguments."""
    kind = changed.get("kind", 0)
    values = {name: changed.get(name, 0) for name in ("depth", "rounds", "sequence", "query")}
    return {"kind": KINDS[kind], **values, "tag": changed.get("tag", kind or DATA_TAG), "payload": payload.hex()}


def good() -> list[dict[str, object]]:
    """Byte strings that hold whole frames."""
    top = {"depth": 0xFFFF, "rounds": 0xFFFF, "query": 2**64 - 1, "tag": 2**32 - 1}
    cases: list[tuple[str, list[tuple[bytes, dict[str, int]]]]] = [
        ("an empty message", [(b"", {})]),
        ("a message", [(b"share", {"depth": 3, "rounds": 2, "query": 7})]),
        ("the greatest number in every field", [(b"\xff" * 3, top)]),
        ("a payload of the greatest length", [(bytes(range(256)) * 16, {})]),
        ("a payload that looks like a header", [(frame(b"inside"), {})]),
        ("every control frame", [(b"x" * kind, {"kind": kind, "sequence": kind - 1}) for kind in (1, 2, 3, 4)]),
        ("three messages", [(bytes(n), {"sequence": n, "tag": (n + 1) << 30}) for n in range(3)]),
        ("empty messages one after the other", [(b"", {"sequence": n}) for n in range(5)]),
    ]
    return [
        {
            "name": name,
            "bytes": b"".join(frame(payload, **changed) for payload, changed in frames).hex(),
            "frames": [read(payload, **changed) for payload, changed in frames],
        }
        for name, frames in cases
    ]


def bad() -> list[dict[str, object]]:
    """Byte strings that end in an error, with the frames before it and words that the error must hold."""
    first = frame(b"first")
    cases: list[tuple[str, bytes, int, str]] = [
        ("another version", frame(version=2), 0, "expected frame version 1, came 2"),
        ("version 0", frame(version=0), 0, "expected frame version 1, came 0"),
        ("an unknown kind", frame(kind=5, tag=5), 0, "expected a frame kind below 5, came 5"),
        ("kind 255", frame(kind=255), 0, "expected a frame kind below 5, came 255"),
        ("too long", frame(length=LIMIT + 1), 0, "expected at most 4096 bytes of payload, came a frame of 4097"),
        ("as long as can be said", frame(length=2**32 - 1), 0, "came a frame of 4294967295"),
        ("a sequence that does not begin with 0", frame(sequence=1), 0, "expected frame number 0, came 1"),
        ("a frame repeated", first + first, 1, "expected frame number 1, came 0"),
        ("a frame left out", first + frame(sequence=2), 1, "expected frame number 1, came 2"),
        ("data under a control tag", frame(tag=5 << 16), 0, "expected data in the phases setup, offline or online"),
        ("a goodbye with a depth", frame(kind=4, depth=1), 0, "expected a BYE frame with depth, rounds and query 0"),
        ("a keepalive with rounds", frame(kind=2, rounds=1), 0, "expected a KEEPALIVE frame"),
        ("an abort of a query", frame(kind=3, query=9), 0, "expected a ABORT frame"),
        ("a greeting under a data tag", frame(kind=1, tag=DATA_TAG), 0, "expected a HELLO frame"),
        ("half a header", frame()[:12], 0, "expected a header of 24 bytes, came the end after 12"),
        ("half a payload", frame(bytes(10))[:-4], 0, "expected a payload of 10 bytes, came the end after 6"),
        ("a whole frame and a piece", first + b"\0", 1, "expected a header of 24 bytes, came the end after 1"),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: e1\r\n\r\n", 0, "expected frame version 1, came 47"),
        (
            "a TLS greeting",
            bytes.fromhex("16030100f4010000f00303") + bytes(20),
            0,
            "came 244: it speaks TLS",
        ),
    ]
    return [
        {"name": name, "bytes": data.hex(), "frames": [read(b"first")] * before, "error": words}
        for name, data, before, words in cases
    ]


def main() -> int:
    """Write the vectors, or with --check compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the file is up to date")
    args = parser.parse_args()
    text = json.dumps({"limit": LIMIT, "good": good(), "bad": bad()}, indent=1) + "\n"
    if args.check:
        return 0 if PATH.read_text() == text else 1
    PATH.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
