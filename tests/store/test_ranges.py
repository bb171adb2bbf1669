"""Ranges are sets of integers."""

from hypothesis import given
from hypothesis import strategies as st

from pehealth.store.ranges import Ranges

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


def members(spans: list[tuple[int, int]]) -> set[int]:
    return {i for first, end in spans for i in range(first, end)}


@given(SPANS, SPANS)
def test_ranges_behave_as_sets(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    x, y = Ranges.of(a), Ranges.of(b)
    assert {i for i in range(-1, 42) if i in x} == members(a)
    assert len(x) == len(members(a))
    assert x | y == Ranges.of(a + b)
    assert x.with_indices(members(b)) == x | y
    assert all(end < first for (_, end), (first, _) in zip(x.spans, x.spans[1:], strict=False)), "ranges touch"
    assert Ranges.of(list(x)) == x
    assert x & y == Ranges().with_indices(members(a) & members(b))
    assert x - y == Ranges().with_indices(members(a) - members(b))
    assert list(x.indices) == sorted(members(a))
    for count in (0, 1, 5, 100):
        assert list(x.lowest(count).indices) == sorted(members(a))[:count]


def test_ranges_are_shown_shortly() -> None:
    assert str(Ranges.of([(0, 3), (5, 6), (3, 4)])) == "0-3, 5"
    assert str(Ranges()) == "none"
