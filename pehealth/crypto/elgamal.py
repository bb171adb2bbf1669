"""ElGamal with the message in the exponent: the encryption of weights under which dot products are computed.

(alpha, beta) = (g^r, g^w * h^r), h = g^sk [ElG85]. Assumptions: DDH in the group with short exponents; and, for the
ciphertexts of sk^(j) * w that carry <sk*x> through a network, circular security: that encrypting the bits of the
key (times a weight) under the key itself does no harm [BGI17]. The paper claims plain DDH; that does not suffice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import gmpy2
import numpy as np
from gmpy2 import mpz

from pehealth.config import GroupName
from pehealth.crypto.groups import Elements, FixedBase, Group, group
from pehealth.crypto.linear import Ints
from pehealth.crypto.prg import Prg

MESSAGE_BITS = 64
"""Encrypted integers are below 2^64 in size."""


@dataclass(frozen=True, eq=False, repr=False)
class PublicKey:
    """h = g^sk in a named group, with the tables that encryption uses."""

    group_name: GroupName
    h: int

    @property
    def group(self) -> Group:
        """The group."""
        return group(self.group_name)

    @cached_property
    def g_table(self) -> FixedBase:
        """Powers of g."""
        return self.group.fixed_base(self.group.g, max(self.group.key_bits, MESSAGE_BITS))

    @cached_property
    def h_table(self) -> FixedBase:
        """Powers of h."""
        return self.group.fixed_base(self.h, self.group.key_bits)

    def __repr__(self) -> str:
        return f"<PublicKey {self.group_name}>"


@dataclass(frozen=True, eq=False, repr=False)
class KeyPair:
    """A key pair; HC and the sensors hold the secret. `repr` does not show it."""

    public: PublicKey
    secret: int

    @property
    def group(self) -> Group:
        """The group."""
        return self.public.group

    @property
    def bits(self) -> tuple[int, ...]:
        """sk^(1), sk^(2), ..., least significant first: the bits that key-bit ciphertexts carry."""
        return tuple((self.secret >> j) & 1 for j in range(self.group.key_bits))

    def __repr__(self) -> str:
        return f"<KeyPair {self.public.group_name}>"


def keygen(name: GroupName, rng: Prg) -> KeyPair:
    """Return a fresh key pair: a secret of `key_bits` bits, and in `toy32` below q; never 0."""
    grp = group(name)
    secret = 0
    while not 0 < secret < grp.q:
        secret = int(rng.integer(grp.key_bits))
    h = int(gmpy2.powmod_sec(mpz(grp.g), secret, grp.p))
    return KeyPair(PublicKey(name, h), secret)


def encrypt(messages: Ints, key: PublicKey, rng: Prg) -> Elements:
    """Return (..., 2) ciphertexts (alpha, beta) of signed integers below 2^64 in size, each with its own r.

    r is uniform mod q in `toy32` and uniform below 2^key_bits elsewhere.
    """
    grp = key.group
    size = messages.size
    if grp.key_bits < 64:
        r: Ints = rng.below(size, grp.q)
    else:
        r = rng.integers(size, grp.key_bits)
    alpha = key.g_table.power(r)
    beta = grp.mul(key.g_table.power(messages.reshape(-1)), key.h_table.power(r))
    return np.stack([alpha, beta], axis=-1).reshape(*messages.shape, 2)


def decrypt_small(ciphertexts: Elements, key: KeyPair, bound: int) -> Ints:
    """Return messages of size at most `bound` as int64, by search: for tests and for a bench.

    Raises:
        ValueError: a message is larger than `bound`.
    """
    grp = key.group
    points = grp.mul(ciphertexts[..., 1], grp.inverse(grp.power_secret(ciphertexts[..., 0], key.secret)))
    known = {int(gmpy2.powmod(grp.g, m, grp.p)): m for m in range(-bound, bound + 1)}
    found = [known.get(int(v)) for v in points.reshape(-1)]
    if None in found:
        raise ValueError(f"a message is larger than {bound}")
    return np.array(found, np.int64).reshape(points.shape)
