"""In the toy group, key and weights are read from the ciphertexts of one server."""

import numpy as np
import pytest

from pehealth.config import GroupName
from pehealth.crypto.elgamal import encrypt, keygen
from pehealth.crypto.groups import ToyGroup, group
from pehealth.crypto.prg import Prg
from pehealth.crypto.toy_logs import Logarithms
from pehealth.engines.paper_attack import read_weights, recover_key

SMALL = 4079
"""A safe prime that is 7 mod 8: its group can be gone through."""


def test_logarithms_of_all_elements_of_a_small_group_and_of_none_outside() -> None:
    grp = ToyGroup(SMALL)
    exponents = np.arange(grp.q)
    elements = grp.power(np.full(1, 2, np.uint64), exponents.astype(np.uint64))
    assert (Logarithms(grp).of(elements) == exponents).all()
    with pytest.raises(ValueError, match="no logarithm"):
        Logarithms(grp).of(np.array([SMALL - 1], np.uint64))


def test_logarithms_in_the_whole_toy_group() -> None:
    grp = group(GroupName.TOY32)
    exponents = np.concatenate([[0, 1, grp.q - 1], Prg.insecure_seed(1).below(200, grp.q).astype(np.int64)])
    elements = grp.fixed_base(2, 32).power(exponents).reshape(7, 29)
    assert (Logarithms(grp).of(elements) == exponents.reshape(7, 29)).all()


@pytest.mark.parametrize("largest", [9, 400, 90_000])
def test_the_key_and_every_weight_come_out(largest: int) -> None:
    rng = Prg.insecure_seed(largest)
    key = keygen(GroupName.TOY32, rng)
    weights = rng.below((5, 6), 2 * largest + 1).astype(np.int64) - largest
    weights[0, 0] = 0
    sealed = encrypt(weights, key.public, rng)
    broken = recover_key(key.group, sealed.reshape(-1, 2))
    assert broken.secret == key.secret
    assert broken.logarithms == 16
    assert (read_weights(key.group, sealed, broken.secret) == weights).all()
    assert str(key.secret) not in repr(broken)


def test_messages_that_are_no_weights_are_not_taken_for_some() -> None:
    rng = Prg.insecure_seed(2)
    key = keygen(GroupName.TOY32, rng)
    sealed = encrypt(rng.below(20, 2**30).astype(np.int64), key.public, rng)
    with pytest.raises(ValueError, match="no key"):
        recover_key(key.group, sealed)
    with pytest.raises(ValueError, match="larger"):
        read_weights(key.group, sealed, key.secret)
