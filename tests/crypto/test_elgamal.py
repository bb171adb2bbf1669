"""Lifted ElGamal: what is encrypted comes back, and adds up in the exponent."""

import numpy as np
import pytest

from pehealth.config import GroupName
from pehealth.crypto.elgamal import decrypt_small, encrypt, keygen
from pehealth.crypto.groups import group
from pehealth.crypto.prg import Prg

NAMES = [GroupName.TOY32, GroupName.MODP1536]


@pytest.mark.parametrize("name", NAMES)
def test_small_messages_of_any_sign_come_back(name: GroupName) -> None:
    rng = Prg.insecure_seed(1)
    key = keygen(name, rng)
    messages = np.arange(-7, 8).reshape(3, 5)
    sealed = encrypt(messages, key.public, rng)
    assert sealed.shape == (3, 5, 2)
    assert (decrypt_small(sealed, key, 7) == messages).all()
    with pytest.raises(ValueError, match="larger than 3"):
        decrypt_small(sealed, key, 3)


@pytest.mark.parametrize("name", NAMES)
def test_products_of_ciphertexts_encrypt_sums(name: GroupName) -> None:
    rng = Prg.insecure_seed(2)
    key = keygen(name, rng)
    a, b = encrypt(np.array([3, -4]), key.public, rng), encrypt(np.array([-5, 9]), key.public, rng)
    assert decrypt_small(key.group.mul(a, b), key, 10).tolist() == [-2, 5]


@pytest.mark.parametrize("name", NAMES)
def test_equal_messages_have_unequal_ciphertexts(name: GroupName) -> None:
    rng = Prg.insecure_seed(3)
    sealed = encrypt(np.ones(20, np.int64), keygen(name, rng).public, rng)
    assert len({int(v) for v in sealed.reshape(-1)}) == 40


@pytest.mark.parametrize("name", NAMES)
def test_key_has_its_length_and_its_bits_make_it_up(name: GroupName) -> None:
    key = keygen(name, Prg.insecure_seed(4))
    assert 0 < key.secret < min(group(name).q, 2 ** group(name).key_bits)
    assert sum(bit << j for j, bit in enumerate(key.bits)) == key.secret
    assert len(key.bits) == group(name).key_bits
    assert pow(2, key.secret, group(name).p) == key.public.h


def test_repr_of_a_key_shows_its_group_only() -> None:
    key = keygen(GroupName.TOY32, Prg.insecure_seed(5))
    assert repr(key) == "<KeyPair toy32>"
    assert repr(key.public) == "<PublicKey toy32>"
