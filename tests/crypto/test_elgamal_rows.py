"""One random exponent a row and one key a column: messages come back, and rows multiply to dot products."""

import numpy as np
import pytest

from pehealth.config import GroupName
from pehealth.crypto.elgamal_rows import column_keys, decrypt_rows, encrypt_rows
from pehealth.crypto.groups import group
from pehealth.crypto.prg import Prg

GROUP = group(GroupName.MODP1536)


def sealed(messages: np.ndarray, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys = column_keys(GROUP, messages.shape[1], Prg.insecure_seed(seed))
    return keys, *encrypt_rows(GROUP, messages, keys, Prg.insecure_seed(seed + 1))


def test_messages_of_any_sign_come_back() -> None:
    messages = np.arange(-10, 11).reshape(3, 7)
    keys, alpha, beta = sealed(messages)
    assert (decrypt_rows(GROUP, alpha, beta, keys, 10) == messages).all()
    with pytest.raises(ValueError, match="larger than 9"):
        decrypt_rows(GROUP, alpha, beta, keys, 9)


def test_a_row_multiplies_to_a_dot_product_under_one_exponent_of_alpha() -> None:
    messages, y = np.array([[3, -4, 5]]), [7, 2, -6]
    keys, alpha, beta = sealed(messages)
    p = GROUP.p
    product = 1
    for b, factor in zip(beta[0], y, strict=True):
        product = product * pow(int(b), factor, p) % p
    exponent = sum(int(s) * factor for s, factor in zip(keys, y, strict=True))
    assert product == pow(int(alpha[0]), exponent, p) * pow(2, 3 * 7 - 4 * 2 - 5 * 6, p) % p


def test_keys_are_short_and_more_columns_extend_fewer() -> None:
    keys = column_keys(GROUP, 40, Prg.insecure_seed(3))
    assert max(int(k).bit_length() for k in keys) in range(GROUP.key_bits - 4, GROUP.key_bits + 1)
    assert (keys[:7] == column_keys(GROUP, 7, Prg.insecure_seed(3))).all()
    assert len(set(keys.tolist())) == 40


def test_equal_messages_have_unequal_ciphertexts() -> None:
    _, alpha, beta = sealed(np.ones((4, 5), np.int64))
    assert len({int(v) for v in [*alpha, *beta.reshape(-1)]}) == 24
