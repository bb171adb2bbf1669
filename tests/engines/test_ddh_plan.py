"""The splits of a network as text, which both servers compare."""

import numpy as np
import pytest

from pehealth.crypto.ddlog import Walk
from pehealth.crypto.ddlog_jumps import meeting_failure
from pehealth.crypto.linear import LinearMap
from pehealth.engines.ddh_plan import Split, SplitPlan
from pehealth.errors import ConfigError

PLAN = SplitPlan.of({(4, 2): Split(29, 2, 20), (3, 28): Split(25, 2, 22)}, 11)


def test_text_walk_and_cap_give_the_plan_back() -> None:
    assert str(PLAN) == "4x2:29^2/20 3x28:25^2/22"
    assert (PLAN.walk, PLAN.cap) == (22, 11 << 23)
    assert SplitPlan.parse(str(PLAN), PLAN.walk, PLAN.cap) == PLAN


def test_each_layer_has_its_walk_and_a_cap_in_proportion() -> None:
    conv, dense = LinearMap((1, 1, 8), 4, (1, 2)), LinearMap.dense(28, 3)
    assert PLAN.steps(conv) == Walk(20, 11 << 21)
    assert PLAN.steps(dense) == Walk(22, 11 << 23)
    assert PLAN.split(dense).largest == (25**2 - 1) // 2


def test_jumps_are_in_the_text_and_lower_the_failures() -> None:
    plan = SplitPlan.of({(3, 28): Split(25, 2, 22, 14)}, 11)
    assert str(plan) == "3x28:25^2/22+14"
    assert SplitPlan.parse(str(plan), plan.walk, plan.cap) == plan
    layer, values = LinearMap.dense(28, 3), np.array([0, 5, -3000])
    plain = SplitPlan.of({(3, 28): Split(25, 2, 22)}, 11)
    assert (plan.failures(layer, values) == plain.failures(layer, values) * meeting_failure(22, 14)).all()


@pytest.mark.parametrize(
    "text", ["", "4x2", "4x2:28^2/20", "4x2:29^0/20", "4x2:29^2/0", "4x2:29^2/20 4x2:25^2/22", "4x2:1^2/20"]
)
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        SplitPlan.parse(text, 20, 11 << 21)


def test_a_cap_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        SplitPlan.parse("4x2:29^2/20", 20, (11 << 21) + 1)
