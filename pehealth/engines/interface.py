"""What a masked engine is: plain functions that make shares of W * y out of the public masked input y + R.

Every linear layer takes a public Y^ = Y + R mod 2^k. A server holds W_b (a share of the weights, dealt once)
and gets, before the query, U_b with U_1 + U_2 = W * R. Then z_b = W_b * Y^ - U_b + bias_b mod 2^k is its share
of z = W * Y + bias: no message, hence no channel in any signature here. Engines differ in who makes U.

What E1 holds of dealt things comes from a 32-byte seed, what E2 holds is explicit (the value minus E1's half).
A padding zero is public and never masked. All arrays are uint64 mod 2^k with a leading batch axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Field, Layout, Words
from pehealth.config import Engine, Party
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import KEY_BYTES, Prg
from pehealth.engines.workers import Workers

ModelT = TypeVar("ModelT")
SecretT = TypeVar("SecretT")
ReadyT = TypeVar("ReadyT")

SEED_FIELD = Field("seed", (KEY_BYTES // 8,), 64)
"""A 32-byte generator key inside a record."""


@dataclass(frozen=True, repr=False, eq=False)
class Record:
    """Named arrays in transit or on disk: one server's model, material, or what a dealer must know.

    Its repr shows names and shapes, never values.
    """

    arrays: Mapping[str, Words] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Words:
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}{list(a.shape)}" for name, a in self.arrays.items())
        return f"<Record {shapes or 'empty'}>"

    def pack(self, layout: Layout) -> bytes:
        """Return the bytes that `unpack` reads."""
        return layout.pack(self.arrays)

    @classmethod
    def unpack(cls, layout: Layout, data: bytes | memoryview) -> Record:
        """Return the record in `data`.

        Raises:
            PeerProtocolError: the length is not the layout's, or padding is set.
        """
        return cls(layout.unpack(data))


@dataclass(frozen=True)
class LinearCost:
    """What one linear layer costs, known from public shapes alone.

    Attributes:
        model: bytes of the model record of E1 and of E2.
        secret: bytes of what the dealer must be told of this layer.
        material: bytes of E2's material for the batch, its share of the mask apart. E1 expands its seed.
        mask: bytes of E2's share of the input mask R for the batch.
        deal, prepare, linear: operation counters for the batch, of the dealer and of one server.
    """

    model: tuple[int, int]
    secret: int
    material: int
    mask: int
    deal: Mapping[str, int]
    prepare: Mapping[str, int]
    linear: Mapping[str, int]


class MaskedEngine(Protocol[ModelT, SecretT, ReadyT]):
    """Five plain functions (encrypt, deal with expand, prepare, linear, cost), and what they take to and from bytes.

    ModelT, SecretT and ReadyT are the engine's own: a record made ready for use once (`load`, `load_secret`),
    and what `prepare` leaves for the online phase. Parameters are positional.
    """

    @property
    def name(self) -> Engine:
        """Which engine this is."""
        ...

    @property
    def ring(self) -> int:
        """k: everything is mod 2^k."""
        ...

    def check(self, layer: LinearMap, name: str, /) -> None:
        """Accept the layer called `name`, or refuse it.

        Raises:
            ConfigError: the engine cannot compute it in this ring; says why and what would help.
        """
        ...

    def keygen(self, rng: Prg, /) -> Record:
        """HC, once a deployment: return its key (empty where there is none)."""
        ...

    def encrypt(
        self, layer: LinearMap, weights: NDArray[np.int64], bias: NDArray[np.int64], key: Record, rng: Prg, /
    ) -> tuple[Record, Record]:
        """HC, at deployment: return the model records of E1 and E2.

        Shapes:  weights (out_channels, fan_in) at scale 10^d, bias (out_channels,) at 10^(2d); signed
        """
        ...

    def load(self, layer: LinearMap, model: Record, /) -> ModelT:
        """Server, at deployment: return its model record made ready for any number of queries."""
        ...

    def secret(self, layer: LinearMap, weights: NDArray[np.int64], key: Record, /) -> Record:
        """HC, at deployment: return what the dealer must know of this layer."""
        ...

    def load_secret(self, layer: LinearMap, secret: Record, /) -> SecretT:
        """Dealer, at deployment: return its secret made ready for any number of deals."""
        ...

    def deal(self, layer: LinearMap, mask: Words, secret: SecretT, seed1: Prg, /) -> Record:
        """Dealer, a query ahead: return E2's material for the mask R.

        Shapes:  mask (batch, inputs), uniform mod 2^k
        """
        ...

    def expand(self, layer: LinearMap, batch: int, seed1: Prg, /) -> Record:
        """E1, a query ahead: return its material, from the generator that the dealer used."""
        ...

    def products(self, layer: LinearMap, model: ModelT, material: Record, /) -> Words:
        """Server, a query ahead: return U_b (batch, outputs). `prepare` uses it, and the mask-aware oracle."""
        ...

    def prepare(self, layer: LinearMap, model: ModelT, material: Record, common: Prg, /) -> ReadyT:
        """Server, a query ahead: return all that `linear` needs.

        `common` is the same at both servers, fresh for this query and layer, and unknown to HC and dealer.
        """
        ...

    def linear(self, layer: LinearMap, y_masked: Words, ready: ReadyT, /) -> Words:
        """Server, online, no message: return its share of z = W * Y + bias.

        Shapes:  y_masked (batch, inputs) public -> (batch, outputs)
        """
        ...

    def model_layout(self, layer: LinearMap, party: Party, /) -> Layout:
        """Return the layout of a server's model record."""
        ...

    def secret_layout(self, layer: LinearMap, /) -> Layout:
        """Return the layout of the dealer's secret."""
        ...

    def key_layout(self) -> Layout:
        """Return the layout of HC's key."""
        ...

    def material_layout(self, layer: LinearMap, batch: int, /) -> Layout:
        """Return the layout of E2's material for a batch; E1's is a seed."""
        ...

    def cost(self, layer: LinearMap, batch: int = 1, /) -> LinearCost:
        """Plan: return what the layer costs, without running it."""
        ...


Report = Callable[[str, int, int], None]
"""Called with what is being computed, how much of it is done, and of how much. What it raises ends the work."""


@dataclass(frozen=True, repr=False, eq=False)
class Worked:
    """What a heavy linear layer gave one server.

    Attributes:
        share: of z (batch, outputs).
        ops: operation counters.
        seconds: time by kind of work.
        processor: seconds of processor time by kind of work, where one worker did it all; else empty.
    """

    share: Words
    ops: Mapping[str, int]
    seconds: Mapping[str, float]
    processor: Mapping[str, float]


@runtime_checkable
class HeavyEngine(Protocol):
    """A masked engine whose online step takes seconds to minutes: it is run off the event loop and reports."""

    def work(self, layer: LinearMap, y_masked: Words, ready: Any, workers: Workers, report: Report, /) -> Worked:  # noqa: ANN401 - the engine's own
        """Server, online, no message: what `linear` returns, with counters and times."""
        ...


def seed_words(key: bytes) -> Words:
    """Return a generator's key as the array of a record."""
    return np.frombuffer(key, "<u8").astype(np.uint64)


def seed_prg(words: Words) -> Prg:
    """Return the generator whose key is in a record."""
    return Prg(words.astype("<u8").tobytes())


def ring_mask(ring: int) -> np.uint64:
    """Return 2^k - 1, to reduce mod 2^k by."""
    return np.uint64((1 << ring) - 1)


def to_ring(values: NDArray[Any], ring: int) -> Words:
    """Return signed integers as elements of Z_{2^k}."""
    return values.astype(np.int64).view(np.uint64) & ring_mask(ring)


def from_ring(words: Words, ring: int) -> NDArray[np.int64]:
    """Return the centred representatives in [-2^(k-1), 2^(k-1)), as int64."""
    shift = np.uint64(64 - ring)
    return (words << shift).view(np.int64) >> np.int64(64 - ring)


def mask_layout(layer: LinearMap, batch: int, ring: int) -> Layout:
    """Return the layout of E2's share of the input mask."""
    return Layout((Field("mask", (batch, layer.inputs), ring),))


def deal_mask(layer: LinearMap, batch: int, ring: int, seed1: Prg, rng: Prg) -> tuple[Words, Record]:
    """Dealer: return a fresh mask R (batch, inputs), uniform mod 2^k, and E2's share of it.

    Common to all masked engines. R must serve one opening only: two openings under one R give Y - Y'.
    """
    mask = rng.ring((batch, layer.inputs), ring)
    own = expand_mask(layer, batch, ring, seed1)["mask"]
    return mask, Record({"mask": (mask - own) & ring_mask(ring)})


def expand_mask(layer: LinearMap, batch: int, ring: int, seed1: Prg) -> Record:
    """E1: return its share of R from the generator that the dealer used."""
    return Record({"mask": seed1.child("input mask").ring((batch, layer.inputs), ring)})
