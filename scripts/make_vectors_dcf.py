#!/usr/bin/env python
"""Write tests/vectors/dcf.json: comparison functions by the book, one block at a time, on Python integers.

It follows Boyle et al. [BCG21, Fig. 1] with its running sum V, so it shares neither order nor formulas with the
vectorised code. Seeds come from the project's generator. Bad vectors have one bit changed and say what comes out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pehealth.crypto.prg import Prg

TARGET = Path(__file__).parent.parent / "tests" / "vectors" / "dcf.json"
Json = dict[str, Any]

CASES = [  # domain, ring, words, inclusive
    (4, 8, 1, False),
    (3, 8, 3, True),
    (1, 9, 2, False),
    (18, 32, 3, True),
    (31, 32, 2, False),
    (26, 40, 3, True),
    (41, 42, 3, False),
    (29, 43, 3, True),
    (47, 48, 2, False),
    (50, 64, 3, True),
    (63, 64, 3, False),
    (64, 64, 1, True),
]


class Reference:
    """The function family under one hash key."""

    def __init__(self, hash_key: bytes, domain: int, ring: int, words: int, inclusive: bool) -> None:
        self.aes = Cipher(algorithms.AES(hash_key), modes.ECB())  # noqa: S305 - a bare permutation
        self.domain, self.ring, self.words, self.inclusive = domain, ring, words, inclusive
        self.table = min(2, domain - 1)
        self.levels = domain - self.table
        self.mod = 1 << ring

    def hash(self, block: int) -> int:
        """AES_K(x) xor x."""
        encryptor = self.aes.encryptor()
        return int.from_bytes(encryptor.update(block.to_bytes(16, "little")), "little") ^ block

    def convert(self, block: int) -> list[int]:
        """Payload words of a tagged, unhashed block."""
        hashed = self.hash(block)
        low, high = hashed & (1 << 64) - 1, hashed >> 64
        words = [low, high][: self.words]
        if self.words == 3:
            words.append(high >> 20 ^ low >> 42 if self.ring <= 42 else self.hash(block ^ 8) & (1 << 64) - 1)
        return [w % self.mod for w in words]

    def bit(self, x: int, level: int) -> int:
        """The level-th bit from the top."""
        return x >> self.domain - 1 - level & 1

    def holds(self, x: int, alpha: int) -> bool:
        """The comparison."""
        return x <= alpha if self.inclusive else x < alpha

    def generate(self, roots: list[int], alpha: int, beta: list[int]) -> Json:
        """Correction words for one gate."""
        s, total = list(roots), [0] * self.words
        out: Json = {"seed": [], "tau": [], "value": [], "leaf": []}
        for level in range(self.levels):
            a, t = self.bit(alpha, level), [block & 1 for block in s]
            child = [[self.hash(s[b] ^ 2 * side) for b in (0, 1)] for side in (0, 1)]
            value = [[self.convert(s[b] ^ 2 * side ^ 4) for b in (0, 1)] for side in (0, 1)]
            keep, lose = a, 1 - a
            tau = [(child[0][0] ^ child[0][1] ^ a ^ 1) & 1, (child[1][0] ^ child[1][1] ^ a) & 1]
            seed = (child[lose][0] ^ child[lose][1]) & ~1
            sign = -1 if t[1] else 1
            correction = [
                sign * (v1 - v0 - v + (w if lose == 0 else 0)) % self.mod
                for v0, v1, v, w in zip(*value[lose], total, beta, strict=True)
            ]
            total = [
                (v + v0 - v1 + sign * c) % self.mod
                for v0, v1, v, c in zip(*value[keep], total, correction, strict=True)
            ]
            out["seed"].append(f"{seed | tau[0]:032x}")
            out["tau"].append(tau[0] ^ tau[1])
            out["value"].append([f"{c:x}" for c in correction])
            s = [child[keep][b] ^ t[b] * (seed | tau[keep]) for b in (0, 1)]
        sign = -1 if s[1] & 1 else 1
        for leaf in range(1 << self.table):
            words = [self.convert(s[b] ^ 32 ^ leaf << 6) for b in (0, 1)]
            wanted = beta if self.holds(leaf, alpha % (1 << self.table)) else [0] * self.words
            out["leaf"].append(
                [f"{sign * (f1 - f0 - v + w) % self.mod:x}" for f0, f1, v, w in zip(*words, total, wanted, strict=True)]
            )
        return out

    def evaluate(self, half: int, root: int, key: Json, x: int) -> list[int]:
        """One party's share."""
        s, out = root, [0] * self.words
        for level in range(self.levels):
            side, t = self.bit(x, level), s & 1
            seed = int(key["seed"][level], 16)
            tau_here = (seed & 1) ^ side * key["tau"][level]
            value = self.convert(s ^ 2 * side ^ 4)
            out = [o + v + t * int(c, 16) for o, v, c in zip(out, value, key["value"][level], strict=True)]
            s = self.hash(s ^ 2 * side) ^ t * (seed & ~1 | tau_here)
        leaf = x % (1 << self.table)
        end = self.convert(s ^ 32 ^ leaf << 6)
        out = [o + v + (s & 1) * int(c, 16) for o, v, c in zip(out, end, key["leaf"][leaf], strict=True)]
        return [(-o if half else o) % self.mod for o in out]


def spoil(key: Json, roots: list[int], leaf: int, what: str) -> tuple[Json, list[int]]:
    """Return a copy with one bit changed."""
    bad: Json = json.loads(json.dumps(key))
    if not what:
        return bad, roots
    if what == "seed":
        bad["seed"][-1] = f"{int(bad['seed'][-1], 16) ^ 1 << 77:032x}"
    elif what == "tau":
        bad["tau"][0] ^= 1
    elif what == "root":
        return bad, [roots[0] ^ 1 << 100, roots[1]]
    else:
        # Beside alpha's path both parties add the same correction, so it must be alpha's own leaf.
        row = bad[what][leaf if what == "leaf" else -1]
        row[0] = f"{int(row[0], 16) ^ 1:x}"
    return bad, roots


def case(number: int, domain: int, ring: int, words: int, inclusive: bool) -> list[Json]:
    """Return a good vector and, for one payload word of the bad ones, each way to spoil it."""
    rng = Prg.insecure_seed(number)
    keys = {name: rng.child(name).key() for name in ("first", "second", "dealer")}
    hash_key = Prg(keys["dealer"]).bytes(16)
    roots = [int.from_bytes(Prg(keys[name]).bytes(16), "little") & ~1 | b for b, name in enumerate(("first", "second"))]
    reference = Reference(hash_key, domain, ring, words, inclusive)
    alpha = int(rng.integer(domain))
    beta = [int(rng.integer(ring)) for _ in range(words)]
    key = reference.generate(roots, alpha, beta)
    top = (1 << domain) - 1
    inputs = sorted({0, top, alpha, max(alpha - 1, 0), min(alpha + 1, top), int(rng.integer(domain))})
    out = []
    for what in ("", "seed", "tau", "value", "leaf", "root")[: 6 if number % 3 == 0 else 1]:
        bad, used = spoil(key, roots, alpha % (1 << reference.table), what)
        evaluations = []
        for x in inputs:
            shares = [reference.evaluate(b, used[b], bad, x) for b in (0, 1)]
            sums = [sum(pair) % reference.mod for pair in zip(*shares, strict=True)]
            right = sums == (beta if reference.holds(x, alpha) else [0] * words)
            evaluations.append({"x": f"{x:x}", "shares": [[f"{w:x}" for w in s] for s in shares], "success": right})
        success = all(e["success"] for e in evaluations)
        if success == bool(what):
            raise ValueError(f"case {number} {what or 'good'}: success is {success}")
        out.append(
            {
                "comment": f"{what} spoilt by one bit" if what else "good",
                "success": success,
                "domain": domain,
                "ring": ring,
                "words": words,
                "inclusive": inclusive,
                "prg": {name: value.hex() for name, value in keys.items()},
                "alpha": f"{alpha:x}",
                "beta": [f"{w:x}" for w in beta],
                "hash_key": hash_key.hex(),
                "roots": [f"{root:032x}" for root in used],
                **bad,
                "evaluations": evaluations,
            }
        )
    return out


def vectors() -> str:
    """Return the text of the file."""
    cases = [vector for number, sizes in enumerate(CASES) for vector in case(number, *sizes)]
    return json.dumps({"made_by": "scripts/make_vectors_dcf.py", "vectors": cases}, indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(vectors())
    sys.stdout.write(f"{TARGET}\n")
