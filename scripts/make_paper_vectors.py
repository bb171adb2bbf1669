"""Write tests/vectors/paper_codec.json: elements, shares, pairs and models as bytes, good and bad.

`python scripts/make_paper_vectors.py` from the repository's root. The bytes are put together here by hand, with
int.to_bytes alone, not by the code that the vectors test.
"""

from __future__ import annotations

import json
from pathlib import Path

from pehealth.config import GroupName
from pehealth.crypto.groups import group

OUT = Path("tests/vectors/paper_codec.json")
WIDTHS = {"toy32": (4, 4), "modp1536": (15, 37), "modp2048": (15, 43), "modp3072": (15, 47)}


def elements(name: GroupName, values: list[int]) -> dict[str, object]:
    """Return a good vector of elements."""
    width = group(name).element_bytes
    data = b"".join(v.to_bytes(width, "little") for v in values)
    return {"kind": "elements", "group": name, "values": [str(v) for v in values], "hex": data.hex()}


def integers(width: int, values: list[int]) -> dict[str, object]:
    """Return a good vector of signed integers."""
    data = b"".join(v.to_bytes(width, "little", signed=True) for v in values)
    return {"kind": "integers", "width": width, "values": [str(v) for v in values], "hex": data.hex()}


def pair(name: GroupName, x: list[int], skx: list[int]) -> dict[str, object]:
    """Return a good vector of an input's pair of shares."""
    wide, long = WIDTHS[name]
    data = b"".join(v.to_bytes(wide, "little", signed=True) for v in x)
    data += b"".join(v.to_bytes(long, "little", signed=True) for v in skx)
    return {"kind": "pair", "group": name, "x": [str(v) for v in x], "skx": [str(v) for v in skx], "hex": data.hex()}


def good() -> list[dict[str, object]]:
    """Return vectors that must be read back and written alike."""
    toy, real = group(GroupName.TOY32), group(GroupName.MODP1536)
    return [
        elements(GroupName.TOY32, [1, 2, toy.p - 1]),
        elements(GroupName.TOY32, []),
        *(elements(name, [1, group(name).p - 1, 2**64]) for name in GroupName if name is not GroupName.TOY32),
        integers(4, [0, 1, -1, 2**31 - 1, -(2**31)]),
        integers(8, [2**63 - 1, -(2**63)]),
        integers(5, [-3, 2**39 - 1]),
        integers(15, [0, -1, 2**119 - 1, -(2**119)]),
        pair(GroupName.TOY32, [0, toy.q - 1], [5, 6]),
        pair(GroupName.MODP1536, [2**112 - 1, -(2**112)], [-(2 ** (112 + real.key_bits)), 9]),
        pair(GroupName.MODP2048, [1], [-1]),
        pair(GroupName.MODP3072, [1], [-1]),
    ]


def bad() -> list[dict[str, object]]:
    """Return vectors that must be refused, with a part of the message."""
    toy, real = group(GroupName.TOY32), group(GroupName.MODP1536)
    four, long = (toy.p).to_bytes(4, "little").hex(), (real.p).to_bytes(192, "little").hex()
    order = (toy.q).to_bytes(4, "little").hex()
    return [
        {"kind": "elements", "group": "toy32", "count": 1, "hex": four, "says": "between 1 and p - 1"},
        {"kind": "elements", "group": "toy32", "count": 1, "hex": "00000000", "says": "between 1 and p - 1"},
        {"kind": "elements", "group": "modp1536", "count": 1, "hex": long, "says": "between 1 and p - 1"},
        {"kind": "elements", "group": "modp1536", "count": 1, "hex": "00" * 192, "says": "between 1 and p - 1"},
        {"kind": "elements", "group": "toy32", "count": 2, "hex": "01000000", "says": "8 bytes; 4 came"},
        {"kind": "elements", "group": "toy32", "count": 1, "hex": "0100000000", "says": "4 bytes; 5 came"},
        {"kind": "elements", "group": "modp1536", "count": 1, "hex": "01" * 191, "says": "192 bytes; 191 came"},
        {"kind": "integers", "width": 4, "count": 1, "hex": "010203", "says": "4 bytes; 3 came"},
        {"kind": "integers", "width": 15, "count": 1, "hex": "01" * 16, "says": "15 bytes; 16 came"},
        {"kind": "pair", "group": "toy32", "count": 1, "hex": "00000000" + order, "says": "between 0 and q - 1"},
        {"kind": "pair", "group": "toy32", "count": 1, "hex": "ffffffff" + "00000000", "says": "between 0 and q - 1"},
        {"kind": "pair", "group": "toy32", "count": 1, "hex": "00" * 9, "says": "8 bytes; 9 came"},
        {"kind": "pair", "group": "modp1536", "count": 1, "hex": "00" * 51, "says": "52 bytes; 51 came"},
    ]


def main() -> None:
    """Write the file."""
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"good": good(), "bad": bad()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
