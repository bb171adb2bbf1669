"""Tasks run here or in processes: the same results in order, errors as they were raised, nobody left behind."""

from __future__ import annotations

import os
import signal

import pytest

from pehealth.engines.workers import Workers
from pehealth.errors import ConfigError, PehealthError


def square(n: int) -> int:
    return n * n


def refuse(n: int) -> int:
    if n == 3:
        raise ConfigError("three will not do")
    return n


def perish(n: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return n


def no_tell(_done: int, _of: int) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def pair():
    with Workers(2) as workers:
        yield workers


def test_results_are_in_order_and_everything_is_told(pair: Workers) -> None:
    for workers in (Workers(), pair):
        told = []
        assert workers.map(square, range(9), lambda done, of, told=told: told.append((done, of))) == [
            n * n for n in range(9)
        ]
        assert told[-1] == (9, 9)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert workers.map(square, [], no_tell) == []


def test_processes_are_kept_from_one_map_to_the_next(pair: Workers) -> None:
    pair.map(square, range(2), no_tell)
    before = [process.pid for process, _ in pair._crew]
    pair.map(square, range(5), no_tell)
    assert [process.pid for process, _ in pair._crew] == before


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_a_task_is_raised_and_the_next_map_works(count: int) -> None:
    with Workers(count) as workers:
        with pytest.raises(ConfigError, match="three will not do"):
            workers.map(refuse, range(6), no_tell)
        if count > 1:
            assert not workers._crew
        assert workers.map(square, [4], no_tell) == [16]


@pytest.mark.parametrize("count", [1, 2])
def test_what_the_listener_raises_ends_the_work(count: int) -> None:
    def stop(_done: int, _of: int) -> None:
        raise KeyError("enough")

    with Workers(count) as workers, pytest.raises(KeyError, match="enough"):
        workers.map(square, range(4), stop)


@pytest.mark.slow
def test_a_process_that_was_killed_is_named_as_the_cause() -> None:
    with Workers(2) as workers, pytest.raises(PehealthError, match="ended in the middle"):
        workers.map(perish, range(2), no_tell)


def test_a_count_below_one_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Workers(0)
