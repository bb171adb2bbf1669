"""A client of the services: a sensor, or a program in a hospital. It sends shares of readings and receives answers.

    async with Client.connect(settings, model="clinic") as client:
        answers = await client.infer(readings)

One program at a time may use a party's name: a second one takes its links over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from parties.service.cards import Answer, ModelCard

if TYPE_CHECKING:
    from parties.settings import Settings
    from pehealth.crypto.prg import Prg
    from transport.carrier import Carrier


class Client:
    """A client of one deployed model. Make one with `connect`.

    Attributes:
        card: what is known of the model.
    """

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        settings: Settings,
        *,
        model: str = "",
        version: int | None = None,
        retries: int = 2,
        carrier: Carrier | None = None,
        rng: Prg | None = None,
        report: Callable[[str], None] | None = None,
    ) -> AsyncIterator[Client]:
        """Link to the centre and the servers; the links live as long as the block, and are made again if they break.

        Args:
            settings: ours: an HMS with E1, E2 and HC among its peers.
            model: which model; may be left out where there is one alone.
            version: which version; the newest unless said.
            retries: how often a query is asked again under a fresh index.
            carrier: what carries the links; by default what the settings say.
            rng: randomness; by default the system's.
            report: is told, a line of text each, what does not work for the time being.

        Raises:
            ConfigError: no such model, or settings that name no centre.
            TransportError: nobody is there; names who, and the last error.
        """
        yield cls(await _find(settings, model, version, retries, carrier, rng, report))

    async def models(self) -> list[ModelCard]:
        """Return every deployed version of every model, as HC says now."""
        raise NotImplementedError

    async def infer(self, readings: NDArray[np.float64], *, normalised: bool = False) -> list[Answer]:
        """Return the answers to samples, in their order: one a query of `card.batch` samples.

        Args:
            readings: (n, *input_shape) or (n, inputs), in their own units.
            normalised: readings are in [0, 1] already.

        Raises:
            RangeError, ConfigError: a sample cannot be sent; nothing was.
            PehealthError, TransportError: the first cause, after the last retry; other queries were answered or not.
        """
        raise NotImplementedError


async def _find(*_told: object) -> ModelCard:
    raise NotImplementedError
