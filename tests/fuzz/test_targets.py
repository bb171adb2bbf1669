"""The fuzzer's targets in small: what nobody wrote for us gives a documented error, in bounded time and memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing.guard import try_input
from fuzzing.target import Target
from fuzzing.targets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

VECTORS: dict[str, list[dict[str, str]]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "fuzz.json").read_text()
)
CASES = [(name, case) for name, cases in VECTORS.items() for case in cases]
SLOW = ("channel", "document")
NO_SEED_IS_READ = ("channel", "sensor")
"""Every script for a link ends with the error that ends it."""


@st.composite
def inputs(draw: st.DrawFn, target: Target) -> bytes:
    """Arbitrary bytes, or a valid input with a few pieces replaced, cut out or put in."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(list(target.seeds()))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return bytes(data[: target.most_bytes])


def told(target: Target, data: bytes) -> str:
    finding = try_input(target, data)
    return f"{finding.what}\n{finding.told}" if finding else ""


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read_as_documented(name: str) -> None:
    target, read = TARGETS[name], 0
    for seed in target.seeds():
        assert len(seed) <= target.most_bytes
        assert not told(target, seed)
        try:
            target.run(seed)
        except target.documented:
            continue
        read += 1
    assert read > 0 or name in NO_SEED_IS_READ


@pytest.mark.parametrize("name", TARGETS)
def test_what_nobody_wrote_for_us_ends_as_documented(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=25 if name in SLOW else 60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def check(data: bytes) -> None:
        assert not told(target, data)

    check()


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['name']}" for name, case in CASES])
def test_what_was_found_once_is_refused_in_words(name: str, case: dict[str, Any]) -> None:
    target, data = TARGETS[name], bytes.fromhex(case["input"])
    assert try_input(target, data, traced=True) is None
    with pytest.raises(target.documented, match=case["error"]):
        target.run(data)
