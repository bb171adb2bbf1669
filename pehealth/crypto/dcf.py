"""Distributed comparison functions: two keys that sum to beta * [x < alpha] and hide alpha and beta.

The tree of Boyle et al. [BCG21, Fig. 1] with payloads in (Z_{2^k})^words, vectorised over gates, level by level. A
key is a root seed of 127 bits, one's own, and correction words common to both parties.

    block     128 bits; bit 0 is the control bit t, the rest the seed
    children  H(s xor 2x), x the bit of the input; values H(s xor 2x xor 4), leaves H(s xor 32 xor 64j); H of `mmo`
    control   tau_keep = lsb(D_keep) xor 1, tau_lose = lsb(D_lose), D the xor of both parties' blocks
    seeds     D_lose WITH BIT 0 CLEARED, where tau of the left side is put; tau_left xor tau_right apart

Clearing bit 0 is a matter of secrecy, not of correctness: lsb(D_lose) is tau_lose, so beside both published taus it
would tell which side is lost, which is alpha. The last two levels are one table of four leaves. Payload corrections
need no recursion: what both values on the path sum to is known after every level.

Assumption: H is correlation robust (see `mmo`). Perfect correctness. Leaks nothing but the public `DcfSpec`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pehealth.crypto import ring
from pehealth.crypto.mmo import KEY_BYTES, Blocks, Mmo
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import Words

CHUNK = 2048
"""Gates worked on together: what their blocks take stays in a core's cache."""
MAX_WORDS = 3
_TABLE_LEVELS = 2
_GROUP_BLOCKS = 8192
"""Blocks whose payload is hashed in one call."""
_SHARED_BLOCK_BITS = 42
"""Up to this ring size three words come from one block: 42 + 42 + 44 bits."""

_ONE = np.uint64(1)
_SIDE = np.uint64(2)
_VALUE = np.uint64(4)
_SECOND_VALUE = np.uint64(8)
_LEAF = np.uint64(32)
_LEAF_SHIFT = np.uint64(6)


@dataclass(frozen=True, slots=True)
class DcfSpec:
    """What is public of a batch of keys.

    Attributes:
        domain: bits of x and alpha, 1 to 64.
        ring: k, bits of a payload word, 1 to 64.
        words: payload words, 1 to 3.
        inclusive: compare x <= alpha instead of x < alpha.
    """

    domain: int
    ring: int
    words: int
    inclusive: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.domain <= 64 and 1 <= self.ring <= 64 and 1 <= self.words <= MAX_WORDS):
            raise ValueError(f"no comparison function of this size: {self}")

    @property
    def table(self) -> int:
        """Levels that the leaf table stands for."""
        return min(_TABLE_LEVELS, self.domain - 1)

    @property
    def levels(self) -> int:
        """Levels walked one by one."""
        return self.domain - self.table

    @property
    def value_blocks(self) -> int:
        """Hashed blocks that one payload vector takes."""
        return 1 if self.words < MAX_WORDS or self.ring <= _SHARED_BLOCK_BITS else 2

    def shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each array of `DcfCommon` for `count` gates."""
        return {
            "seed": (self.levels, count, 2),
            "tau": (self.levels, count),
            "value": (self.words, self.levels, count),
            "leaf": (self.words, 1 << self.table, count),
        }


@dataclass(frozen=True, slots=True)
class DcfCommon:
    """The part of a batch of keys that both servers hold.

    Attributes:
        spec: sizes.
        hash_key: 16 public bytes, fresh for the batch.
        seed: (levels, count, 2) seed corrections; bit 0 of a block is tau of the left side.
        tau: (levels, count) of 0 or 1: tau_left xor tau_right.
        value: (words, levels, count) payload corrections, below 2^ring.
        leaf: (words, 2^table, count) corrections of the leaves.
    """

    spec: DcfSpec
    hash_key: bytes = field(repr=False)
    seed: Blocks = field(repr=False)
    tau: Words = field(repr=False)
    value: Words = field(repr=False)
    leaf: Words = field(repr=False)

    @property
    def count(self) -> int:
        """Gates."""
        return len(self.tau[0])


@dataclass(frozen=True, slots=True)
class DcfKeys:
    """What the dealer holds: the common part, and the roots (count, 2) of the first and of the second party."""

    common: DcfCommon
    roots: tuple[Blocks, Blocks] = field(repr=False)


def root_seeds(seed: Prg, half: int, count: int) -> Blocks:
    """Return the (count, 2) root blocks of party `half` (0 or 1): 127 bits of `seed`, the control bit `half`."""
    roots = seed.words64((count, 2))
    roots[:, 0] = roots[:, 0] & ~_ONE | np.uint64(half)
    return roots


def deal(spec: DcfSpec, alpha: Words, beta: Words, seeds: tuple[Prg, Prg], rng: Prg) -> DcfKeys:
    """Return keys whose evaluations at x sum to beta * [x < alpha] mod 2^ring, gate by gate.

    Args:
        spec: sizes.
        alpha: (count,) below 2^domain.
        beta: (words, count); taken mod 2^ring.
        seeds: the generators of the two parties' root seeds; independent of each other.
        rng: the public hash key is drawn from it.
    """
    count = len(alpha)
    if beta.shape != (spec.words, count):
        raise ValueError(f"beta has shape {beta.shape}; {spec.words} words for {count} gates were expected")
    roots = root_seeds(seeds[0], 0, count), root_seeds(seeds[1], 1, count)
    out = {name: np.empty(shape, np.uint64) for name, shape in spec.shapes(count).items()}
    common = DcfCommon(spec, rng.bytes(KEY_BYTES), **out)
    both = np.stack(roots)
    for at in range(0, count, CHUNK):
        here = slice(at, at + CHUNK)
        _deal_chunk(common, here, alpha[here], beta[:, here], both[:, here])
    return DcfKeys(common, roots)


def evaluate(half: int, common: DcfCommon, roots: Blocks, x: Words, pick: Words | None = None) -> Words:
    """Return party `half`'s share of beta * [x < alpha], one word a row.

    Args:
        half: 0 or 1.
        common: the corrections.
        roots: (count, 2), the party's own.
        x: (count,) public, below 2^domain.
        pick: (count,) of 0 or 1, for keys of three words: words 0 and 1 + pick alone are computed.

    Shapes:     (words, count), with `pick` (2, count); below 2^ring
    Cost:       levels + value blocks AES blocks a gate
    """
    count = common.count
    if x.shape != (count,) or roots.shape != (count, 2):
        raise ValueError(f"{count} gates were dealt; x has shape {x.shape}, the roots {roots.shape}")
    rows = common.spec.words if pick is None else 2
    out = np.empty((rows, count), np.uint64)
    for at in range(0, count, CHUNK):
        here = slice(at, at + CHUNK)
        out[:, here] = _evaluate_chunk(common, here, roots[here], x[here], None if pick is None else pick[here])
    if half:
        np.negative(out, out=out)
    out &= ring.mask(common.spec.ring)
    return out


def _path(spec: DcfSpec, x: Words) -> Words:
    """Return (levels, count): the bits of x from the top, without those that the leaf table takes."""
    shifts = np.arange(spec.domain - 1, spec.table - 1, -1, dtype=np.uint64)
    return x >> shifts[:, None] & _ONE


def _payload(spec: DcfSpec, hashed: Blocks) -> list[Words]:
    """Return `words` arrays of pseudorandom words, right mod 2^ring, from (value_blocks, ..., 2) hashed blocks."""
    low, high = hashed[0, ..., 0], hashed[0, ..., 1]
    if spec.words < MAX_WORDS:
        return [low, high][: spec.words]
    if spec.value_blocks == 1:
        # Bits 0..41 of each half are the first two words; the other 44 bits make the third uniform given those.
        return [low, high, high >> np.uint64(20) ^ low >> np.uint64(42)]
    return [low, high, hashed[1, ..., 0]]


def _value_tweaks(spec: DcfSpec) -> Words:
    """Return the tweaks that set a payload's blocks apart from the children: one a block."""
    return np.array([_VALUE, _VALUE | _SECOND_VALUE], np.uint64)[: spec.value_blocks]


# ---- dealer


def _without_control_bit(word: Words) -> Words:
    """Return the first words of blocks with bit 0 cleared: it would tell alpha (see the module's docstring)."""
    return word & ~_ONE


def _deal_chunk(common: DcfCommon, here: slice, alpha: Words, beta: Words, roots: Blocks) -> None:
    """Walk both parties down alpha's path and write the corrections of every level, then of the leaves.

    On the path, sides are called kept and lost: left and right, or right and left where alpha's bit is 1.
    """
    spec, count = common.spec, len(alpha)
    hash_ = Mmo(common.hash_key, 2 * count * max(2 + 2 * spec.value_blocks, (1 << spec.table) * spec.value_blocks))
    kind = np.concatenate([np.zeros(1, np.uint64), _value_tweaks(spec)])[:, None, None, None]
    sides = np.array([0, 1], np.uint64)[:, None, None]
    blocks = np.empty((1 + spec.value_blocks, 2, 2, count, 2), np.uint64)
    state, total = roots, np.zeros_like(beta)
    for level, bit in enumerate(_path(spec, alpha)):
        blocks[:] = state
        blocks[..., 0] ^= kind ^ (bit ^ sides) << _ONE
        hashed = hash_(blocks)
        second = np.negative(state[1, :, 0] & _ONE)
        state, common.seed[level, here], common.tau[level, here] = _step(hashed[0], state, bit)
        for word, value in enumerate(_payload(spec, hashed[1:])):
            kept, lost = value[:, 0] - value[:, 1]
            correction = np.negative(bit) & beta[word]
            correction -= lost
            kept += correction
            correction -= total[word]
            total[word] = kept
            _negate(correction, second)
            np.bitwise_and(correction, ring.mask(spec.ring), out=common.value[word, level, here])
    common.leaf[:, :, here] = _leaf_corrections(spec, hash_, alpha, beta, state, total)


def _step(children: Blocks, state: Blocks, bit: Words) -> tuple[Blocks, Blocks, Words]:
    """Go down one level from (sides, parties, count, 2) children: the new state, seed correction, tau correction."""
    (kept, lost), on = children, np.negative(state[..., 0] & _ONE)
    lose = lost[0] ^ lost[1]
    tau_lose = lose[:, 0] & _ONE
    tau_keep = (kept[0, :, 0] ^ kept[1, :, 0] ^ _ONE) & _ONE
    lose[:, 0] = _without_control_bit(lose[:, 0])
    new = np.empty_like(state)
    np.bitwise_xor(kept[..., 0], on & (lose[:, 0] ^ tau_keep), out=new[..., 0])
    np.bitwise_xor(kept[..., 1], on & lose[:, 1], out=new[..., 1])
    tau = tau_keep ^ tau_lose
    lose[:, 0] ^= tau_keep ^ (tau & np.negative(bit))
    return new, lose, tau


def _negate(value: Words, where: Words) -> None:
    """Negate `value` in place where `where` is all ones."""
    value ^= where
    value -= where


def _leaf_corrections(spec: DcfSpec, hash_: Mmo, alpha: Words, beta: Words, ends: Blocks, total: Words) -> Words:
    leaf = np.arange((1 << spec.table), dtype=np.uint64)[:, None, None]
    blocks = np.empty((spec.value_blocks, len(leaf), *ends.shape), np.uint64)
    blocks[:] = ends
    blocks[..., 0] ^= _value_tweaks(spec)[:, None, None, None] ^ _VALUE ^ _LEAF ^ leaf << _LEAF_SHIFT
    low = alpha & ring.mask(spec.table)
    below = leaf[:, 0] <= low if spec.inclusive else leaf[:, 0] < low
    second = np.negative(ends[1, :, 0] & _ONE)
    out = np.empty(spec.shapes(len(alpha))["leaf"], np.uint64)
    for word, value in enumerate(_payload(spec, hash_(blocks))):
        np.subtract(value[:, 1], value[:, 0], out=out[word])
        out[word] -= total[word]
        out[word] += below * beta[word]
    _negate(out, second)
    out &= ring.mask(spec.ring)
    return out


# ---- evaluation


def _evaluate_chunk(common: DcfCommon, here: slice, roots: Blocks, x: Words, pick: Words | None) -> Words:
    """Walk down x's path a group of levels at a time: few calls, and buffers that stay in the cache."""
    spec, count = common.spec, len(x)
    group = max(1, _GROUP_BLOCKS // (count * spec.value_blocks))
    hash_ = Mmo(common.hash_key, group * spec.value_blocks * count)
    sides = _path(spec, x)
    states = np.empty((group + 1, count, 2), np.uint64)
    control = np.empty((group + 1, count), np.uint64)
    states[0] = roots
    out = np.zeros((spec.words if pick is None else 2, count), np.uint64)
    for at in range(0, spec.levels, group):
        levels = slice(at, min(at + group, spec.levels))
        size = levels.stop - at
        _descend(common, levels, here, hash_, sides[levels], states, control)
        states[:size, :, 0] ^= _VALUE
        _collect(spec, hash_, states[:size], control[:size], common.value[:, levels, here], pick, out)
        states[0] = states[size]
    leaf = x & ring.mask(spec.table)
    states[0, :, 0] ^= leaf << _LEAF_SHIFT ^ _LEAF
    corrections = common.leaf[:, leaf.astype(np.intp), np.arange(here.start, here.start + count)]
    _collect(spec, hash_, states[:1], control[size : size + 1], corrections[:, None], pick, out)
    return out


def _descend(
    common: DcfCommon, levels: slice, here: slice, hash_: Mmo, sides: Words, states: Blocks, control: Words
) -> None:
    """Fill `states` with the blocks hashed on x's path, its end behind them, and `control` with their bits as masks.

    Shapes:     sides (size, count) bits of x; states (> size, count, 2), the first given; control (> size, count)
    """
    low = common.seed[levels, here, 0] ^ sides & common.tau[levels, here]
    high = common.seed[levels, here, 1]
    tweak = sides << _ONE
    lows, highs = states[..., 0], states[..., 1]
    masked = np.empty(sides.shape[1], np.uint64)
    rows = zip(tweak, low, high, states, control, lows, lows[1:], highs[1:], strict=False)
    for side, low_here, high_here, state, on, word, low_next, high_next in rows:
        np.bitwise_and(word, _ONE, out=on)
        np.negative(on, out=on)
        np.bitwise_xor(word, side, out=word)
        child = hash_(state)
        np.bitwise_and(on, low_here, out=masked)
        np.bitwise_xor(child[:, 0], masked, out=low_next)
        np.bitwise_and(on, high_here, out=masked)
        np.bitwise_xor(child[:, 1], masked, out=high_next)
    end = control[len(sides)]
    np.bitwise_and(lows[len(sides)], _ONE, out=end)
    np.negative(end, out=end)


def _collect(
    spec: DcfSpec, hash_: Mmo, states: Blocks, control: Words, corrections: Words, pick: Words | None, out: Words
) -> None:
    """Add the payload of tagged blocks (levels, count, 2), corrected (words, levels, count), to `out`."""
    blocks = states[None]
    if spec.value_blocks > 1:
        blocks = np.stack([states] * spec.value_blocks)
        blocks[..., 0] ^= (_value_tweaks(spec) ^ _VALUE)[:, None, None]
    payload, words = _payload(spec, hash_(blocks)), list(corrections)
    if pick is not None:
        other = pick.astype(bool)
        payload, words = ([w[0], np.where(other, w[2], w[1])] for w in (payload, words))
    for row, hashed, correction in zip(out, payload, words, strict=True):
        row += hashed.sum(axis=0)
        row += (control & correction).sum(axis=0)
