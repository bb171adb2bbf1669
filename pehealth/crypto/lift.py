"""An exact lift from Z_{2^k} to the integers: a signed Y out of the public Y^ = Y + R mod 2^k.

|Y| <= 2^(k-2). With R' = R - 2^(k-2) mod 2^k, Y^ = (Y + 2^(k-2)) + R' mod 2^k, and Y + 2^(k-2) lies in [0, 2^(k-1)].
So the sum wraps exactly if the top bit of R' is 1 and the top bit of Y^ is 0, and over the integers

    Y = Y^ - T + 2^k (1 - msb(Y^)) v,        T = R' + 2^(k-2),    v = msb(R')

All but T and v is public; both depend on R alone, so they are dealt. Y^ is uniform, so the lift hides Y perfectly.
"""

from __future__ import annotations

import numpy as np

from pehealth.crypto.linear import Ints
from pehealth.crypto.ring import Words


def offsets(mask: Words, ring: int) -> tuple[Ints, Ints]:
    """Return T and v of a mask R (any shape, below 2^ring): object arrays of Python integers, 0 <= T < 2^(ring+1)."""
    quarter = 1 << (ring - 2)
    moved = (mask.astype(object) - quarter) % (1 << ring)
    return moved + quarter, moved >> (ring - 1)


def wrap_weight(y_masked: Words, ring: int) -> Ints:
    """Return the public factor of v: 2^k where the top bit of Y^ is 0, else 0 (object array)."""
    top = y_masked >> np.uint64(ring - 1)
    return (1 - top.astype(object)) << ring
