"""A connection to a healthcare centre whose services run."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Self

import numpy as np
import trio
from numpy.typing import ArrayLike, NDArray

from parties.answering import Answers, answering, client_settings, named
from parties.failure import first_cause
from parties.service.cards import Answer, ModelCard
from parties.service.client import Client
from parties.stream import Results, close_source, start_stream
from pehealth.api.result import Result, numbers_of, result_of, samples_of
from pehealth.data.windows import Shaping
from pehealth.errors import ConfigError
from pehealth.sensor.windows import Cutter

DEFAULT_IN_FLIGHT = 8
Opened = AbstractAsyncContextManager[Answers]


class Centre:
    """A model at a centre, ready to answer. `connect` makes one; it may be used by many tasks at once.

    Attributes:
        card: what is known of the model: name, version, shape and ranges of its readings, labels, precision.
    """

    def __init__(self, client: Answers, nursery: trio.Nursery) -> None:
        self._client, self._nursery = client, nursery

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self._client.card

    async def models(self) -> list[ModelCard]:
        """Return every version of every model that the centre has deployed. Raises TransportError."""
        return await self._client.models()

    async def infer(self, x: ArrayLike) -> Result:
        """Return what the model says of one sample, or of a batch.

        Args:
            x: numpy array or lists, in the readings' own units: one sample as `card.input_shape` or flat, or a batch
                (n, ...) of them. Readings are turned into shares here and leave this process as nothing else.

        Raises:
            ConfigError, RangeError: no samples of this model, or a reading is out of its range; nothing was sent.
            PehealthError, TransportError: no answer came, after retries; the first cause.
        """
        began = trio.current_time()
        samples = samples_of(x, self.card.input_shape)
        return result_of(await self._client.infer(samples), trio.current_time() - began)

    def stream(
        self,
        samples: AsyncIterable[ArrayLike],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        ordered: bool = True,
        window: int | None = None,
        stride: int | None = None,
    ) -> Stream:
        """Return the results of a stream of samples, an asynchronous iterator: `async for result in centre.stream(x)`.

        Args:
            samples: one at a time, as `infer` takes them. Not more are taken than there is room for.
            in_flight: queries under way at once.
            ordered: results in the order of the samples; else each as soon as it is there.
            window: `samples` is a time series, a number or one of each channel at a time, and so many make a sample.
            stride: from the start of one window to the start of the next; None: the window's length.

        A sample that cannot be answered raises where its result would be.

        Raises:
            ConfigError: at once, if the arguments cannot work with this model.
        """
        card = self.card
        if in_flight < 1:
            raise ConfigError(f"in_flight = {in_flight}: expected at least 1")
        shaping = Shaping(card.inputs, card.ranges, window, stride)
        if window is not None:
            samples = _windowed(samples, shaping.columns, Cutter(window, stride or window))
        checked = _checked(samples, card.input_shape)
        work = answering(self._client)
        return Stream(
            start_stream(self._nursery, checked, work, together=self.card.batch, in_flight=in_flight, ordered=ordered)
        )


async def _checked(samples: AsyncIterable[ArrayLike], shape: tuple[int, ...]) -> AsyncIterator[NDArray[np.float64]]:
    try:
        async for sample in samples:
            yield _single(sample, shape)
    finally:
        await close_source(samples)


def _single(x: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one sample, flat. Raises ConfigError for more than one."""
    flat = samples_of(x, shape)
    if len(flat) != 1:
        raise ConfigError(f"a stream is of single samples, and a batch of {len(flat)} came")
    return flat.reshape(-1)


async def _windowed(
    rows: AsyncIterable[ArrayLike], channels: int, cutter: Cutter[NDArray[np.float64]]
) -> AsyncIterator[NDArray[np.float64]]:
    """Yield the windows of a time series, the first channel first: as `pehealth.data.windows`."""
    try:
        async for row in rows:
            window = cutter.push(_single(np.atleast_1d(numbers_of(row)), (channels,)))
            if window is not None:
                yield np.stack(window, axis=1).reshape(-1)
    finally:
        await close_source(rows)


class Stream:
    """The results of a stream of samples. Whoever stops before its end calls `aclose`."""

    def __init__(self, results: Results[NDArray[np.float64], Answer]) -> None:
        self._results = results

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        _, _, answer = await anext(self._results)
        return result_of([answer])

    async def aclose(self) -> None:
        """Stop taking samples, and give up what is in flight."""
        await self._results.aclose()


def connect(
    settings: str | Path,
    model: str = "",
    *,
    retries: int = 2,
    report: Callable[[str], None] | None = None,
) -> AbstractAsyncContextManager[Centre]:
    """Link to a centre and its two servers, for the length of an `async with` block (under trio).

    Args:
        settings: this party's settings file: an HMS with E1, E2 and HC among its peers (docs/deployment.md).
        model: "NAME" or "NAME@VERSION", else the newest version; may be left out where the centre has one model.
        retries: how often a query is asked again under a fresh number.
        report: is told, a line of text each, what does not work for the time being.

    Raises:
        ConfigError: the settings cannot work, all problems are listed; or there is no such model.
        TransportError: somebody cannot be reached; names who.
    """
    name, version = named(model)
    loaded = client_settings(Path(settings))
    return centre_of(Client.connect(loaded, model=name, version=version, retries=retries, report=report))


@asynccontextmanager
async def centre_of(opened: Opened) -> AsyncIterator[Centre]:
    """Open a client and yield it as a centre; streams that are left over end with the block.

    What the block raises comes out as it is, and not wrapped into the groups that nurseries make.
    """
    raised: BaseException | None = None
    try:
        async with opened as client, trio.open_nursery() as nursery:
            try:
                yield Centre(client, nursery)
            except trio.Cancelled:
                raise
            except BaseException as error:
                raised = error
                raise
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise raised or first_cause(group) from None
