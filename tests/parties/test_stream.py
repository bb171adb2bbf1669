"""Samples in, results out: in order or as they come, put together where they wait, never too many held."""

import pytest
import trio
import trio.testing

from parties.stream import from_thread, start_stream


async def numbers(count: int, pause: float = 0.0, taken: list[int] | None = None):
    for number in range(count):
        await trio.sleep(pause)
        if taken is not None:
            taken.append(number)
        yield number


async def collect(samples, work, **options):
    async with trio.open_nursery() as nursery:
        return [(place, result) async for place, _, result in start_stream(nursery, samples, work, **options)]


async def late_first(items):
    """Take the longer the earlier the sample."""
    await trio.sleep(10 - items[0])
    return [-item for item in items]


async def test_in_order_of_the_samples(autojump_clock) -> None:
    assert await collect(numbers(5), late_first) == [(n, -n) for n in range(5)]
    assert trio.current_time() == 10


async def test_each_as_soon_as_it_is_there(autojump_clock) -> None:
    results = await collect(numbers(5), late_first, ordered=False)
    assert results == [(n, -n) for n in reversed(range(5))]


async def test_no_more_in_flight_than_asked_for(autojump_clock) -> None:
    running, most = 0, 0

    async def work(items):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return items

    await collect(numbers(20), work, in_flight=3)
    assert most == 3
    assert trio.current_time() == 7


async def test_samples_that_wait_are_put_together_and_none_waits_for_others(autojump_clock) -> None:
    groups = []

    async def work(items):
        groups.append(items)
        await trio.sleep(1)
        return items

    await collect(numbers(9, 0.24), work, together=4, in_flight=1)
    assert groups == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_is_taken_than_there_is_room_for(autojump_clock, ordered: bool) -> None:
    taken: list[int] = []

    async def work(items):
        return items

    async with trio.open_nursery() as nursery:
        results = start_stream(nursery, numbers(100, taken=taken), work, in_flight=2, together=3, ordered=ordered)
        await trio.sleep(1)
        # Nine are held; the next was taken and waits for room.
        assert len(taken) == 10
        await anext(results)
        await trio.sleep(1)
        assert len(taken) == 11
        nursery.cancel_scope.cancel()


async def test_a_sample_that_fails_raises_in_its_place_and_the_rest_goes_on(autojump_clock) -> None:
    async def work(items):
        if items[0] == 1:
            raise ValueError("one")
        return items

    async with trio.open_nursery() as nursery:
        results = start_stream(nursery, numbers(3), work)
        assert (await anext(results))[2] == 0
        with pytest.raises(ValueError, match="one"):
            await anext(results)
        assert (await anext(results))[2] == 2
        with pytest.raises(StopAsyncIteration):
            await anext(results)


@pytest.mark.parametrize("ordered", [True, False])
async def test_samples_that_end_with_an_error_give_it_after_all_results(autojump_clock, ordered: bool) -> None:
    async def broken():
        yield 0
        yield 1
        raise ValueError("line 3")

    async with trio.open_nursery() as nursery:
        results = start_stream(nursery, broken(), late_first, ordered=ordered)
        assert sorted([(await anext(results))[2], (await anext(results))[2]]) == [-1, 0]
        with pytest.raises(ValueError, match="line 3"):
            await anext(results)
        with pytest.raises(StopAsyncIteration):
            await anext(results)


async def test_closing_gives_up_what_is_in_flight(autojump_clock) -> None:
    async with trio.open_nursery() as nursery:
        results = start_stream(nursery, numbers(3), late_first)
        await trio.sleep(1)
        await results.aclose()
    assert trio.current_time() == 1


async def test_items_of_a_generator_that_blocks() -> None:
    def lines():
        yield from "abc"
        raise ValueError("the end")

    seen = []
    with pytest.raises(ValueError, match="the end"):
        async for item in from_thread(lines()):
            seen.append(item)  # noqa: PERF401 - what came before the error counts
    assert seen == ["a", "b", "c"]
