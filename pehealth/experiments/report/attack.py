"""What one server of engine `paper` reads of the model, alone, in the group whose size the paper's tables imply."""

from __future__ import annotations

import time

import numpy as np

from pehealth.config import GroupName
from pehealth.crypto.elgamal import encrypt, keygen
from pehealth.crypto.groups import ToyGroup, group
from pehealth.crypto.prg import Prg
from pehealth.engines.paper_attack import read_weights, recover_key
from pehealth.errors import ConfigError
from pehealth.experiments.report.parts import Experiment, Result
from pehealth.nets.scales import Arithmetic
from pehealth.nets.zoo import load_model


def attack_experiment(net: str, digits: int) -> Experiment:
    """Return the experiment that reads a model's weights from its ciphertexts."""
    return Experiment("attack toy32", {"kind": "attack", "net": net, "digits": digits}, lambda: attack(net, digits))


def attack(net: str, digits: int) -> Result:
    """Encrypt every weight as the centre does, then take the key and the weights from the ciphertexts alone."""
    grp = group(GroupName.TOY32)
    if not isinstance(grp, ToyGroup):
        raise ConfigError(f"{grp} is no toy")
    key, rng = keygen(grp.name, Prg.system()), Prg.system()
    model = load_model(net).quantise(digits, Arithmetic.LITERAL)
    weights = np.concatenate([w.reshape(-1) for w in model.weights])
    sealed = encrypt(weights, key.public, rng)
    began = time.process_time()
    broken = recover_key(grp, sealed)
    found = read_weights(grp, sealed, broken.secret)
    seconds = time.process_time() - began
    return {
        "net": net,
        "weights": int(weights.size),
        "read": int(np.count_nonzero(found == weights)),
        "key_found": broken.secret == key.secret,
        "logarithms": broken.logarithms,
        "seconds": seconds,
        "public_shape": sorted({key for layer in model.network.to_json()["layers"] for key in layer if key != "kind"}),
    }
