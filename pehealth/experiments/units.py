"""Times, bytes and bandwidths in the words of tables and axes."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Return for instance "250 us", "1.5 ms", "20 s", "3.2 h"."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size * (1 if unit != "h" else 2):
            return f"{short(seconds / size)} {unit}"
    return "0" if seconds == 0 else f"{short(seconds * 1e9)} ns"


def amount(value: float) -> str:
    """Return bytes, for instance "312 B", "1.53 MB"."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{short(value / size)} {unit}"
    return f"{value:.0f} B"


def rate(bytes_second: float) -> str:
    """Return a bandwidth, for instance "100 Mbit/s"."""
    if math.isinf(bytes_second):
        return "unlimited"
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if 8 * bytes_second >= size:
            return f"{short(8 * bytes_second / size)} {unit}"
    return f"{short(8 * bytes_second)} bit/s"


def short(value: float) -> str:
    """Return three figures without zeros at the end."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
