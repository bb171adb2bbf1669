"""ElGamal for the rows of a matrix: one random exponent a row, one key a column, the message in the exponent.

A row w_1 .. w_n is encrypted under the keys s_1 .. s_n as alpha = g^r, beta_j = g^(s_j r + w_j) [ElG85, Kur02]. So
with y public or shared, prod_j beta_j^(y_j) = g^(w.y) alpha^(s.y): one long exponent a dot product, s.y, and n short
ones. [ABD15] builds functional encryption for inner products on the same ciphertexts.

Assumption: DDH with short exponents. Using r again under other keys is secure for ElGamal if DDH holds [BBS03].
Keys are 180, 224 or 256 bits in the three RFC 3526 groups ([RFC3526] section 8), and so is every r.
"""

from __future__ import annotations

import gmpy2
import numpy as np
from gmpy2 import mpz

from pehealth.crypto.groups import Elements, ModpGroup
from pehealth.crypto.linear import Ints
from pehealth.crypto.prg import Prg


def column_keys(group: ModpGroup, count: int, seed: Prg) -> Ints:
    """Return the secret exponents s_1 .. s_count that a seed determines (object); more columns extend fewer."""
    return seed.child("column keys", group.name).integers(count, group.key_bits)


def encrypt_rows(group: ModpGroup, messages: Ints, keys: Ints, rng: Prg) -> tuple[Elements, Elements]:
    """Return alpha (rows,) and beta (rows, n) of small signed messages (rows, n).

    Powers of the long-lived keys are taken in constant time; the time of the rest depends on the one-time r alone,
    and on the messages: HC's own machine, at deployment.
    """
    p, rows = group.modulus, len(messages)
    r = rng.integers(rows, group.key_bits)
    small = _small_powers(group, messages)
    alpha = _powers(group, group.g, r)
    beta = np.empty(messages.shape, object)
    for j, key in enumerate(keys):
        public = int(gmpy2.powmod_sec(mpz(group.g), key, p))
        for row, power in enumerate(_powers(group, public, r)):
            beta[row, j] = power * small[int(messages[row, j])] % p
    return alpha, beta


def _small_powers(group: ModpGroup, messages: Ints) -> dict[int, mpz]:
    """Return g^m for every message that occurs."""
    return {int(m): gmpy2.powmod(group.g, int(m), group.modulus) for m in np.unique(messages.astype(np.int64))}


def _powers(group: ModpGroup, base: int, exponents: Ints) -> Elements:
    """Return base ^ exponents through tables of a width that suits the number of exponents."""
    p, bits = group.modulus, group.key_bits
    width = min(range(1, 9), key=lambda w: bits / w * ((1 << w) - 1 + len(exponents)))
    tables, step = [], mpz(base)
    for _ in range(-(-bits // width)):
        row = [mpz(1)]
        for _ in range((1 << width) - 1):
            row.append(row[-1] * step % p)
        tables.append(row)
        step = row[-1] * step % p
    out = np.empty(len(exponents), object)
    for i, exponent in enumerate(exponents):
        value, left = mpz(1), int(exponent)
        for table in tables:
            value = value * table[left & (1 << width) - 1] % p
            left >>= width
        out[i] = value
    return out


def decrypt_rows(group: ModpGroup, alpha: Elements, beta: Elements, keys: Ints, bound: int) -> Ints:
    """Return the messages (rows, n) of size at most `bound`, by search: for tests.

    Raises:
        ValueError: a message is larger than `bound`.
    """
    p = group.modulus
    known = {gmpy2.powmod(group.g, m, p): m for m in range(-bound, bound + 1)}
    out = np.empty(beta.shape, np.int64)
    for row in range(len(alpha)):
        for j, key in enumerate(keys):
            point = beta[row, j] * gmpy2.invert(gmpy2.powmod_sec(alpha[row], key, p), p) % p
            if point not in known:
                raise ValueError(f"a message is larger than {bound}")
            out[row, j] = known[point]
    return out
