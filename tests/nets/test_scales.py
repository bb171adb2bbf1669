"""The scale of every layer, in both kinds of engines."""

from pehealth.config import Engine
from pehealth.nets.describe import Dense, Layer, MaxPool, MeanPool, Network, Relu
from pehealth.nets.scales import Arithmetic, scale_steps


def network(*layers: Layer, inputs: int = 8) -> Network:
    probe = Network("n", (inputs,), (*layers, Dense(2)), ("a", "b"))
    assert probe.placed
    return probe


def after(net: Network, arithmetic: Arithmetic, digits: int = 2) -> list[int]:
    return [s.after for s in scale_steps(net, digits, arithmetic)]


def divisors(net: Network, arithmetic: Arithmetic, digits: int = 2) -> list[int | None]:
    return [s.divisor for s in scale_steps(net, digits, arithmetic)]


def test_the_paper_s_engine_never_divides_and_its_scale_grows_with_each_linear_layer() -> None:
    net = network(Dense(8), Relu(), Dense(4), Relu())
    assert after(net, Arithmetic.LITERAL) == [10**4, 10**4, 10**6, 10**6, 10**8]
    assert divisors(net, Arithmetic.LITERAL) == [None] * 5


def test_a_masked_engine_s_relu_brings_the_scale_back_to_one_unit() -> None:
    net = network(Dense(8), Relu(), Dense(4), Relu())
    assert after(net, Arithmetic.MASKED) == [10**4, 100, 10**4, 100, 10**4]
    assert divisors(net, Arithmetic.MASKED) == [None, 100, None, 100, None]


def test_a_mean_pool_multiplies_the_scale_by_its_window_in_both() -> None:
    net = network(Dense(8), Relu(), MeanPool((4,)))
    assert after(net, Arithmetic.MASKED) == [10**4, 100, 400, 40_000]
    assert after(net, Arithmetic.LITERAL) == [10**4, 10**4, 4 * 10**4, 4 * 10**6]


def test_a_relu_after_a_mean_pool_divides_the_window_away_too() -> None:
    net = network(Dense(8), MeanPool((4,)), Relu())
    assert after(net, Arithmetic.MASKED) == [10**4, 4 * 10**4, 100, 10**4]
    assert divisors(net, Arithmetic.MASKED)[2] == 400


def test_a_relu_with_no_linear_layer_before_it_divides_by_nothing() -> None:
    assert divisors(network(Relu(), Dense(4), Relu(), Relu()), Arithmetic.MASKED) == [None, None, 100, None, None]
    pooled_between = network(Dense(8), Relu(), MeanPool((2,)), Relu())
    assert after(pooled_between, Arithmetic.MASKED) == [10**4, 100, 200, 200, 2 * 10**4]


def test_a_max_pool_leaves_the_scale_alone() -> None:
    net = network(Dense(8), MaxPool((2,)), Relu(), MaxPool((2,)))
    assert after(net, Arithmetic.MASKED) == [10**4, 10**4, 100, 100, 10**4]


def test_every_step_starts_where_the_one_before_ended() -> None:
    net = network(Dense(8), Relu(), MeanPool((2,)), Dense(4), MaxPool((2,)), Relu())
    for arithmetic in Arithmetic:
        steps = scale_steps(net, 3, arithmetic)
        assert steps[0].before == 1000
        assert [s.before for s in steps[1:]] == [s.after for s in steps[:-1]]
        assert all(s.before == s.divisor * s.after for s in steps if s.divisor)


def test_only_engine_paper_is_literal() -> None:
    assert [e for e in Engine if Arithmetic.of(e) is Arithmetic.LITERAL] == [Engine.PAPER]
