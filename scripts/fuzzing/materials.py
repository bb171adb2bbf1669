"""Files and messages of one-time material, with digests that are right as well as wrong: a dealer can write both."""

from __future__ import annotations

import hashlib
import io
import struct

from fuzzing.target import Source, Target, demand
from pehealth.codec.material_file import (
    DIGEST_BYTES,
    HEADER_BYTES,
    MAGIC,
    Header,
    check_tied,
    read_header,
    read_records,
    tied,
)
from pehealth.config import Party
from pehealth.errors import MaterialError

_PLAN = bytes(range(32))
_FIELDS = struct.Struct("<8sHB5xQQQ32s")
_RAW, _SIGNED, _TIED = 0, 1, 2
_MOST_RECORDS = 64


def run(data: bytes) -> None:
    """Read a file as it is, or one whose header has a right digest; or a record as a dealer sends it."""
    source = Source(data)
    mode = source.below(3)
    if mode == _TIED:
        _tied(source)
        return
    content = source.rest() if mode == _RAW else _signed(source)
    stream = io.BytesIO(content)
    header = read_header(stream)
    demand(header.pack()[:HEADER_BYTES] == _without_padding(content[:HEADER_BYTES]), "a header is not canonical")
    total = 0
    for number, (index, record) in enumerate(read_records(stream, header)):
        demand(index == header.first + number and len(record) == header.record_size, "a record out of place")
        total += len(record)
        if number > _MOST_RECORDS:
            break
    demand(total <= len(content), "records are longer than their file")


def _without_padding(header: bytes) -> bytes:
    """Five bytes of a header mean nothing: they are zero in what we write, under the digest like all others."""
    fields = header[:11] + bytes(5) + header[16 : _FIELDS.size]
    return fields + hashlib.sha256(fields).digest()


def _signed(source: Source) -> bytes:
    """Return a file with a digest that is right for its header, and for as many records as there are."""
    party = source.below(3)
    first, count, size = (source.number(1 + source.below(8)) for _ in range(3))
    fields = _FIELDS.pack(MAGIC, 1, party, first, count, size, _PLAN)
    out = [fields, hashlib.sha256(fields).digest()]
    if party in (1, 2) and size <= 64:
        header = Header(_PLAN, (Party.E1, Party.E2)[party - 1], first, count, size)
        for index in range(first, min(first + min(count, source.below(4)), 2**64)):
            record = source.take(size)
            out += [record, header.record_digest(index, record)]
    return b"".join(out) + source.rest()


def _tied(source: Source) -> None:
    party, index, right = (Party.E1, Party.E2)[source.below(2)], source.number(1), source.below(2)
    frame = tied(_PLAN, party, index, source.rest()) if right else source.rest()
    record = check_tied(_PLAN, party, index, frame, "DEALER")
    demand(tied(_PLAN, party, index, record) == frame, "a record does not come back")


def seeds() -> list[bytes]:
    """A whole file, its header alone, a cut one; records with and without a right digest."""
    header = Header(_PLAN, Party.E2, 7, 2, 16)
    records = [bytes([n]) * 16 for n in (7, 8)]
    whole = header.pack() + b"".join(r + header.record_digest(n, r) for n, r in enumerate(records, 7))
    files = (whole, whole[:-1], whole + b"x", header.pack(), whole[:50])
    built = bytes((_SIGNED, 1, 0, 7, 0, 2, 0, 16, 2)) + bytes(40)
    giant = bytes((_SIGNED, 1, 7)) + b"\xff" * 8 + bytes((7,)) + b"\xff" * 8 + bytes((7,)) + b"\x7f" * 8
    ties = [bytes((_TIED, 1, 3, right)) + bytes(DIGEST_BYTES + 9) for right in (0, 1)]
    return [bytes((_RAW,)) + file for file in files] + [built, giant, *ties]


TARGET = Target("material", run, (MaterialError,), seeds, most_bytes=1024)
