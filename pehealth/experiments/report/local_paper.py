"""What needs no second party: the paper's equations, conversion failures, costs of the two ends, profiles.

Both servers' halves are computed here, side by side, by the very functions that the servers run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pehealth.codec.packing import pack, unpack
from pehealth.config import Engine, GroupName, Parameters, Party
from pehealth.crypto import fixed
from pehealth.crypto.ddlog import Walk, blind, expected_steps, failure_probability, steps
from pehealth.crypto.elgamal import keygen
from pehealth.crypto.groups import ToyGroup, group
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.multiexp import Exponents
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import to_signed
from pehealth.engines import paper, paper_codec
from pehealth.engines.paper import PairShare
from pehealth.experiments.local import echo_context, finish
from pehealth.experiments.report.paper import BATCH, PIXELS
from pehealth.experiments.report.parts import Experiment, Result
from pehealth.protocols.literal import open_sign, secrelu
from pehealth.protocols.tape import TripleTape

T = TypeVar("T")
BOTH = (Party.E1, Party.E2)


def local_experiments(*, full: bool) -> list[Experiment]:
    """Return the experiments of this module."""
    big = GroupName.MODP3072 if full else GroupName.MODP2048
    settings: list[tuple[str, Callable[..., Result], dict[str, Any]]] = [
        ("equations toy32", equations, {"name": "toy32", "outputs": 40, "run": 22}),
        (f"equations {big}", equations, {"name": str(big), "outputs": 2, "run": 18}),
        ("conversions toy32", conversions, {"name": "toy32", "count": 40_000, "run": 12}),
        (f"conversions {big}", conversions, {"name": str(big), "count": 2_000, "run": 10}),
        ("walks toy32", walks, {"name": "toy32", "runs": [8, 10, 12, 14], "count": 4096}),
        ("ends toy32", ends, {"name": "toy32", "images": BATCH}),
        (f"ends {big}", ends, {"name": str(big), "images": 64}),
        ("sensor", sensor, {"sizes": [8, PIXELS, 16 * PIXELS]}),
        ("profile toy32", profile, {"name": "toy32", "outputs": 64, "run": 16}),
        (f"profile {big}", profile, {"name": str(big), "outputs": 1, "run": 16}),
        ("profile relu", profile_relu, {"count": 845, "ring": 32}),
        ("shares", shares, {"count": 100_000}),
        ("fixed point", fixed_point, {}),
    ]
    return [
        Experiment(name, {"kind": "local", "clock": "processor", **known}, _bound(function, known))
        for name, function, known in settings
    ]


def _bound(function: Callable[..., Result], known: dict[str, Any]) -> Callable[[], Result]:
    return lambda: function(**known)


def timed(function: Callable[[], T], repeat: int = 1) -> tuple[float, T]:
    """Return the least seconds of processor time of `repeat` calls, and the last result: what a quiet machine takes."""
    best = float("inf")
    for _ in range(repeat):
        began = time.process_time()
        result = function()
        best = min(best, time.process_time() - began)
    return best, result


def equations(name: str, outputs: int, run: int) -> Result:
    """Check equations 3 and 4, and that shares add up to W x + b, on 5 inputs; returns counts of equal outputs."""
    grp = group(GroupName(name))
    key, rng = keygen(grp.name, Prg.system()), Prg.system()
    layer = LinearMap.dense(5, outputs)
    w = rng.below((outputs, 5), 19).astype(np.int64) - 9
    b = rng.below(outputs, 201).astype(np.int64) - 100
    x = rng.below((1, 5), 11).astype(np.int64)
    product, z = x @ w.T, x @ w.T + b
    models = paper.encrypt(layer, w, b, key, rng, keybits=True)
    halves = paper.share_inputs(x, key, rng)
    bases = models[0].ciphertexts[0].reshape(outputs, -1)
    first, second = (
        Exponents.of(grp, paper.exponents(grp, layer, half, party)).product(bases).reshape(-1)
        for half, party in zip(halves, BOTH, strict=True)
    )
    lifted = grp.fixed_base(grp.g, 64).power(grp.exponents(product.reshape(-1)))
    walk, common = Walk(run, 1 << (run + 6)), rng.key()
    outs = [
        paper.linear(layer, model, half, walk, Prg(common), ("report",), party)[0]
        for model, half, party in zip(models, halves, BOTH, strict=True)
    ]
    added = np.asarray(outs[0].x + outs[1].x, object)
    keyed = np.asarray(paper_sum(outs), object)
    wanted = np.asarray(z, object) * key.secret
    same = (keyed - wanted) % grp.q == 0
    return {
        "group": name,
        "outputs": outputs,
        "equation_3": int(np.count_nonzero(first == grp.mul(second, lifted))),
        "shares_add_up": int(np.count_nonzero(added == z)),
        "equation_4": int(np.count_nonzero(same)),
        "expected_wrong": float(failure_probability(np.repeat(np.abs(product), grp.key_bits // 2 + 1), walk).sum()),
        "ciphertexts_a_weight": int(models[0].ciphertexts.shape[0]),
        "key_bits": grp.key_bits,
        "exponentiations_an_output": 2 * 5 * (1 + grp.key_bits),
    }


def paper_sum(outs: list[PairShare]) -> Any:  # noqa: ANN401 - integers of the group's own kind
    """Return <sk*z> of both servers, added."""
    return outs[0].skx + outs[1].skx  # type: ignore[operator]


def conversions(name: str, count: int, run: int) -> Result:
    """Convert `count` shares of values 1 to 200 at a short walk; failures measured beside those predicted."""
    grp = group(GroupName(name))
    rng = Prg.system()
    values = rng.below(count, 200).astype(np.int64) + 1
    second = grp.random(rng, count)
    first = grp.mul(second, grp.fixed_base(grp.g, 64).power(grp.exponents(values)))
    walk = Walk(run, 1 << (run + 6))
    wrong = int(np.count_nonzero(steps(grp, second, walk) - steps(grp, first, walk) != values))
    chances = failure_probability(values, walk)
    return {
        "group": name,
        "walk": run,
        "conversions": count,
        "wrong": wrong,
        "predicted": float(chances.sum()),
        "deviation": float((wrong - chances.sum()) / math.sqrt((chances * (1 - chances)).sum())),
    }


def walks(name: str, runs: list[int], count: int) -> Result:
    """Return the mean walk for several w: what the paper's Theta bounds."""
    grp, rng = group(GroupName(name)), Prg.system()
    rows = []
    for run in runs:
        walk = Walk(run, 1 << (run + 6))
        mean = float(steps(grp, grp.random(rng, count), walk).mean())
        rows.append({"walk": run, "mean_steps": mean, "expected": expected_steps(walk)})
    return {"group": name, "rows": rows}


def ends(name: str, images: int) -> Result:
    """Time a sensor's sharing of images and the centre's adding of their logits; sizes are of what is sent."""
    grp = group(GroupName(name))
    key, rng = keygen(grp.name, Prg.system()), Prg.system()
    pixels = rng.below((images, PIXELS), 11).astype(np.int64)
    ring = 32 if isinstance(grp, ToyGroup) else 64

    def share() -> list[bytes]:
        return [paper_codec.pack_pair(grp, half) for half in paper.share_inputs(pixels, key, rng)]

    share_seconds, payloads = timed(share, 3 if isinstance(grp, ToyGroup) else 1)
    shape = (images, 10)
    sent = [pack(rng.ring(shape, ring), ring) for _ in BOTH]

    def recover() -> Any:  # noqa: ANN401
        return to_signed(unpack(sent[0], shape, ring) + unpack(sent[1], shape, ring), ring)

    recover_seconds, _ = timed(recover, 3)
    return {
        "group": name,
        "images": images,
        "share_seconds": share_seconds,
        "recover_seconds": recover_seconds,
        "upload_bytes_a_server": len(payloads[0]),
        "result_bytes_a_server": len(sent[0]),
        "bytes_a_pixel": len(payloads[0]) / pixels.size,
        "bytes_a_logit": len(sent[0]) / (images * 10),
        "x_bytes": paper_codec.x_bytes(grp),
        "skx_bytes": paper_codec.skx_bytes(grp),
        "key_bits": grp.key_bits,
    }


def sensor(sizes: list[int]) -> Result:
    """Return the generator's words that a sensor draws a reading, for several numbers of readings."""
    key = keygen(GroupName.TOY32, Prg.system())
    rows = []
    for size in sizes:
        rng = Prg.system()
        paper.share_inputs(np.ones((1, size), np.int64), key, rng)
        rows.append({"readings": size, "words": rng.words, "words_a_reading": rng.words / size})
    return {"rows": rows}


def profile(name: str, outputs: int, run: int) -> Result:
    """Split the time of a linear layer, 25 terms an output with all key bits, into exponentiation and conversion."""
    grp = group(GroupName(name))
    key, rng = keygen(grp.name, Prg.system()), Prg.system()
    layer = LinearMap.dense(25, outputs)
    w = rng.below((outputs, 25), 9).astype(np.int64) - 4
    model, _ = paper.encrypt(layer, w, np.zeros(outputs, np.int64), key, rng, keybits=True)
    half, _ = paper.share_inputs(rng.below((1, 25), 10).astype(np.int64), key, rng)
    bases = model.ciphertexts.reshape(-1, 50)
    repeat = 3 if isinstance(grp, ToyGroup) else 1

    def multiply() -> Any:  # noqa: ANN401
        return Exponents.of(grp, paper.exponents(grp, layer, half, Party.E1)).product(bases)

    multiplying, powers = timed(multiply, repeat)
    walk, common = Walk(run, 1 << (run + 6)), Prg.system()
    converting, _ = timed(lambda: steps(grp, blind(grp, powers, common.child("profile")), walk), repeat)
    return {
        "group": name,
        "walk": run,
        "outputs": outputs,
        "exponentiation_seconds": multiplying,
        "conversion_seconds": converting,
        "conversion_share": converting / (converting + multiplying),
    }


def profile_relu(count: int, ring: int) -> Result:
    """Return the share of SecCmp in the time of SecReLU, at one server with an echo for the other."""
    parameters = Parameters(Engine.PAPER, 1, ring, GroupName.TOY32)
    values = np.arange(count, dtype=np.int64).reshape(1, -1)
    pair = PairShare(values, values)
    bits = np.zeros((ring - 1) * count, np.uint8)

    def whole() -> object:
        return finish(secrelu(echo_context(parameters), pair, TripleTape(bits, bits, bits)))

    def compare() -> object:
        share = pair.ring(ring).reshape(-1)
        return finish(open_sign(echo_context(parameters), share, TripleTape(bits, bits, bits), step=0))

    all_seconds, _ = timed(whole, 9)
    compare_seconds, _ = timed(compare, 9)
    return {
        "count": count,
        "ring": ring,
        "seconds": all_seconds,
        "seccmp_share": min(compare_seconds / all_seconds, 1.0),
    }


def shares(count: int) -> Result:
    """Return chi-squared of E1's share of two different readings over 256 bins, and its limit at one in a million."""
    key = keygen(GroupName.TOY32, Prg.system())
    grp = key.group
    out = {}
    for reading in (0, 9):
        half, _ = paper.share_inputs(np.full((1, count), reading, np.int64), key, Prg.system())
        bins = np.bincount(
            (half.x.reshape(-1).astype(np.uint64) * np.uint64(256) // np.uint64(grp.q)).astype(int), minlength=256
        )
        out[str(reading)] = float(((bins - count / 256) ** 2 / (count / 256)).sum())
    return {"count": count, "chi_squared": out, "limit": chi_squared_limit(255)}


def chi_squared_limit(freedom: int) -> float:
    """Return what chi-squared exceeds with a probability of about 1e-6, by Wilson and Hilferty's approximation."""
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + 4.753 * math.sqrt(spread)) ** 3)


def fixed_point() -> Result:
    """Return the paper's own example, and the scale of a product."""
    one = int(fixed.encode(1.23, 1))
    a, b = (int(fixed.encode(v, 1)) for v in (1.2, 0.5))
    return {"encoded": one, "modulus": 127, "product": a * b, "product_scale": 10**2, "product_value": a * b / 10**2}
