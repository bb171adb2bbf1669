"""Prime-order groups of squares modulo a safe prime, generator 2: a toy in numpy, RFC 3526 in gmpy2.

In all of them p = 2q + 1 with q prime and p = 7 mod 8, so 2 is a square and generates the subgroup of order q.
Elements of `toy32` are uint64 arrays; elements of the RFC 3526 groups are object arrays of gmpy2 integers. Both
answer to one interface, and whole arrays go in and out.

Assumption: decisional Diffie-Hellman in the subgroup, with secret exponents of `key_bits` bits in the RFC 3526
groups ([RFC3526] section 8 gives strengths and exponent sizes). `toy32` has no security at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Any

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from pehealth.config import INSECURE_BELOW_BITS, SECURITY_BITS, GroupName
from pehealth.crypto.linear import Ints
from pehealth.crypto.prg import Prg

Elements = NDArray[Any]
"""Group elements: uint64 in `toy32`, object (gmpy2 integers) elsewhere."""

TOY_PRIME = 4292772383
"""A safe prime near 2^32, chosen so that runs of zeros lie in its expansions as in a random group's: among the
elements below p / 2^w, w = 20 to 26, the share of squares and the mean walk are within 5 % (10 % at 26) of chance."""

_WINDOW = 8


def rfc3526_prime(bits: int, offset: int) -> int:
    """Return p = 2^bits - 2^(bits-64) - 1 + 2^64 * (floor(2^(bits-130) * pi) + offset), as [RFC3526] defines it."""
    with gmpy2.context(precision=bits + 64):
        pi = int(gmpy2.floor(gmpy2.const_pi() * mpz(2) ** (bits - 130)))
    return int(2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi + offset))


class Group(ABC):
    """A group of squares modulo a safe prime.

    Attributes:
        name: the group's name in settings.
        p, q, g: modulus, order of the subgroup, generator (always 2).
        key_bits: l, the bits of a secret exponent; an encrypted weight has 1 + l ciphertexts.
        element_bytes: bytes of an element on the wire.
        slack: statistical slack of integer shares in bits; 0 where shares are uniform mod q.
    """

    g = 2

    def __init__(self, name: GroupName, p: int, key_bits: int, slack: int) -> None:
        self.name = name
        self.p = p
        self.q = (p - 1) // 2
        self.key_bits = key_bits
        self.slack = slack
        self.element_bytes = (p.bit_length() + 7) // 8

    def __repr__(self) -> str:
        return f"<Group {self.name}{' INSECURE' if self.insecure else ''}>"

    @property
    def security_bits(self) -> int:
        """Estimated bits of security of the assumption."""
        return SECURITY_BITS[self.name]

    @property
    def insecure(self) -> bool:
        """True if whoever shows a result must say that nothing is protected."""
        return self.security_bits < INSECURE_BELOW_BITS

    @abstractmethod
    def elements(self, values: Ints | list[int]) -> Elements:
        """Return integers in [1, p) in this group's representation."""

    @abstractmethod
    def exponents(self, values: Ints) -> Ints:
        """Return signed integers as exponents: reduced mod q in `toy32`, as they are elsewhere."""

    @abstractmethod
    def mul(self, a: Elements, b: Elements) -> Elements:
        """Return a * b, broadcast."""

    @abstractmethod
    def inverse(self, a: Elements) -> Elements:
        """Return 1 / a."""

    @abstractmethod
    def power(self, base: Elements, exponents: Ints) -> Elements:
        """Return base ^ exponents, broadcast. Time depends on the exponents: not for long-lived secrets."""

    @abstractmethod
    def random(self, prg: Prg, count: int) -> Elements:
        """Return `count` elements of the subgroup that `prg` determines, uniform (to 2^-64 in the big groups)."""

    @abstractmethod
    def fixed_base(self, base: int, bits: int) -> FixedBase:
        """Return tables for powers of one base with exponents below 2^bits in size."""

    def power_secret(self, base: Elements, secret: int) -> Elements:
        """Return base ^ secret for a long-lived secret exponent >= 1, in time that does not depend on its bits."""
        flat = [int(gmpy2.powmod_sec(int(b), secret, self.p)) for b in base.reshape(-1)]
        return self.elements(flat).reshape(base.shape)


class FixedBase(ABC):
    """Tables of one base: a power costs a product for each byte of the exponent."""

    @abstractmethod
    def power(self, exponents: Ints) -> Elements:
        """Return base ^ exponents (signed) for a whole array."""


class ToyGroup(Group):
    """`toy32`: INSECURE, a discrete logarithm takes milliseconds. The size that the paper's tables imply."""

    def __init__(self, prime: int = TOY_PRIME) -> None:
        """Take a safe prime below 2^32 that is 7 mod 8; smaller ones than the default are for exhaustive tests."""
        super().__init__(GroupName.TOY32, prime, prime.bit_length() - 1, 0)
        self._p = np.uint64(self.p)

    def elements(self, values: Ints | list[int]) -> Elements:
        """Return integers in [1, p) as uint64."""
        return np.asarray(values, np.uint64)

    def exponents(self, values: Ints) -> Ints:
        """Return signed integers mod q, as uint64."""
        if values.dtype == np.uint64:
            return values % np.uint64(self.q)
        return (values % self.q).astype(np.uint64)

    def reduce(self, t: Elements) -> Elements:
        """Return t mod p; changes t. Division by a constant and a product are faster than numpy's remainder."""
        k = t // self._p
        k *= self._p
        t -= k
        return t

    def mul(self, a: Elements, b: Elements) -> Elements:
        """Return a * b: the product of two 32-bit numbers fits a word."""
        return self.reduce(np.multiply(a, b))

    def inverse(self, a: Elements) -> Elements:
        """Return a^(q-1), which is 1 / a in a group of order q."""
        return self.power(a, np.asarray(self.q - 1, np.uint64))

    def power(self, base: Elements, exponents: Ints) -> Elements:
        """Return base ^ exponents by square and multiply over the bits of the longest exponent."""
        e = self.exponents(exponents)
        base, e = np.broadcast_arrays(base, e)
        out = np.ones(base.shape, np.uint64)
        one = np.uint64(1)
        for bit in range(int(e.max(initial=0)).bit_length() - 1, -1, -1):
            out = self.mul(out, out)
            out = self.mul(out, np.where((e >> np.uint64(bit)) & one, base, one))
        return out

    def random(self, prg: Prg, count: int) -> Elements:
        """Return exactly uniform squares."""
        x = prg.below(count, self.p - 1) + np.uint64(1)
        return self.mul(x, x)

    def fixed_base(self, base: int, bits: int) -> FixedBase:
        """Return four tables of 256 entries, whatever `bits` is."""
        return _ToyFixedBase(self, base, bits)


class _ToyFixedBase(FixedBase):
    def __init__(self, group: ToyGroup, base: int, _bits: int) -> None:
        self._group = group
        digits = np.arange(1 << _WINDOW, dtype=np.uint64)
        steps = [pow(base, 1 << (_WINDOW * i), group.p) for i in range(32 // _WINDOW)]
        self._tables = [group.power(np.full(1, s, np.uint64), digits) for s in steps]

    def power(self, exponents: Ints) -> Elements:
        e = self._group.exponents(exponents)
        out: Elements = self._tables[0][e & np.uint64(255)]
        for i, table in enumerate(self._tables[1:], 1):
            out = self._group.mul(out, table[(e >> np.uint64(_WINDOW * i)) & np.uint64(255)])
        return out


def _objects(values: list[Any]) -> Elements:
    out = np.empty(len(values), object)
    out[:] = values
    return out


class ModpGroup(Group):
    """A group of [RFC3526], in gmpy2 integers; secret exponents are short."""

    def __init__(self, name: GroupName, prime: int, key_bits: int) -> None:
        super().__init__(name, prime, key_bits, 80)
        self.modulus = mpz(self.p)

    def elements(self, values: Ints | list[int]) -> Elements:
        """Return integers in [1, p) as gmpy2 integers."""
        flat = np.asarray(values, object)
        return _objects([mpz(int(v)) for v in flat.reshape(-1)]).reshape(flat.shape)

    def exponents(self, values: Ints) -> Ints:
        """Return signed integers as gmpy2 integers, not reduced: short ones stay short."""
        return _objects([mpz(int(v)) for v in values.reshape(-1)]).reshape(values.shape)

    def mul(self, a: Elements, b: Elements) -> Elements:
        """Return a * b."""
        return np.asarray(a * b % self.modulus, object)

    def inverse(self, a: Elements) -> Elements:
        """Return 1 / a."""
        return _objects([gmpy2.invert(v, self.modulus) for v in a.reshape(-1)]).reshape(a.shape)

    def power(self, base: Elements, exponents: Ints) -> Elements:
        """Return base ^ exponents; negative exponents are allowed."""
        base, e = np.broadcast_arrays(base, self.exponents(np.asarray(exponents)))
        p = self.modulus
        flat = [gmpy2.powmod(b, x, p) for b, x in zip(base.reshape(-1), e.reshape(-1), strict=True)]
        return _objects(flat).reshape(base.shape)

    def random(self, prg: Prg, count: int) -> Elements:
        """Return squares of integers that are uniform in [1, p) to within 2^-64."""
        bits = self.p.bit_length() + 64
        x = prg.integers(count, bits) % (self.modulus - 1) + 1
        return np.asarray(x * x % self.modulus, object)

    def fixed_base(self, base: int, bits: int) -> FixedBase:
        """Return bits/8 tables of 256 entries."""
        return _ModpFixedBase(self.modulus, base, bits)


class _ModpFixedBase(FixedBase):
    def __init__(self, modulus: mpz, base: int, bits: int) -> None:
        self._p = modulus
        self._tables: list[list[mpz]] = []
        step = mpz(base)
        for _ in range((bits + _WINDOW - 1) // _WINDOW):
            row = [mpz(1)]
            for _ in range((1 << _WINDOW) - 1):
                row.append(row[-1] * step % modulus)
            self._tables.append(row)
            step = row[-1] * step % modulus

    def power(self, exponents: Ints) -> Elements:
        return _objects([self._one(int(e)) for e in exponents.reshape(-1)]).reshape(exponents.shape)

    def _one(self, exponent: int) -> mpz:
        digits = abs(exponent).to_bytes(len(self._tables), "little")
        out, p = mpz(1), self._p
        for row, digit in zip(self._tables, digits, strict=True):
            if digit:
                out = out * row[digit] % p
        return gmpy2.invert(out, p) if exponent < 0 else out


@cache
def group(name: GroupName) -> Group:
    """Return a group by name. Secret exponents: 31 bits in `toy32` (all of q), else short.

    The offsets are those of [RFC3526]; the exponent sizes 180, 224 and 256 are near its estimate 1 (180, 220, 260).
    """
    match name:
        case GroupName.TOY32:
            return ToyGroup()
        case GroupName.MODP1536:
            return ModpGroup(name, rfc3526_prime(1536, 741804), 180)
        case GroupName.MODP2048:
            return ModpGroup(name, rfc3526_prime(2048, 124476), 224)
        case GroupName.MODP3072:
            return ModpGroup(name, rfc3526_prime(3072, 1690314), 256)
