"""One link of a room from its handshake to its end, with the task that serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import trio

from transport.channel import Channel
from transport.greeting import blame
from transport.hosting import House

OnLink = Callable[[Channel], Awaitable[None]]
"""Serves one link; is cancelled when the link ends."""


class StandingLink:
    """A channel that runs in the host's nursery until somebody ends it.

    Args:
        channel: after the handshake.
        on_link: serves it; None: nobody does.
        house: the host's.
        gone: is called once, as soon as the link cannot be used any more.

    Attributes:
        why: why it has ended.
        served: set when the task that serves it has ended.
        over: set when it is closed and nothing of it runs any more.
    """

    def __init__(
        self, channel: Channel, on_link: OnLink | None, house: House, gone: Callable[[StandingLink], None]
    ) -> None:
        self.channel = channel
        self.why = ""
        self.over = trio.Event()
        self._on_link, self._house, self._gone = on_link, house, gone
        self._serving, self._watching = trio.CancelScope(), trio.CancelScope()
        self.served = trio.Event()

    async def keep(self, before: Collection[StandingLink]) -> None:
        """Run the channel and serve it, until it ends; `before`: earlier links of the same peer."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.channel.run)
                nursery.start_soon(self._serve, before)
                nursery.start_soon(self._watch)
                end = await self.channel.wait_end()
                self.end(str(end))
                await self.channel.aclose()
        except Exception as error:  # noqa: BLE001  (whatever it is, it costs this link only)
            self._house.mistake(_fault(error))
        finally:
            self.end("our process stops")
            await self.channel.aclose()
            self.over.set()

    async def leave(self, origin: str, reason: str) -> None:
        """End the link: say goodbye, or, if there is a reason, who failed first and why."""
        self.end(reason or "we said goodbye")
        if reason:
            await self.channel.abort(origin, reason)
        else:
            await self.channel.aclose()

    def end(self, why: str) -> None:
        """Say that the link is not used any more: nobody is given it, and its service ends. The first reason stays."""
        if not self.why:
            self.why = why
            self._serving.cancel()
            self._watching.cancel()
            self._gone(self)

    async def _watch(self) -> None:
        """End the link once nobody has taken for long what fills our buffer: a peer could keep its place for ever."""
        channel, seconds = self.channel, self.channel.limits.deadline_seconds
        with self._watching:
            while channel.blocked < seconds:  # noqa: ASYNC110  (time alone can tell)
                await trio.sleep(max(seconds - channel.blocked, 1.0))
        if not self._watching.cancel_called:
            await self.leave(channel.local, f"nobody took what {channel.peer} has sent for {seconds:g} s")

    async def _serve(self, before: Collection[StandingLink]) -> None:
        """Serve the link once those before are served no more: never two at a time for one peer."""
        failure: Exception | None = None
        try:
            with self._serving:
                for link in before:
                    await link.served.wait()
                if self._on_link is not None:
                    await self._on_link(self.channel)
        except Exception as error:  # noqa: BLE001  (whatever it is, it costs this link only)
            failure = error
        finally:
            self.served.set()
        if failure is not None:
            await self._blame(failure)

    async def _blame(self, failure: Exception) -> None:
        """End the link because the task that served it failed."""
        fault = _fault(failure)
        ours = not hasattr(fault, "exit_code")
        if ours:
            self._house.mistake(fault)
        if ours or not self.channel.ended:
            await self.leave(*blame(fault, self.channel.local))


def _fault(failure: BaseException) -> BaseException:
    """Return what to say of a failure: of several the first that is a mistake of ours, or else the first."""
    if not isinstance(failure, BaseExceptionGroup):
        return failure
    faults = [_fault(each) for each in failure.exceptions]
    return next((fault for fault in faults if not hasattr(fault, "exit_code")), faults[0])
