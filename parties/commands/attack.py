"""`pehealth attack toy32`: what the paper's group size is worth, in front of the reader."""

from __future__ import annotations

import time

import numpy as np

from parties.console import count, duration, line, open_console, size
from pehealth.config import GroupName
from pehealth.errors import ConfigError

MOST_SHOWN = 8


def toy32(*, net: str = "postop-b", digits: int = 1) -> None:
    """Read the secret key and every weight from what ONE server of engine paper holds in the 32-bit group.

    Args:
        net: Network: a name that `pehealth data list` shows, or a model file (.npz).
        digits: Decimal digits d of the weights.
    """
    from parties.literal import encrypt_packed, unpack_model
    from pehealth.crypto.elgamal import keygen
    from pehealth.crypto.groups import ToyGroup, group
    from pehealth.crypto.prg import Prg
    from pehealth.engines.paper_attack import read_weights, recover_key
    from pehealth.nets.plan_literal import has_key_bits
    from pehealth.nets.scales import Arithmetic
    from pehealth.nets.zoo import load_model

    grp, console = group(GroupName.TOY32), open_console()
    if not isinstance(grp, ToyGroup):
        raise ConfigError(f"{grp} is no toy")
    network = load_model(net).network
    model = load_model(net).quantise(digits, Arithmetic.LITERAL)
    key, rng = keygen(grp.name, Prg.system()), Prg.system()

    line(console, f"The healthcare centre deploys {net} with engine paper on toy32: a key of {grp.key_bits} bits.")
    held = []
    for placed, w, b in zip(network.linear_layers, model.weights, model.biases, strict=True):
        blob, _ = encrypt_packed(placed.linear, w, b, key, rng.child(placed.index), has_key_bits(network, placed))
        held.append((placed, blob))
        line(console, f"  E1 receives {placed.name}: {w.size} encrypted weights, {size(len(blob))}")

    line(console, "E1, alone and without a message to anyone, takes discrete logarithms of a few ciphertexts:")
    layers = [unpack_model(blob, p.linear, grp, has_key_bits(network, p)).ciphertexts[0] for p, blob in held]
    everything = np.concatenate([sealed.reshape(-1, 2) for sealed in layers])
    began = time.perf_counter()
    broken = recover_key(grp, everything)
    middle = time.perf_counter()
    read = [read_weights(grp, sealed, broken.secret) for sealed in layers]
    ended = time.perf_counter()
    found = "the centre's key" if broken.secret == key.secret else "NOT the centre's key"
    line(console, f"  sk = {broken.secret}, {found}: {broken.logarithms} logarithms, {duration(middle - began)}")
    for (placed, _), weights, real in zip(held, read, model.weights, strict=True):
        equal = int(np.count_nonzero(weights == real))
        shown = ", ".join(f"{w / 10**digits:g}" for w in weights.reshape(-1)[:MOST_SHOWN])
        line(console, f"  {placed.name}: {equal} of {real.size} weights equal the real ones: {shown}, ...")
    line(console, f"All {count(everything.shape[0])} weights were read in {duration(ended - middle)}.")
    line(console, "In modp3072 the same step is believed to take 2^128 operations: --group modp3072, or --engine ddh.")
