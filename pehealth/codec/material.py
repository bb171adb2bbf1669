"""One-time material as bytes: what a layer of gates takes, and the record of a whole query.

A record is, layer after layer, what both servers get and what its owner alone gets. Value words are rounded up to
whole bytes, so that loading is one copy an array. E1's own part of all layers is one seed of 32 bytes at the front,
of which each layer has a child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pehealth.codec.packing import Field, Layout, Words
from pehealth.config import Party
from pehealth.crypto import mmo
from pehealth.crypto.dcf import DcfCommon
from pehealth.crypto.gates import Dealt, G, Gate, Half, Material, expand_first, restore_second
from pehealth.crypto.prg import KEY_BYTES, Prg
from pehealth.errors import MaterialError

SEED_BYTES = KEY_BYTES


def _whole_bytes(bits: int) -> int:
    return (bits + 7) // 8 * 8


def common_layout(gate: Gate, count: int) -> Layout:
    """Return the layout of what both servers get for `count` gates; empty for a gate without a comparison."""
    spec = gate.comparison
    if spec is None:
        return Layout(())
    width = _whole_bytes(spec.ring)
    bits = {"seed": 64, "tau": 1, "value": width, "leaf": width}
    fields = (Field(name, shape, bits[name]) for name, shape in spec.shapes(count).items())
    return Layout((Field("hash_key", (mmo.KEY_BYTES,), 8), *fields))


def second_layout(gate: Gate, count: int) -> Layout:
    """Return the layout of what E2 alone gets for `count` gates. E1 gets nothing beside its seed."""
    width = _whole_bytes(gate.ring)
    words = Field("masks", (gate.masks, count), width), Field("terms", (gate.terms, count), width)
    return Layout(words if gate.comparison is None else (Field("root_seed", (SEED_BYTES,), 8), *words))


def _octets(data: bytes) -> Words:
    return np.frombuffer(data, np.uint8).astype(np.uint64)


def pack_gate(dealt: Dealt[G]) -> tuple[bytes, bytes]:
    """Return what both servers get, and what E2 alone gets."""
    half, common = dealt.second, dealt.common
    count = len(half.masks[0])
    own = {"root_seed": _octets(dealt.second_seed), "masks": half.masks, "terms": half.terms}
    second = second_layout(dealt.gate, count).pack(own)
    if common is None:
        return b"", second
    arrays = {name: getattr(common, name) for name in common.spec.shapes(count)}
    return common_layout(dealt.gate, count).pack({"hash_key": _octets(common.hash_key), **arrays}), second


def load_gate(gate: G, count: int, common: bytes | memoryview, own: bytes | memoryview | Prg) -> Material[G]:
    """Return a server's material from what `pack_gate` made.

    Args:
        gate: the public description.
        count: gates.
        common: what both servers got.
        own: E2's bytes, or E1's generator for the layer.

    Raises:
        PeerProtocolError: a length is wrong.
    """
    return Material(gate, _load_common(gate, count, common), _load_half(gate, count, own))


def _load_common(gate: Gate, count: int, common: bytes | memoryview) -> DcfCommon | None:
    arrays = common_layout(gate, count).unpack(common)
    if gate.comparison is None:
        return None
    hash_key = arrays.pop("hash_key").astype(np.uint8).tobytes()
    return DcfCommon(gate.comparison, hash_key, **arrays)


def _load_half(gate: Gate, count: int, own: bytes | memoryview | Prg) -> Half:
    if isinstance(own, Prg):
        return expand_first(gate, count, own)
    arrays = second_layout(gate, count).unpack(own)
    seed = arrays["root_seed"].astype(np.uint8).tobytes() if "root_seed" in arrays else bytes(SEED_BYTES)
    return restore_second(gate, seed, arrays["masks"], arrays["terms"])


@dataclass(frozen=True)
class Part:
    """One layer's share of a record.

    Attributes:
        name: the layer's, for instance "2.relu"; unique in a record.
        common: what both servers get.
        second: what E2 alone gets.
    """

    name: str
    common: Layout
    second: Layout

    @classmethod
    def of_gate(cls, name: str, gate: Gate, count: int) -> Part:
        """Return the part of a layer of `count` gates."""
        return cls(name, common_layout(gate, count), second_layout(gate, count))


@dataclass(frozen=True)
class PartBytes:
    """One layer's material as a server finds it: `own` is E1's generator, or E2's bytes."""

    common: memoryview = field(repr=False)
    own: Prg | memoryview = field(repr=False)


@dataclass(frozen=True)
class RecordLayout:
    """The record of one query: its size is known from public shapes alone."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if len({part.name for part in self.parts}) != len(self.parts):
            raise ValueError(f"names of a record's parts repeat: {[part.name for part in self.parts]}")

    def size(self, party: Party) -> int:
        """Return the bytes of a server's record."""
        common = sum(part.common.size for part in self.parts)
        return common + (SEED_BYTES if party is Party.E1 else sum(part.second.size for part in self.parts))

    @staticmethod
    def generator(seed1: bytes, name: str) -> Prg:
        """Return E1's generator for one layer: what its `deal` is given."""
        return Prg(seed1).child("material", name)

    def join(self, seed1: bytes, layers: Mapping[str, tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """Return the records of E1 and E2.

        Args:
            seed1: 32 bytes, fresh for the query.
            layers: name -> (what both servers get, what E2 alone gets), made with `generator(seed1, name)`.
        """
        first, second = [seed1], []
        for part in self.parts:
            common, own = layers[part.name]
            if (len(common), len(own)) != (part.common.size, part.second.size):
                wanted = f"{part.common.size} and {part.second.size} planned"
                raise ValueError(f"{part.name}: {len(common)} and {len(own)} bytes; {wanted}")
            first.append(common)
            second += [common, own]
        return b"".join(first), b"".join(second)

    def split(self, party: Party, record: bytes | memoryview) -> dict[str, PartBytes]:
        """Return each layer's material: views of `record`, nothing is copied.

        Raises:
            MaterialError: the record has another size.
        """
        if len(record) != self.size(party):
            raise MaterialError(
                f"{party}: a record of {self.size(party)} bytes was planned, {len(record)} are stored; "
                "the material was dealt for another plan: deal it again"
            )
        view, out = memoryview(record), {}
        seed1, at = (view[:SEED_BYTES].tobytes(), SEED_BYTES) if party is Party.E1 else (b"", 0)
        for part in self.parts:
            common = view[at : at + part.common.size]
            at += part.common.size
            if party is Party.E1:
                out[part.name] = PartBytes(common, self.generator(seed1, part.name))
            else:
                out[part.name] = PartBytes(common, view[at : at + part.second.size])
                at += part.second.size
        return out
