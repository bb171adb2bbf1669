"""The walker of the masked engines: public masked inputs, shares mod 2^k, five rounds for three linear layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from pehealth.codec.packing import Words
from pehealth.config import Party
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.gates import Material
from pehealth.crypto.linear import pool_windows, take_or_zero
from pehealth.engines.interface import HeavyEngine, MaskedEngine, Report, Worked, ring_mask
from pehealth.engines.workers import Workers
from pehealth.nets.stages import (
    AddStage,
    ArgmaxStage,
    LinearStage,
    MaxStage,
    MoveStage,
    ReluStage,
    RescaleStage,
    Stage,
    SumStage,
    own_rounds,
)
from pehealth.protocols.context import Context
from pehealth.protocols.masked import argmax, max_pool, open_masked, relu, rescale

Watch = Callable[[int, float], None]
"""Called after each layer with its index and the seconds it took this server."""
Show = Callable[[int, Words], None]
"""Called after each layer with its index and this server's share of the output."""
AnyEngine = MaskedEngine[Any, Any, Any]


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def _untimed(_worked: Worked) -> None:
    """Keep no times."""


@dataclass(frozen=True)
class Helpers:
    """What engines that compute for long online are given.

    Attributes:
        workers: runs their tasks.
        report: is called from a worker thread with what is being computed, how much is done, and of how much.
        spent: is called with what each such layer gave.
    """

    workers: Workers = field(default_factory=Workers)
    report: Report = silent
    spent: Callable[[Worked], None] = _untimed


@dataclass(frozen=True, repr=False, eq=False)
class ReadyLinear:
    """A linear layer with all that does not depend on the query's values.

    Attributes:
        mask: this server's share of R (batch, inputs), for one opening; None if the input is opened under another's.
        ready: what the engine prepared.
    """

    mask: Words | None
    ready: Any


@dataclass(frozen=True, repr=False, eq=False)
class ReadyArgmax:
    """The gates of each round of the tournament between classes."""

    rounds: tuple[Material[SelectGate], ...]


Entry = ReadyLinear | Material[Any] | tuple[Material[MaxGate], ...] | ReadyArgmax | None
"""What a stage needs of a query's material; sums and moves need nothing."""


@dataclass(frozen=True, repr=False, eq=False)
class ReadyQuery:
    """One server's material of one query, made ready: an entry a stage."""

    entries: tuple[Entry, ...]

    def __repr__(self) -> str:
        return f"<ReadyQuery of {len(self.entries)} stages>"


async def run_masked(
    ctx: Context,
    engine: AnyEngine,
    stages: Sequence[Stage],
    query: ReadyQuery,
    share: Words,
    now: Callable[[], float],
    watch: Watch,
    show: Show,
    helpers: Helpers,
    since: float,
) -> Words:
    """Return this server's share of the logits, or of the class if that alone is to be revealed.

    Protocol:   ReLU: open x^ = x + r, then one comparison key alone, which also rescales; max pooling: a tournament of
                openings; rescale: open x^, then a formula alone; mean pooling, sums, moves: alone; a value that linear
                layers take is opened once, Y^ = Y + R, where it is made;
                linear: W_b * Y^ - U_b + bias_b alone, with no message
    Shapes:     share (batch, inputs) mod 2^k -> (batch, classes); (batch,) for the class
    Scale:      10^d -> that of `scale_steps(network, d, masked)`
    Cost:       `plan_masked`; server rounds 2L - 1 for a chain of L linear layers with ReLUs between, plus
                ceil(log2(window)) a max pool, one a rescale, plus ceil(log2(classes)) for the class
    Error:      `error_bounds`
    Leaks:      nothing: only values under fresh uniform masks are opened
    Times:      layer 0 is watched from `since`, when this server began to wait for its input
    """
    walk = _Walk(engine, stages, query, helpers)
    await walk.keep(ctx.at(0), 0, share, step=0)
    watch(0, now() - since)
    for place, (stage, entry) in enumerate(zip(stages, query.entries, strict=True)):
        began = now()
        here = ctx.at(stage.placed.index)
        share = await walk.run(here, stage, entry)
        await walk.keep(here, stage.placed.index, share, step=own_rounds(stage))
        walk.forget(place)
        watch(stage.placed.index, now() - began)
        show(stage.placed.index, share)
    return share


class _Walk:
    """The values of one query on their way: shares, and what is opened of them under a mask."""

    def __init__(self, engine: AnyEngine, stages: Sequence[Stage], query: ReadyQuery, helpers: Helpers) -> None:
        self._engine, self._helpers = engine, helpers
        self._shares: dict[int, Words] = {}
        self._opened: dict[int, Words] = {}
        self._masks = {
            stage.placed.source: entry.mask
            for stage, entry in zip(stages, query.entries, strict=True)
            if isinstance(stage, LinearStage) and isinstance(entry, ReadyLinear) and entry.mask is not None
        }
        last = {source: place for place, stage in enumerate(stages) for source in stage.placed.sources}
        self._done: dict[int, list[int]] = {}
        for source, place in last.items():
            self._done.setdefault(place, []).append(source)

    async def keep(self, ctx: Context, value: int, share: Words, *, step: int) -> None:
        """Keep a share that was made, and open it if linear layers take it.

        The opening belongs to the layer that made the value, so a linear layer itself sends nothing.
        """
        self._shares[value] = share
        mask = self._masks.get(value)
        if mask is not None:
            self._opened[value] = await open_masked(ctx, share, mask, step=step)

    def forget(self, place: int) -> None:
        """Drop what no stage after the one at `place` takes."""
        for value in self._done.get(place, ()):
            del self._shares[value]
            self._opened.pop(value, None)

    async def run(self, here: Context, stage: Stage, entry: Entry) -> Words:
        """Return this server's share of a stage's output."""
        if isinstance(stage, LinearStage) and isinstance(entry, ReadyLinear):
            return await _linear(
                here, self._engine, stage, self._opened[stage.placed.source], entry.ready, self._helpers
            )
        inputs = [self._shares[source] for source in stage.placed.sources]
        if isinstance(stage, ReluStage) and isinstance(entry, Material):
            return await relu(here, inputs[0], entry)
        if isinstance(stage, RescaleStage) and isinstance(entry, Material):
            return await rescale(here, inputs[0], entry)
        if isinstance(stage, MaxStage) and isinstance(entry, tuple):
            windows = pool_windows(stage.placed.in_shape, stage.layer.window, stage.layer.steps)
            return await max_pool(here, inputs[0], windows, entry)
        if isinstance(stage, ArgmaxStage) and isinstance(entry, ReadyArgmax):
            return await argmax(here, inputs[0], entry.rounds)
        if isinstance(stage, SumStage | AddStage | MoveStage):
            return local(stage, here.party, inputs) & ring_mask(here.parameters.ring)
        raise TypeError(f"{stage.placed.name} was given material of another kind")


def local(stage: SumStage | AddStage | MoveStage, party: Party, inputs: Sequence[Words]) -> Words:
    """Return what a stage without messages makes of shares, mod 2^64."""
    placed, share = stage.placed, inputs[0]
    if isinstance(stage, MoveStage):
        return take_or_zero(share, stage.layer.gather(placed.in_shape))
    if isinstance(stage, SumStage):
        out: Words = share[:, pool_windows(placed.in_shape, stage.layer.window, stage.layer.steps)].sum(axis=2)
        return out
    total = np.full_like(share, stage.offset if party is Party.E1 else 0)
    for weight, part in zip(stage.weights, inputs, strict=True):
        total += np.uint64(weight) * part.reshape(share.shape)
    return total


async def _linear(
    ctx: Context, engine: AnyEngine, stage: LinearStage, opened: Words, ready: object, helpers: Helpers
) -> Words:
    """Return this server's share of a linear layer: at once, or off the event loop where it takes long. No message."""
    if not isinstance(engine, HeavyEngine):
        return engine.linear(stage.layer, opened, ready)
    report = partial(_named, helpers.report, stage.placed.name)
    worked: Worked = await ctx.compute(engine.work, stage.layer, opened, ready, helpers.workers, report)
    ctx.count(**worked.ops)
    helpers.spent(worked)
    return worked.share


def _named(report: Report, name: str, what: str, done: int, of: int) -> None:
    report(f"{name} {what}", done, of)
