"""The walker of the masked engines: public masked inputs, shares mod 2^k, five rounds for three linear layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pehealth.codec.packing import Words
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.gates import Material
from pehealth.crypto.linear import pool_windows
from pehealth.engines.interface import HeavyEngine, MaskedEngine, Report, Worked, ring_mask
from pehealth.engines.workers import Workers
from pehealth.nets.stages import ArgmaxStage, LinearStage, MaxStage, ReluStage, Stage, SumStage, own_rounds
from pehealth.protocols.context import Context
from pehealth.protocols.masked import argmax, max_pool, open_masked, relu

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
        mask: this server's share of R (batch, inputs), for one opening.
        ready: what the engine prepared.
    """

    mask: Words
    ready: Any


@dataclass(frozen=True, repr=False, eq=False)
class ReadyArgmax:
    """The gates of each round of the tournament between classes."""

    rounds: tuple[Material[SelectGate], ...]


Entry = ReadyLinear | Material[ReluGate] | tuple[Material[MaxGate], ...] | ReadyArgmax | None
"""What a stage needs of a query's material; a sum needs nothing."""


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
                openings; mean pooling: sums; whatever feeds a linear layer ends with opening Y^ = Y + R;
                linear: W_b * Y^ - U_b + bias_b alone, with no message
    Shapes:     share (batch, inputs) mod 2^k -> (batch, classes); (batch,) for the class
    Scale:      10^d -> that of `scale_steps(network, d, masked)`
    Cost:       `plan_masked`; server rounds 2L - 1 for L linear layers, plus ceil(log2(window)) a max pool,
                plus ceil(log2(classes)) for the class
    Error:      `error_bounds`
    Leaks:      nothing: only values under fresh uniform masks are opened
    Times:      layer 0 is watched from `since`, when this server began to wait for its input
    """
    opened = await _open_next(ctx.at(0), query.entries[0], share, step=0)
    watch(0, now() - since)
    for place, (stage, entry) in enumerate(zip(stages, query.entries, strict=True), 1):
        began = now()
        here = ctx.at(stage.placed.index)
        if isinstance(stage, LinearStage) and isinstance(entry, ReadyLinear):
            share = await _linear(here, engine, stage, opened, entry.ready, helpers)
        elif isinstance(stage, ReluStage) and isinstance(entry, Material):
            share = await relu(here, share, entry)
        elif isinstance(stage, MaxStage) and isinstance(entry, tuple):
            windows = pool_windows(stage.placed.in_shape, stage.layer.window, stage.layer.steps)
            share = await max_pool(here, share, windows, entry)
        elif isinstance(stage, ArgmaxStage) and isinstance(entry, ReadyArgmax):
            share = await argmax(here, share, entry.rounds)
        elif isinstance(stage, SumStage):
            windows = pool_windows(stage.placed.in_shape, stage.layer.window, stage.layer.steps)
            share = share[:, windows].sum(axis=2) & ring_mask(ctx.parameters.ring)
        else:
            raise TypeError(f"{stage.placed.name} was given material of another kind")
        if place < len(stages):
            opened = await _open_next(here, query.entries[place], share, step=own_rounds(stage))
        watch(stage.placed.index, now() - began)
        show(stage.placed.index, share)
    return share


async def _open_next(ctx: Context, following: Entry, share: Words, *, step: int) -> Words:
    """Return what the next stage takes: the masked input of a linear layer, opened; a share for any other.

    The opening belongs to the layer that made the value, so a linear layer itself sends nothing.
    """
    if isinstance(following, ReadyLinear):
        return await open_masked(ctx, share, following.mask, step=step)
    return share


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
