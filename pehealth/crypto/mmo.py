"""The fixed-key hash H(x) = AES_K(x) xor x, in bulk: what grows the trees of a function secret sharing key.

Matyas, Meyer and Oseas' construction [MMO85]. Assumption: with AES-128 as an ideal cipher under a public random
key, H is correlation robust [GKWY20]: H(s xor c) for a secret uniform s and public distinct c cannot be told from
random. The loss grows with the number of hashes under one key, so each batch of keys draws a fresh public K.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

KEY_BYTES = 16
BLOCK_WORDS = 2
"""64-bit words of a block; word 0 holds bits 0..63."""

Blocks = NDArray[np.uint64]
"""(..., 2) uint64: 128-bit blocks, little endian."""


class Mmo:
    """H under one public key, with a work buffer of its own: for one thread, and one result at a time."""

    __slots__ = ("_aes", "_bytes", "_out")

    def __init__(self, key: bytes, most: int) -> None:
        """Prepare to hash up to `most` blocks a call under the 16-byte public `key`."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"the public hash key has {KEY_BYTES} bytes, not {len(key)}")
        # ECB is the bare permutation that H is made of, not a mode that hides a message.
        self._aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
        # The library asks for one block of room less a byte behind the output.
        self._out = np.empty(BLOCK_WORDS * (most + 1), np.uint64)
        self._bytes = self._out.view(np.uint8).data

    def __call__(self, x: Blocks) -> Blocks:
        """Return H of every block of `x` (contiguous): a view that the next call overwrites."""
        self._aes.update_into(x.data.cast("B"), self._bytes)
        out = self._out[: x.size].reshape(x.shape)
        np.bitwise_xor(out, x, out=out)
        return out
