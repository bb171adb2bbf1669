"""Elements and long integers come back from their words, and nothing else is taken for one."""

import numpy as np
import pytest

from pehealth.codec.limbs import element_field, integer_field, pack_limbs, pack_octets, unpack_limbs, unpack_octets
from pehealth.codec.packing import Layout
from pehealth.config import GroupName
from pehealth.crypto.groups import group
from pehealth.crypto.prg import Prg
from pehealth.errors import PeerProtocolError, RangeError

GROUPS = [GroupName.MODP1536, GroupName.MODP2048, GroupName.MODP3072]


@pytest.mark.parametrize("name", GROUPS)
def test_elements_come_back_from_a_record_without_a_spare_byte(name: GroupName) -> None:
    grp = group(name)
    elements = np.concatenate([grp.random(Prg.insecure_seed(1), 4), grp.elements([1, grp.p - 1])]).reshape(3, 2)
    layout = Layout((element_field("e", grp, (3, 2)),))
    assert layout.size == 6 * grp.element_bytes
    back = layout.unpack(layout.pack({"e": pack_limbs(grp, elements)}))["e"]
    assert (unpack_limbs(grp, back) == elements).all()


@pytest.mark.parametrize("value", [0, "p", "all ones"])
def test_a_number_that_is_no_element_is_refused(value: int | str) -> None:
    grp = group(GroupName.MODP1536)
    words = pack_limbs(grp, grp.elements([5]))
    number = {"p": grp.p, "all ones": 2**1536 - 1}.get(value, value)
    words[0] = np.frombuffer(int(number).to_bytes(192, "little"), "<u8")
    with pytest.raises(PeerProtocolError, match="between 1 and p - 1"):
        unpack_limbs(grp, words)


@pytest.mark.parametrize("bits", [7, 63, 82, 105, 337])
def test_signed_integers_come_back(bits: int) -> None:
    top = (1 << bits) - 1
    values = np.array([[0, 1, -1], [top, -top, top >> 1]], object)
    field = integer_field("i", (2, 3), bits)
    layout = Layout((field,))
    assert field.size == 6 * ((bits + 8) // 8)
    back = layout.unpack(layout.pack({"i": pack_octets(values, bits)}))["i"]
    assert unpack_octets(back).tolist() == values.tolist()


def test_an_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RangeError, match="does not fit"):
        pack_octets(np.array([1 << 90], object), 82)
