"""A stream of samples to a stream of results: several in flight, those that wait put together, never too many held."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

import trio

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False, slots=True)
class _Slot(Generic[T, R]):
    """One sample on its way."""

    place: int
    item: T
    done: trio.Event = field(default_factory=trio.Event)
    result: R | None = None
    error: Exception | None = None


class Results(Generic[T, R]):
    """What `start_stream` returns: iterate over it to get (place of the sample, sample, result).

    A sample that failed raises where its result would be; the iteration may go on after that. Whoever leaves early
    calls `aclose`; else the stream waits for somebody to take its results until its nursery is cancelled.
    """

    def __init__(self, ready: trio.MemoryReceiveChannel[_Slot[T, R]], room: trio.Semaphore) -> None:
        self._ready, self._room = ready, room
        self.scope = trio.CancelScope()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, T, R]:
        try:
            slot = await self._ready.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        await slot.done.wait()
        self._room.release()
        if slot.error is not None:
            raise slot.error
        return slot.place, slot.item, slot.result  # type: ignore[return-value]  # a slot without an error has one

    async def aclose(self) -> None:
        """Stop: no sample is taken any more, and what is in flight is given up."""
        self.scope.cancel()
        await trio.lowlevel.checkpoint()


def start_stream(
    nursery: trio.Nursery,
    samples: AsyncIterable[T],
    work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
    *,
    together: int = 1,
    in_flight: int = 8,
    ordered: bool = True,
) -> Results[T, R]:
    """Have `work` done for a stream of samples, and return the stream of its results.

    Args:
        nursery: where it happens; an error of a sample goes to who takes the results, never up.
        samples: taken when there is room for them: (in_flight + 1) * together are held, results not taken included.
        work: makes of 1 to `together` samples as many results.
        together: samples that are worked on together if they wait at the same time; none waits for others to come.
        in_flight: how often `work` runs at once.
        ordered: results come in the order of the samples; else each as soon as it is there.
    """
    out, ready = trio.open_memory_channel[_Slot[T, R]](math.inf)
    results = Results(ready, trio.Semaphore((in_flight + 1) * together))
    nursery.start_soon(_Stream(samples, work, together, in_flight, ordered, results, out).run)
    return results


class _Stream(Generic[T, R]):
    def __init__(
        self,
        samples: AsyncIterable[T],
        work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        together: int,
        in_flight: int,
        ordered: bool,
        results: Results[T, R],
        out: trio.MemorySendChannel[_Slot[T, R]],
    ) -> None:
        self._samples, self._work = samples, work
        self._together, self._in_flight, self._ordered = together, in_flight, ordered
        self._results, self._room, self._out = results, results._room, out  # noqa: SLF001 - two halves of one thing
        self._give, self._take = trio.open_memory_channel[_Slot[T, R]](math.inf)
        self._broken: _Slot[T, R] | None = None

    async def run(self) -> None:
        with self._out, self._results.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._feed)
                for _ in range(self._in_flight):
                    nursery.start_soon(self._serve)
            if self._broken is not None:
                self._out.send_nowait(self._broken)

    async def _feed(self) -> None:
        place = 0
        with self._give:
            try:
                async for item in self._samples:
                    await self._room.acquire()
                    slot = _Slot[T, R](place, item)
                    place += 1
                    if self._ordered:
                        self._out.send_nowait(slot)
                    self._give.send_nowait(slot)
            except Exception as error:  # noqa: BLE001 - who takes the results is to hear of it, behind them
                self._broken = _Slot(place, None, error=error)  # type: ignore[arg-type]  # nobody sees it
                self._broken.done.set()
            finally:
                await close_source(self._samples)

    async def _serve(self) -> None:
        async for slot in self._take:
            group = [slot]
            while len(group) < self._together:
                try:
                    group.append(self._take.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            await self._do(group)

    async def _do(self, group: list[_Slot[T, R]]) -> None:
        try:
            results = await self._work([slot.item for slot in group])
            for slot, result in zip(group, results, strict=True):
                slot.result = result
        except Exception as error:  # noqa: BLE001 - one group's, not the stream's
            for slot in group:
                slot.error = error
        for slot in group:
            slot.done.set()
            if not self._ordered:
                self._out.send_nowait(slot)


async def close_source(samples: AsyncIterable[T]) -> None:
    """Close a generator that will not be asked again; anything else is left alone."""
    if isinstance(samples, AsyncGenerator):
        await samples.aclose()


async def from_thread(samples: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items of a generator that may block, for instance on a pipe; it runs in a thread.

    A cancellation leaves the thread behind, in its wait.
    """
    iterator, end = iter(samples), object()
    while True:
        item = await trio.to_thread.run_sync(next, iterator, end, abandon_on_cancel=True)
        if item is end:
            return
        yield item  # type: ignore[misc]  # not the end: a T
