"""Randomness as an argument: an AES-256-CTR generator with domain separation, seeded by the system.

Assumption: AES-256 is a pseudo-random permutation [FIPS197], used in counter mode [SP800-38A]; keys of
children are derived by HMAC-SHA-256 [RFC2104] over a tag that one function builds. A generator is never
copied: two users of one stream would share masks. A child is fixed by its parent's key and its label, so
both servers can derive the same child from a common key.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from gmpy2 import mpz
from numpy.typing import NDArray

from pehealth.crypto.domain import KEY_BYTES, child_key, domain

__all__ = ["KEY_BYTES", "Prg", "domain"]


class Prg:
    """A stream of random words. `repr` never shows the key.

    Attributes:
        words: 64-bit words produced so far: the counter `prg_words` of a report.
    """

    __slots__ = ("_key", "_stream", "words")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a generator's key has {KEY_BYTES} bytes, not {len(key)}")
        self._key = bytes(key)
        self._stream: CipherContext | None = None
        self.words = 0

    @classmethod
    def system(cls) -> Prg:
        """Return a generator keyed by the operating system. The only constructor for production."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def insecure_seed(cls, seed: int) -> Prg:
        """Return a repeatable generator, for tests and vectors only."""
        return cls(hashlib.sha256(domain("insecure test seed", seed)).digest())

    def __repr__(self) -> str:
        return f"<Prg words={self.words}>"

    def child(self, *label: str | int | bytes) -> Prg:
        """Return the generator that this key and `label` determine, whatever was drawn before."""
        return Prg(child_key(self._key, *label))

    def key(self) -> bytes:
        """Return 32 fresh bytes, to key a generator that someone else will hold."""
        return self.bytes(KEY_BYTES)

    def bytes(self, n: int) -> bytes:
        """Return n random bytes."""
        return self._take(n).tobytes()

    def _take(self, n: int) -> NDArray[np.uint8]:
        if self._stream is None:
            self._stream = Cipher(algorithms.AES(self._key), modes.CTR(bytes(16))).encryptor()
        out = np.zeros(n + 15, np.uint8)
        self._stream.update_into(out[:n].data, out.data)
        self.words += (n + 7) // 8
        return out[:n]

    def words64(self, shape: int | tuple[int, ...]) -> NDArray[np.uint64]:
        """Return uniform 64-bit words of the given shape."""
        size = int(np.prod(shape))
        return self._take(8 * size).view(np.uint64).reshape(shape)

    def ring(self, shape: int | tuple[int, ...], bits: int) -> NDArray[np.uint64]:
        """Return uniform elements of Z_{2^bits}, bits <= 64, as uint64."""
        words = self.words64(shape)
        words >>= np.uint64(64 - bits)
        return words

    def below(self, shape: int | tuple[int, ...], bound: int) -> NDArray[np.uint64]:
        """Return uniform integers in [0, bound), bound <= 2^63, by rejection: exactly uniform."""
        bits = max((bound - 1).bit_length(), 1)
        size = int(np.prod(shape))
        out = self.ring(size, bits)
        while (bad := np.flatnonzero(out >= np.uint64(bound))).size:
            out[bad] = self.ring(bad.size, bits)
        return out.reshape(shape)

    def integer(self, bits: int) -> mpz:
        """Return a uniform integer in [0, 2^bits)."""
        nbytes = (bits + 7) // 8
        return mpz(int.from_bytes(self.bytes(nbytes), "big") >> (8 * nbytes - bits))

    def integers(self, count: int, bits: int) -> NDArray[Any]:
        """Return `count` uniform integers in [0, 2^bits) as an object array of mpz."""
        out = np.empty(count, object)
        out[:] = [self.integer(bits) for _ in range(count)]
        return out

    def ternary(self, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Return uniform values of {-1, 0, 1}: the ring-LWE key."""
        return self.below(shape, 3).astype(np.int64) - 1

    def binomial(self, shape: int | tuple[int, ...], eta: int) -> NDArray[np.int64]:
        """Return centred binomial values, variance eta/2, eta <= 32: the ring-LWE error."""
        a, b = self.ring(shape, eta), self.ring(shape, eta)
        return np.bitwise_count(a).astype(np.int64) - np.bitwise_count(b).astype(np.int64)
