"""`pehealth serve`: one process, a party for each file of settings, until a signal stops it."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable, Sequence

import trio

from parties.failure import first_cause, sentence
from parties.operation.opening import open_operation
from parties.service.operator import open_socket
from parties.service.party import open_party
from parties.settings import Settings
from pehealth.errors import ConfigError

AGAIN_SECONDS = 5.0
"""A party that has failed, of a fault that costs it alone, is started again after so long."""
Say = Callable[[str], None]


def check_apart(everything: Sequence[Settings]) -> None:
    """Check that parties of one process share nothing.

    Raises:
        ConfigError: two have one address or one store.
    """
    problems = []
    for what in ("listen", "store"):
        seen: dict[object, Settings] = {}
        for settings in everything:
            value = getattr(settings, what)
            if value and value in seen:
                problems.append(f"{settings.source}: {what} {value} is that of {seen[value].source} too")
            seen[value] = settings
    if problems:
        raise ConfigError(*problems)


async def serve(everything: Sequence[Settings], say: Say, *, stop: trio.Event | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C: then take nothing new, finish what is under way, and go. A second one: at once.

    Args:
        everything: one a party; they share the process and nothing else.
        say: is told what an operator may want to read.
        stop: for tests: does as a signal would.

    Raises:
        PehealthError, TransportError: a party cannot be started; none is.
    """
    stop = stop or trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_heed, stop, nursery.cancel_scope, say)
        async with trio.open_nursery() as tenants:
            for settings in everything:
                tenants.start_soon(_tenant, settings, say, stop, trio.Event())
        nursery.cancel_scope.cancel()


async def _heed(stop: trio.Event, at_once: trio.CancelScope, say: Say) -> None:
    """Turn a first signal into a stop in order, and a second into one at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stop.is_set():
                say(f"{signal.Signals(number).name} again: stopping at once")
                at_once.cancel()
                return
            say(f"{signal.Signals(number).name}: no new queries; those under way are finished")
            stop.set()


async def _tenant(settings: Settings, say: Say, stop: trio.Event, up: trio.Event) -> None:
    """Be one party; once it has been up, a fault of its own does not end the others."""
    while not stop.is_set():
        try:
            await _be(settings, say, stop, up)
        except Exception as error:
            if not up.is_set():
                raise
            say(f"{settings.party} of {settings.deployment} has failed: {sentence(first_cause(error))}; starting again")
            with trio.move_on_after(AGAIN_SECONDS):
                await stop.wait()


async def _be(settings: Settings, say: Say, stop: trio.Event, up: trio.Event) -> None:
    for warning in settings.warnings(dt.datetime.now(dt.UTC)):
        say(f"{settings.party}: {warning}")
    async with (
        open_operation(settings) as operation,
        open_party(settings, operation=operation, report=operation.note) as party,
        open_socket(party),
    ):
        where = f" on {party.address}" if party.address else ""
        models = ", ".join(room.spec.title for room in party.deployments.rooms.values()) or "no model"
        say(f"{settings.party} of {settings.deployment} serves{where}: {models}")
        up.set()
        await stop.wait()
        say(f"{settings.party} of {settings.deployment} stops: {party.in_flight} queries are under way")
        await party.drain()
