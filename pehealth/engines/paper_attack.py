"""The key and the weights of engine `paper` on `toy32`, from the ciphertexts that one server holds.

A ciphertext of a weight w is (g^r, g^(w + sk r)). Two discrete logarithms give r and w + sk r; w is small, so each
guess of one weight gives a key, and the right one makes the other weights small, too. No message, no second server, no
public key is needed. In a group of real size the first step is out of reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.groups import Elements, ToyGroup
from pehealth.crypto.toy_logs import Logarithms

WITNESSES = 8
"""Weights that a key must make small: a wrong one passes with probability (2 W / q)^7."""
LARGEST = 1 << 20


@dataclass(frozen=True)
class Broken:
    """What was read.

    Attributes:
        secret: sk.
        logarithms: how many discrete logarithms it took.
    """

    secret: int
    logarithms: int

    def __repr__(self) -> str:
        return f"<Broken after {self.logarithms} logarithms>"


def recover_key(group: ToyGroup, ciphertexts: Elements) -> Broken:
    """Return the key behind ciphertexts (n, 2) of weights, n >= 2, of which two or more are not 0.

    Raises:
        ValueError: no key makes all weights small.
    """
    logs = Logarithms(group).of(ciphertexts[:WITNESSES])
    r, lifted = logs[:, 0], logs[:, 1]
    inverse, bound = pow(int(r[0]), -1, group.q), 64
    while bound <= LARGEST:
        keys = (int(lifted[0]) - np.arange(-bound, bound + 1)) % group.q * inverse % group.q
        left = (lifted[1:] - keys[:, None] * r[1:]) % group.q
        fits = ((left <= bound) | (left >= group.q - bound)).all(axis=1)
        if fits.any():
            return Broken(int(keys[fits][0]), logs.size)
        bound *= 4
    raise ValueError(f"no key makes all weights smaller than {LARGEST}")


def read_weights(group: ToyGroup, ciphertexts: Elements, secret: int) -> NDArray[np.int64]:
    """Return the messages (...) of ciphertexts (..., 2), given the key: one look into a table of small powers each.

    Raises:
        ValueError: a message is larger than 2^20.
    """
    masks = group.power(ciphertexts[..., 0], np.asarray(-secret, np.int64))
    points = group.mul(ciphertexts[..., 1], masks)
    bound = 64
    while bound <= LARGEST:
        messages = np.arange(-bound, bound + 1)
        table = group.fixed_base(group.g, 32).power(messages)
        order = np.argsort(table)
        places = np.minimum(np.searchsorted(table[order], points), len(order) - 1)
        if (table[order[places]] == points).all():
            return messages[order[places]]
        bound *= 4
    raise ValueError(f"a message is larger than {LARGEST}")
