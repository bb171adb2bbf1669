"""Jumps: a count is a true exponent, walks that met stay together, and those that did not meet as forecast."""

from __future__ import annotations

import numpy as np
import pytest

from pehealth.config import GroupName
from pehealth.crypto.ddlog import Walk, failure_probability, steps
from pehealth.crypto.ddlog_jumps import jump, longest_jump, meeting_failure
from pehealth.crypto.groups import group
from pehealth.crypto.prg import Prg

GROUP = group(GroupName.MODP1536)


def pair(count: int, value: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    second = GROUP.random(Prg.insecure_seed(seed), count)
    return second, GROUP.mul(second, GROUP.elements([pow(2, value, GROUP.p)]))


def test_the_count_leads_from_the_start_to_a_point_with_its_bits_zero() -> None:
    run, density = 12, 6
    starts = GROUP.random(Prg.insecure_seed(1), 40)
    first = steps(GROUP, starts, Walk(run, 1 << 20))
    mu, jumps = jump(GROUP, starts, first, run, density, 10_000)
    assert (mu >= first).all()
    assert (mu > first).any()
    points = [int(h) * pow(2, int(m), GROUP.p) % GROUP.p for h, m in zip(starts, mu, strict=True)]
    assert all(point % (2**61 - 1) < 2**61 >> density for point in points)
    assert jumps == pytest.approx(40 << density, rel=0.6)


def test_where_the_first_walks_meet_the_jumps_are_the_same() -> None:
    run, walk = 15, Walk(15, 1 << 22)
    second, first = pair(60, 5, 2)
    ends = [steps(GROUP, s, walk) for s in (second, first)]
    met = ends[0] - ends[1] == 5
    mus = [jump(GROUP, s, e, run, 7, 4000)[0] for s, e in zip((second, first), ends, strict=True)]
    assert met.sum() >= 59
    assert (mus[0] - mus[1])[met].tolist() == [5] * int(met.sum())


def test_a_cap_ends_the_jumps_of_both_alike() -> None:
    second, first = pair(20, 3, 3)
    walk = Walk(16, 1 << 23)
    ends = [steps(GROUP, s, walk) for s in (second, first)]
    found = [jump(GROUP, s, e, 16, 20, 30) for s, e in zip((second, first), ends, strict=True)]
    assert found[0][1] == found[1][1] == 20 * 30
    assert (found[0][0] - found[1][0] == 3).all()


def test_lengths_are_the_root_of_twice_the_walk() -> None:
    assert longest_jump(20) == 2048
    assert longest_jump(31) == 92681
    assert meeting_failure(30, 40) < 1e-6
    assert meeting_failure(30, 1) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("run", "density", "value", "count"), [(12, 9, 1600, 4000), (14, 11, 6400, 2000)])
def test_walks_that_ended_apart_meet_as_often_as_forecast(run: int, density: int, value: int, count: int) -> None:
    """The forecast is of the mean over tables of lengths; one table may be some per cent better or worse."""
    walk = Walk(run, 1 << (run + 7))
    starts = pair(count, value, run)
    ends = [steps(GROUP, s, walk) for s in starts]
    apart = int((ends[0] - ends[1] != value).sum())
    assert apart == pytest.approx(count * failure_probability(np.array([value]), walk)[0], rel=0.2)
    mus = [jump(GROUP, s, e, run, density, 64 << density)[0] for s, e in zip(starts, ends, strict=True)]
    wrong = int((mus[0] - mus[1] != value).sum())
    assert wrong / apart == pytest.approx(meeting_failure(run, density), rel=0.3)
    assert wrong > 40
