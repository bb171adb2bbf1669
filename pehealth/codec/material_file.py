"""The file of one-time material: a server, a plan, a range of indices, then records of one size.

    header    magic (8), version (2), server (1), zero (5), first index (8), records (8), bytes a record (8),
              plan digest (32), SHA-256 of all that (32): 104 bytes, numbers little endian
    record    the record, then SHA-256(magic, plan digest, server, index, size, record)

The digests catch truncation, damage, and records that were moved to another index, server or plan. They are no
signature: whoever can write the file can write digests, so the file travels over the dealer's authenticated link.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from pehealth.config import Party
from pehealth.errors import MaterialError

MAGIC = b"PEHMAT\r\n"
VERSION = 1
DIGEST_BYTES = 32
_FIELDS = struct.Struct("<8sHB5xQQQ32s")
HEADER_BYTES = _FIELDS.size + DIGEST_BYTES
_SERVERS = {1: Party.E1, 2: Party.E2}
_MOST = 2**63 - 1
"""Greatest index, and bytes of a record: SQLite's numbers end there."""
_PIECE = 2**20
_AGAIN = "ask the dealer for the file again"


@dataclass(frozen=True)
class Header:
    """What a file of material says of itself.

    Attributes:
        plan: 32 bytes, the digest of everything the parties must agree on.
        party: E1 or E2.
        first: index of the first record.
        count: records.
        record_size: bytes of a record, its digest apart.
    """

    plan: bytes
    party: Party
    first: int
    count: int
    record_size: int

    def __post_init__(self) -> None:
        if len(self.plan) != DIGEST_BYTES or self.party not in _SERVERS.values():
            raise ValueError(f"a file of material is for E1 or E2 and a plan digest of {DIGEST_BYTES} bytes")

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return HEADER_BYTES + self.count * (self.record_size + DIGEST_BYTES)

    def pack(self) -> bytes:
        """Return the header's bytes."""
        server = self.party.half + 1
        fields = _FIELDS.pack(MAGIC, VERSION, server, self.first, self.count, self.record_size, self.plan)
        return fields + hashlib.sha256(fields).digest()

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """Return the header in `data`.

        Raises:
            MaterialError: it is cut short, damaged, not a header, or of another version.
        """
        if len(data) != HEADER_BYTES or not data.startswith(MAGIC):
            raise MaterialError(f"not a file of material: it does not begin with {MAGIC!r}; {_AGAIN}")
        fields, digest = data[: _FIELDS.size], data[_FIELDS.size :]
        _, version, server, first, count, record_size, plan = _FIELDS.unpack(fields)
        if version != VERSION:
            raise MaterialError(
                f"material of version {version}; this program reads {VERSION}: use one version throughout"
            )
        if hashlib.sha256(fields).digest() != digest or server not in _SERVERS:
            raise MaterialError(f"the header of the material is damaged; {_AGAIN}")
        if first + count > _MOST or record_size > _MOST:
            raise MaterialError(f"the header of the material names numbers that no store can hold; {_AGAIN}")
        return cls(plan, _SERVERS[server], first, count, record_size)

    def record_digest(self, index: int, record: bytes | memoryview) -> bytes:
        """Return the digest that ties a record to its index, server and plan, however the range was cut into files."""
        tie = struct.pack("<BQQ", self.party.half + 1, index, self.record_size)
        return hashlib.sha256(b"".join((MAGIC, self.plan, tie, record))).digest()


def tied(plan: bytes, party: Party, index: int, record: bytes) -> bytes:
    """Return a record behind which its digest ties it to plan, server and index: what the dealer sends over a link."""
    return record + Header(plan, party, index, 1, len(record)).record_digest(index, record)


def check_tied(plan: bytes, party: Party, index: int, frame: bytes, source: str) -> bytes:
    """Return the record in what `tied` made.

    Raises:
        MaterialError: it was dealt for another plan, server or index, or is damaged; says that it is from `source`.
    """
    record, digest = frame[:-DIGEST_BYTES], frame[-DIGEST_BYTES:]
    if Header(plan, party, index, 1, len(record)).record_digest(index, record) != digest:
        raise MaterialError(
            f"{party}: {source} dealt index {index} for another deployment or server, or it is damaged: give both the "
            "state of one deployment"
        )
    return record


class MaterialWriter:
    """Writes a file of mode 0600, record by record: complete under its name when the block ends, or not there at all.

    Raises:
        ValueError: the records are not as many or as long as the header says: our own mistake.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path, self._header = path, header
        self._draft = path.with_name(path.name + ".part")
        self._index = header.first

    def __enter__(self) -> Self:
        self._out = os.fdopen(os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._out.write(self._header.pack())
        return self

    def add(self, record: bytes) -> None:
        """Write the next record."""
        header = self._header
        if len(record) != header.record_size:
            raise ValueError(f"record {self._index} has {len(record)} bytes, the header says {header.record_size}")
        self._out.write(record)
        self._out.write(header.record_digest(self._index, record))
        self._index += 1

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        """Put the file in place, if all went well."""
        header = self._header
        with self._out:
            written = self._index - header.first
            if kind is None and written == header.count:
                self._out.flush()
                os.fsync(self._out.fileno())
                self._draft.replace(self._path)
                return
        self._draft.unlink()
        if kind is None:
            raise ValueError(f"{written} records for a header of {header.count}")


def write_material(path: Path, header: Header, records: Iterable[bytes]) -> None:
    """Write a whole file; see `MaterialWriter`."""
    with MaterialWriter(path, header) as writer:
        for record in records:
            writer.add(record)


def read_header(source: BinaryIO) -> Header:
    """Return the header at the front of `source`; errors as `Header.unpack`."""
    return Header.unpack(source.read(HEADER_BYTES))


def read_records(source: BinaryIO, header: Header) -> Iterator[tuple[int, bytes]]:
    """Yield (index, record), each checked, from a source whose header was read.

    Raises:
        MaterialError: the file is cut short or has something behind its last record, or a record is damaged.
    """
    for index in range(header.first, header.first + header.count):
        frame = _read_most(source, header.record_size + DIGEST_BYTES)
        if len(frame) != header.record_size + DIGEST_BYTES:
            raise MaterialError(
                f"{header.party}'s material ends within record {index}; it should hold {header.first} to "
                f"{header.first + header.count - 1}; {_AGAIN}"
            )
        record, digest = frame[: header.record_size], frame[header.record_size :]
        if header.record_digest(index, record) != digest:
            raise MaterialError(f"{header.party}'s material: record {index} is damaged or misplaced; {_AGAIN}")
        yield index, record
    if source.read(1):
        raise MaterialError(f"{header.party}'s material: bytes follow the last record; {_AGAIN}")


def _read_most(source: BinaryIO, size: int) -> bytes:
    """Return `size` bytes, or what there is: memory grows with what is there, not with what a header says."""
    if size <= _PIECE:
        return source.read(size)
    out = bytearray()
    while len(out) < size and (piece := source.read(min(_PIECE, size - len(out)))):
        out += piece
    return bytes(out)
