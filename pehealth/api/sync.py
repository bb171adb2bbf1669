"""A centre for programs without an event loop: trio runs in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import trio
from numpy.typing import ArrayLike

from parties.failure import first_cause
from parties.service.cards import ModelCard
from pehealth.api.centre import DEFAULT_IN_FLIGHT, Centre, Stream, connect
from pehealth.api.result import Result
from transport.errors import LinkClosed

T = TypeVar("T")


class SyncCentre:
    """A model at a centre; every call blocks until its result is there. It may be used by many threads at once."""

    def __init__(self, portal: _Portal) -> None:
        self._portal = portal

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self._portal.centre.card

    def models(self) -> list[ModelCard]:
        """Return every version of every model, as `Centre.models`."""
        return self._portal.run(self._portal.centre.models)

    def infer(self, x: ArrayLike) -> Result:
        """Return what the model says of one sample, or of a batch, as `Centre.infer`."""
        return self._portal.run(self._portal.centre.infer, x)

    def stream(
        self,
        samples: Iterable[ArrayLike],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        window: int | None = None,
        stride: int | None = None,
    ) -> Iterator[Result]:
        """Yield results in the order of the samples, which are taken in another thread; see `Centre.stream`."""
        from parties.stream import from_thread

        async def start() -> Stream:
            series = from_thread(samples)
            return self._portal.centre.stream(series, in_flight=in_flight, window=window, stride=stride)

        stream = self._portal.run(start)
        try:
            while (result := self._portal.run(_next, stream)) is not None:
                yield result
        finally:
            if self._portal.open:
                self._portal.run(stream.aclose)


async def _next(stream: Stream) -> Result | None:
    return await anext(stream, None)


@contextmanager
def connect_sync(settings: str | Path, model: str = "", *, retries: int = 2) -> Iterator[SyncCentre]:
    """Link to a centre for the length of a `with` block, without trio in sight. Arguments and errors as `connect`."""
    with centre_in_thread(connect(settings, model, retries=retries)) as centre:
        yield centre


@contextmanager
def centre_in_thread(opened: AbstractAsyncContextManager[Centre]) -> Iterator[SyncCentre]:
    """Open a centre in a thread that runs trio; it ends with the block."""
    portal = _Portal(opened)
    portal.start()
    try:
        yield SyncCentre(portal)
    finally:
        portal.stop()


class _Portal:
    """A thread with an event loop in it, and the centre that lives there."""

    def __init__(self, opened: AbstractAsyncContextManager[Centre]) -> None:
        self._opened = opened
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._thread = threading.Thread(target=self._live, name="pehealth", daemon=True)
        self.centre: Centre

    @property
    def open(self) -> bool:
        """True while calls can be made."""
        return self._token is not None

    def start(self) -> None:
        """Open the centre. Raises what opening it raises."""
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            self._cancel()
            raise
        if self._failure is not None:
            self._thread.join()
            raise first_cause(self._failure)

    def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run a coroutine there and return its result. Raises what it raises; LinkClosed once the loop has ended."""
        if self._token is None:
            raise LinkClosed("the connection to the centre was closed, and then used")
        try:
            return trio.from_thread.run(function, *args, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled) as error:
            self._thread.join()
            if self._failure is not None:
                raise first_cause(self._failure) from None
            raise LinkClosed("the connection to the centre was closed in another thread") from error

    def stop(self) -> None:
        """Close the centre and end the thread."""
        self._cancel()
        self._thread.join()
        if self._failure is not None:
            raise first_cause(self._failure)

    def _cancel(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._scope.cancel)

    def _live(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - told to who uses the block
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        with self._scope:
            async with self._opened as self.centre:
                self._token = trio.lowlevel.current_trio_token()
                self._ready.set()
                await trio.sleep_forever()
