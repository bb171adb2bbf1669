"""The vectorised code against tests/vectors/dcf.json, which a by-the-book implementation made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pehealth.crypto import dcf
from pehealth.crypto.dcf import DcfCommon, DcfSpec
from pehealth.crypto.prg import Prg

ROOT = Path(__file__).parent.parent.parent
VECTORS = json.loads((ROOT / "tests" / "vectors" / "dcf.json").read_text())["vectors"]
GOOD = [v for v in VECTORS if v["success"]]


def spec_of(vector: dict[str, Any]) -> DcfSpec:
    return DcfSpec(vector["domain"], vector["ring"], vector["words"], vector["inclusive"])


def number(text: str) -> int:
    return int(text, 16)


def block(text: str) -> tuple[int, int]:
    return number(text) % (1 << 64), number(text) >> 64


def common_of(vector: dict[str, Any]) -> DcfCommon:
    """One gate, arrays as `DcfCommon` has them."""
    seed = np.array([block(s) for s in vector["seed"]], np.uint64)[:, None]
    value, leaf = (
        np.array([[number(w) for w in row] for row in vector[name]], np.uint64).T[..., None]
        for name in ("value", "leaf")
    )
    tau = np.array(vector["tau"], np.uint64)[:, None]
    return DcfCommon(spec_of(vector), bytes.fromhex(vector["hash_key"]), seed, tau, value, leaf)


@pytest.mark.parametrize("vector", GOOD, ids=lambda v: f"{v['domain']}-{v['ring']}-{v['words']}")
def test_keys_are_those_of_the_reference(vector: dict[str, Any]) -> None:
    prg = {name: Prg(bytes.fromhex(key)) for name, key in vector["prg"].items()}
    alpha = np.array([number(vector["alpha"])], np.uint64)
    beta = np.array([[number(w)] for w in vector["beta"]], np.uint64)
    keys = dcf.deal(spec_of(vector), alpha, beta, (prg["first"], prg["second"]), prg["dealer"])
    wanted = common_of(vector)
    assert keys.common.hash_key == wanted.hash_key
    for name in ("seed", "tau", "value", "leaf"):
        assert np.array_equal(getattr(keys.common, name), getattr(wanted, name)), name
    assert [tuple(int(w) for w in roots[0]) for roots in keys.roots] == [block(r) for r in vector["roots"]]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['domain']}-{v['ring']}-{v['words']}-{v['comment']}")
def test_shares_are_those_of_the_reference(vector: dict[str, Any]) -> None:
    """Of spoilt keys too: the wrong result is the same wrong result."""
    common, mod, right = common_of(vector), 1 << vector["ring"], []
    for wanted in vector["evaluations"]:
        x = np.array([number(wanted["x"])], np.uint64)
        roots = [np.array([block(r)], np.uint64) for r in vector["roots"]]
        shares = [[int(w) for w in dcf.evaluate(half, common, roots[half], x)[:, 0]] for half in (0, 1)]
        assert shares == [[number(w) for w in share] for share in wanted["shares"]]
        below = x[0] <= number(vector["alpha"]) if vector["inclusive"] else x[0] < number(vector["alpha"])
        sums = [(a + b) % mod for a, b in zip(*shares, strict=True)]
        right.append(sums == [number(w) * int(below) for w in vector["beta"]])
        assert right[-1] == wanted["success"]
    assert all(right) == vector["success"]


@pytest.mark.slow
def test_the_script_makes_the_file_that_is_kept() -> None:
    path = ROOT / "scripts" / "make_vectors_dcf.py"
    loader = importlib.util.spec_from_file_location("make_vectors_dcf", path)
    assert loader is not None
    assert loader.loader is not None
    script = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(script)
    assert script.vectors() == script.TARGET.read_text()
