"""Layers are compared with the oracle where the engine's order and the network's meet."""

from parties.check import meetings


def test_a_pool_that_went_before_its_relu_is_compared_after_both() -> None:
    assert meetings([1, 3, 2, 4]) == [(1, 1), (2, 3), (4, 4)]


def test_layers_in_order_are_all_compared() -> None:
    assert meetings([1, 2, 3]) == [(1, 1), (2, 2), (3, 3)]
