"""The online work of engine `ddh`: exponents, multi-exponentiations, walks. No message, seconds to minutes.

With i over the terms of an output, and <Y>, <s.Y> a server's integer shares:

    E1:  P_1 = alpha^(<s.Y>_1)  prod beta_i^(-<Y_i>_1)        E2:  P_2 = alpha^(-<s.Y>_2)  prod beta_i^(<Y_i>_2)
    so   P_2 = P_1 * g^(w.Y)

Both multiply by the same random element, derived from what they alone have in common, and walk to the first
distinguished point (and where that is planned, jump on): mu_1 = mu_2 + w.Y steps, so (mu_1, -mu_2) are shares of w.Y
over the integers. With these signs exponents are positive (but for a rare one of alpha's), and nothing is inverted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from pehealth.codec.packing import Words
from pehealth.config import GroupName, Party
from pehealth.crypto.ddlog import Walk, expected_steps, steps
from pehealth.crypto.ddlog_jumps import jump
from pehealth.crypto.groups import Elements, ModpGroup, group
from pehealth.crypto.lift import wrap_weight
from pehealth.crypto.linear import Ints
from pehealth.crypto.multiexp_modp import Plan, plan_powers
from pehealth.engines.ddh_plan import Split
from pehealth.engines.ddh_sizes import Sizes
from pehealth.engines.interface import Report, Worked, ring_mask
from pehealth.engines.workers import Workers

JUMP_STEPS = 6000
"""A jump takes about as long as this many steps."""
TASK_STEPS = 5e8
"""Steps of the walks that are one task: a fifth of a second or so."""


@dataclass(frozen=True, repr=False, eq=False)
class DdhReady:
    """One server's layer with the material of one query.

    Attributes:
        party: whose it is.
        bases, keys, bias: the model's, as in `DdhModel`.
        offset, wrap: (batch, inputs) shares of T and v.
        key_offset: (batch, positions) shares of s.T.
        key_wrap: (batch, positions, fan_in) shares of s_j v.
        blinding: (rows, batch * positions) elements that both servers multiply their starts by.
        pad: (batch, outputs) what re-randomises the output share: E1's is the negative of E2's.
    """

    party: Party
    bases: Elements
    keys: Ints
    bias: Words
    offset: Ints
    wrap: Ints
    key_offset: Ints
    key_wrap: Ints
    blinding: Elements
    pad: Words

    def __repr__(self) -> str:
        return f"<DdhReady of {self.party} {list(self.blinding.shape)}>"


def work(
    grp: ModpGroup,
    sizes: Sizes,
    split: Split,
    walk: Walk,
    y_masked: Words,
    ready: DdhReady,
    workers: Workers,
    report: Report,
) -> Worked:
    """Return a server's share of W * Y + bias mod 2^k, with counters and times.

    Protocol:   1. <Y>, <s.Y> from the public Y^ and the dealt shares; 2. a product of powers for each digit, output and
                position; 3. blind, walk; 4. digits, bias and pad together
    Shapes:     y_masked (batch, inputs) -> share (batch, outputs)
    """
    began = _now()
    exponents = shares_of_input(sizes, y_masked, ready)
    plan = plan_powers(grp.modulus, exponents)
    tasks = [(plan, row) for row in ready.bases]
    powers = workers.map(_row_powers, tasks, partial(report, "exponentiation"))
    starts = grp.mul(np.array(powers, object).reshape(ready.blinding.shape), ready.blinding)
    middle = _now()
    found = _walk(grp, starts.reshape(-1), walk, split.jumps, workers, partial(report, "conversion"))
    mu = found.mu.reshape(starts.shape)
    ended = _now()
    batch = len(y_masked)
    ops = {
        "exponentiations": len(ready.bases) * batch * (sizes.layer.positions + sizes.valid),
        "conversions": mu.size,
        "ddlog_steps": found.steps,
    }
    if split.jumps:
        ops["ddlog_jumps"] = found.jumps
    seconds, processor = (
        {"exponentiation": m - b, "conversion": e - m} for b, m, e in zip(began, middle, ended, strict=True)
    )
    return Worked(_output(sizes, split, mu, ready), ops, seconds, processor if workers.count == 1 else {})


def _now() -> tuple[float, float]:
    """Return the time, and the processor time of this thread."""
    return time.perf_counter(), time.thread_time()


def shares_of_input(sizes: Sizes, y_masked: Words, ready: DdhReady) -> Ints:
    """Return the exponents (batch * positions, pieces + fan_in): of alpha's powers, then of beta; signs by party."""
    layer, public = sizes.layer, y_masked.astype(object)
    weight = wrap_weight(y_masked, sizes.ring)
    own = public if ready.party is Party.E1 else 0
    y = own - ready.offset + weight * ready.wrap
    key_y = layer.columns(public) @ ready.keys - ready.key_offset
    key_y = key_y + (layer.columns(weight) * ready.key_wrap).sum(axis=2)
    sign = 1 if ready.party is Party.E1 else -1
    pieces = cut(sign * key_y, sizes.piece, sizes.pieces)
    both = np.concatenate([pieces, layer.columns(-sign * y)], axis=2)
    return both.reshape(-1, both.shape[2])


def cut(values: Ints, bits: int, count: int) -> Ints:
    """Return (..., count) signed pieces with value = sum_i piece_i 2^(i * bits); the last takes what is left."""
    sign: Ints = np.where(values < 0, -1, 1).astype(object)
    size: Ints = sign * values
    mask = (1 << bits) - 1
    pieces = [size >> (bits * i) for i in range(count)]
    return np.stack([sign * (piece & mask) for piece in pieces[:-1]] + [sign * pieces[-1]], axis=-1)


def _row_powers(task: tuple[Plan, Elements]) -> list[mpz]:
    plan, bases = task
    return plan.powers(bases)


@dataclass(frozen=True, repr=False, eq=False)
class Converted:
    """What some starts gave: mu (n,), and the steps and jumps that it took."""

    mu: NDArray[np.int64]
    steps: int
    jumps: int


def _walk(grp: ModpGroup, starts: Elements, walk: Walk, jumps: int, workers: Workers, tell: partial[None]) -> Converted:
    """Convert starts (n,), a few a task."""
    work = expected_steps(walk) + (JUMP_STEPS << jumps if jumps else 0)
    size = max(int(TASK_STEPS / work), 1)
    tasks = [(grp.name, starts[at : at + size], walk, jumps) for at in range(0, len(starts), size)]
    found = workers.map(_convert, tasks, lambda done, _: tell(min(done * size, len(starts)), len(starts)))
    mu = np.concatenate([part.mu for part in found])
    return Converted(mu, sum(part.steps for part in found), sum(part.jumps for part in found))


def _convert(task: tuple[GroupName, Elements, Walk, int]) -> Converted:
    name, starts, walk, jumps = task
    grp = group(name)
    mu = steps(grp, starts, walk)
    taken = int(mu.sum())
    if not jumps or not isinstance(grp, ModpGroup):
        return Converted(mu, taken, 0)
    cap = walk.cap >> (walk.run + 1) << jumps
    far, count = jump(grp, starts, mu, walk.run, jumps, cap)
    return Converted(far, taken, count)


def _output(sizes: Sizes, split: Split, mu: NDArray[np.int64], ready: DdhReady) -> Words:
    """Return the sum over digits of base^t times the converted shares, with bias and pad, mod 2^k."""
    layer, batch = sizes.layer, len(ready.pad)
    share = (mu if ready.party is Party.E1 else -mu).view(np.uint64)
    digits = share.reshape(split.count, layer.out_channels, batch, layer.positions)
    factors = np.array([split.base**t % 2**64 for t in range(split.count)], np.uint64)
    z = np.einsum("t,tobp->bop", factors, digits).reshape(batch, layer.outputs)
    out: Words = (layer.add_bias(z, ready.bias) + ready.pad) & ring_mask(sizes.ring)
    return out
