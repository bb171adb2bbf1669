"""The one-time material of a query of the masked engines: dealt as two records, loaded as a `ReadyQuery`.

A server's record is the common parts of all gates, then what is its own: for E1 one seed of 32 bytes, for E2 explicit
words and its gates' seeds. Sizes follow from the public shape, so nothing in a record says how long it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pehealth.codec.material import common_layout, load_gate, pack_gate, second_layout
from pehealth.codec.packing import Layout, Words
from pehealth.config import Party
from pehealth.crypto import gate_max, gate_relu, gate_rescale, gate_select
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_rescale import RescaleGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.gates import Dealt, Gate, Material
from pehealth.crypto.prg import KEY_BYTES, Prg
from pehealth.engines.interface import Record, deal_mask, expand_mask, mask_layout
from pehealth.errors import MaterialError
from pehealth.nets.run_masked import AnyEngine, Entry, ReadyArgmax, ReadyLinear, ReadyQuery
from pehealth.nets.stages import ArgmaxStage, LinearStage, MaxStage, ReluStage, RescaleStage, Stage

Secrets = Mapping[int, Any]
"""Layer index -> what the engine's dealer knows of that layer, loaded."""
Models = Mapping[int, Any]
"""Layer index -> a server's share of that layer, loaded."""


@dataclass(frozen=True)
class MaterialPlan:
    """Where everything lies in a query's records.

    Attributes:
        engine: makes the linear layers' part.
        stages: of the network.
        batch: samples of a query.
    """

    engine: AnyEngine
    stages: tuple[Stage, ...]
    batch: int

    @property
    def common_bytes(self) -> int:
        """Bytes that both servers get."""
        return sum(common_layout(gate, count).size for stage in self.stages for gate, count in gates_of(stage))

    def record_bytes(self, party: Party) -> int:
        """Return the bytes of a server's record of one query."""
        if party is Party.E1:
            return self.common_bytes + KEY_BYTES
        return self.common_bytes + sum(layout.size for stage in self.stages for layout in self._second_layouts(stage))

    def _second_layouts(self, stage: Stage) -> Iterator[Layout]:
        if isinstance(stage, LinearStage):
            if stage.opens:
                yield mask_layout(stage.layer, self.batch, self.engine.ring)
            yield self.engine.material_layout(stage.layer, self.batch)
        for gate, count in gates_of(stage):
            yield second_layout(gate, count)


def gates_of(stage: Stage) -> list[tuple[Gate, int]]:
    """Return the rounds of gates of a stage: the gate and how many."""
    if isinstance(stage, ReluStage | RescaleStage):
        return [(stage.gate, stage.count)]
    if isinstance(stage, MaxStage | ArgmaxStage):
        return [(stage.gate, count) for count in stage.counts]
    return []


def deal_query(plan: MaterialPlan, secrets: Secrets, rng: Prg) -> tuple[bytes, bytes]:
    """Return the records of E1 and E2 for one query: what the dealer does.

    The dealer must never see the ciphertexts of the model or what passes between E1 and E2.
    """
    key = rng.key()
    seed = Prg(key)
    common: list[bytes] = []
    second: list[bytes] = []
    masks: dict[int, Words] = {}
    for stage in plan.stages:
        index = stage.placed.index
        if isinstance(stage, LinearStage):
            child = seed.child("linear", index)
            if stage.opens:
                source = mask_source(rng, index)
                masks[index], own = deal_mask(stage.layer, plan.batch, plan.engine.ring, child, source)
                second.append(own.pack(mask_layout(stage.layer, plan.batch, plan.engine.ring)))
            dealt = plan.engine.deal(stage.layer, masks[stage.mask_of], secrets[index], child)
            second.append(dealt.pack(plan.engine.material_layout(stage.layer, plan.batch)))
        for step, (gate, count) in enumerate(gates_of(stage)):
            r = mask_source(rng, index, step).ring((gate.masks, count), plan.engine.ring)
            both, own_part = pack_gate(deal_gate(gate, r, seed.child("gate", index, step), rng))
            common.append(both)
            second.append(own_part)
    shared = b"".join(common)
    return shared + key, shared + b"".join(second)


def load_query(plan: MaterialPlan, party: Party, record: bytes, models: Models, common: Prg) -> ReadyQuery:
    """Return a server's material of one query, made ready: before the query is known.

    Args:
        plan: of the network.
        party: whose record this is.
        record: as dealt.
        models: the server's share of every linear layer.
        common: the servers' own generator for this query; children only.

    Raises:
        MaterialError: the record's length is not that of this plan.
        PeerProtocolError: a part of it is malformed.
    """
    if len(record) != plan.record_bytes(party):
        raise MaterialError(
            f"{party}: this plan's record has {plan.record_bytes(party)} bytes, {len(record)} came: "
            "material of another plan, or cut off; deal again"
        )
    view = memoryview(record)
    reader = _Reader(plan, party, common, view[: plan.common_bytes], view[plan.common_bytes :])
    return ReadyQuery(tuple(reader.entry(stage, models) for stage in plan.stages))


def mask_source(rng: Prg, layer: int, step: int = 0) -> Prg:
    """Return the generator of the masks of one opening: a child, so that the mask-aware oracle can draw them too."""
    return rng.child("mask", layer, step)


def deal_gate(gate: Gate, r: Words, seed: Prg, rng: Prg) -> Dealt[Any]:
    """Return the material of one round of gates under the masks r (masks of a gate, gates)."""
    if isinstance(gate, ReluGate):
        return gate_relu.deal(r[0], gate, seed, rng)
    if isinstance(gate, RescaleGate):
        return gate_rescale.deal(r[0], gate, seed, rng)
    if isinstance(gate, MaxGate):
        return gate_max.deal(r[0], gate, seed, rng)
    if isinstance(gate, SelectGate):
        return gate_select.deal(r[0], r[1], gate, seed, rng)
    raise TypeError(f"no dealer for {gate}")


class _Reader:
    """Takes a record apart from the front."""

    def __init__(self, plan: MaterialPlan, party: Party, prg: Prg, common: memoryview, own: memoryview) -> None:
        self._plan, self._prg = plan, prg
        self._common, self._own = common, own
        self._seed = Prg(bytes(own)) if party is Party.E1 else None

    def entry(self, stage: Stage, models: Models) -> Entry:
        """Return what a stage needs."""
        if isinstance(stage, LinearStage):
            return self._linear(stage, models)
        rounds = [self._gates(stage, step, gate, count) for step, (gate, count) in enumerate(gates_of(stage))]
        if isinstance(stage, ReluStage | RescaleStage):
            return rounds[0]
        if isinstance(stage, ArgmaxStage):
            return ReadyArgmax(tuple(rounds))
        return tuple(rounds) if isinstance(stage, MaxStage) else None

    def _take(self, size: int) -> memoryview:
        part, self._own = self._own[:size], self._own[size:]
        return part

    def _linear(self, stage: LinearStage, models: Models) -> ReadyLinear:
        engine, batch = self._plan.engine, self._plan.batch
        model = models[stage.placed.index]
        prg = self._prg.child("linear", stage.placed.index)
        mask: Words | None = None
        if self._seed is not None:
            child = self._seed.child("linear", stage.placed.index)
            if stage.opens:
                mask = expand_mask(stage.layer, batch, engine.ring, child)["mask"]
            material = engine.expand(stage.layer, batch, child)
        else:
            if stage.opens:
                mask_part = mask_layout(stage.layer, batch, engine.ring)
                mask = Record.unpack(mask_part, self._take(mask_part.size))["mask"]
            part = engine.material_layout(stage.layer, batch)
            material = Record.unpack(part, self._take(part.size))
        return ReadyLinear(mask, engine.prepare(stage.layer, model, material, prg))

    def _gates(self, stage: Stage, step: int, gate: Gate, count: int) -> Material[Any]:
        size = common_layout(gate, count).size
        part, self._common = self._common[:size], self._common[size:]
        if self._seed is not None:
            return load_gate(gate, count, part, self._seed.child("gate", stage.placed.index, step))
        return load_gate(gate, count, part, self._take(second_layout(gate, count).size))
