"""The lift is exact for every mask and every value in range, and what is opened is uniform."""

import numpy as np
import pytest

from pehealth.crypto.lift import offsets, wrap_weight
from pehealth.crypto.prg import Prg


def lifted(mask: np.ndarray, y: np.ndarray, ring: int) -> np.ndarray:
    y_masked = (y.astype(np.int64).view(np.uint64) + mask) & np.uint64((1 << ring) - 1)
    T, v = offsets(np.broadcast_to(mask, y_masked.shape), ring)
    assert (T >= 0).all()
    assert T.max() < 1 << (ring + 1)
    assert np.isin(v, (0, 1)).all()
    return y_masked.astype(object) - T + wrap_weight(y_masked, ring) * v


@pytest.mark.parametrize("ring", [2, 3, 4, 5, 8, 10])
def test_every_value_comes_back_under_every_mask(ring: int) -> None:
    quarter = 1 << (ring - 2)
    y = np.arange(-quarter, quarter + 1)
    masks = np.arange(1 << ring, dtype=np.uint64)[:, None]
    assert (lifted(masks, y, ring) == y).all()


@pytest.mark.parametrize("ring", [2, 4, 6])
def test_values_out_of_range_do_not_all_come_back(ring: int) -> None:
    """The range is as wide as it can be: one value further, some mask gives another integer."""
    quarter = 1 << (ring - 2)
    masks = np.arange(1 << ring, dtype=np.uint64)[:, None]
    for y in (quarter + 1, -quarter - 1):
        assert (lifted(masks, np.array([y]), ring) != y).any()


@pytest.mark.parametrize("ring", [24, 40, 63, 64])
def test_wide_rings_lift_the_ends_of_the_range(ring: int) -> None:
    quarter = 1 << (ring - 2)
    y = np.array([-quarter, -1, 0, 1, quarter])
    masks = Prg.insecure_seed(ring).ring((500, 1), ring)
    masks[:6, 0] = [0, 1, quarter, 2 * quarter - 1, 2 * quarter, 2**ring - 1]
    assert (lifted(masks, y, ring) == y).all()
