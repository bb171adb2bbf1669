"""What several tests of links need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from transport.carrier import Carrier
from transport.errors import PeerAbort, PeerLost, TransportError
from transport.handshake import Hello
from transport.shake import initiate, respond, turn_away
from transport.wire import Wire

Greet = Callable[[Carrier, Carrier], Awaitable[tuple[str, str]]]


async def greet(first: Carrier, second: Carrier) -> tuple[str, str]:
    """Let E2 call E1; return what each failed of, empty if of nothing."""
    listener = await first.listen("127.0.0.1:0")
    errors = {"E1": "", "E2": ""}

    async def end(name: str, stream: trio.abc.Stream) -> None:
        wire = Wire(stream, "E2" if name == "E1" else "E1")
        try:
            if name == "E1":
                await respond(wire, lambda theirs: Hello("E1").to(theirs.local))
            else:
                await initiate(wire, Hello("E2").to("E1"))
        except TransportError as error:
            errors[name] = str(error)
            if not isinstance(error, PeerAbort | PeerLost):
                await turn_away(wire, name, str(error))
        await wire.aclose()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end, "E2", await second.connect(listener.address))
            nursery.start_soon(end, "E1", await listener.accept())
    await listener.aclose()
    return errors["E1"], errors["E2"]


@pytest.fixture(name="greet")
def _greet() -> Greet:
    return greet
