"""A server's walk without a second server: every message comes back, so values are garbage and times are right.

No gate and no walk takes longer for one value than for another, so what a layer computes can be measured alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pehealth.config import Parameters, Party
from pehealth.crypto.prg import Prg
from pehealth.protocols.context import Context
from transport.interfaces import Tag

T = TypeVar("T")


class Echo:
    """An `Endpoint` whose peer sends back what it was sent."""

    local = "E2"
    peer = "E1"

    def __init__(self) -> None:
        self._last = b""

    def describe(self, tag: Tag) -> str:
        """See `Endpoint.describe`."""
        return str(tag)

    async def send(self, _tag: Tag, payload: bytes | bytearray | memoryview) -> None:
        """Keep one message."""
        self._last = bytes(payload)

    async def receive(self, _tag: Tag, *, most: int) -> bytes:
        """Return it."""
        return self._last[:most]


async def _at_once(function: Callable[..., T], *args: object) -> T:
    return function(*args)


def echo_context(parameters: Parameters) -> Context:
    """Return the context of E2 with an echo for E1."""
    common = Prg.insecure_seed(0)  # what is measured protects nothing
    return Context(Party.E2, Echo(), parameters, common, _at_once, query=1)


def finish(walk: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nobody."""
    try:
        walk.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("a walk on an echo waits for nobody")
