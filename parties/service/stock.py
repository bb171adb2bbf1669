"""The centre's view of one deployment's material: what both servers have, who may use it, when more is to be dealt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from parties.masked import SERVERS
from parties.service.dealing import SLICE
from parties.service.fields import Fields
from parties.service.roles import ServingCentre
from parties.service.rooms import ModelRoom
from pehealth.errors import Busy, MaterialError, PehealthError
from pehealth.store.ranges import Ranges
from transport.errors import TransportError

CHECK_SECONDS = 10.0
MOST_LEASED = 256
MOST_HELD = 2 * MOST_LEASED
"""Indices that one client may hold and not have used: more would be dealt for it without an end."""
Deal = Callable[[int], Awaitable[None]]
"""Deals material for so many queries."""


class Stock:
    """What there is, and who was told which of it.

    Args:
        room: the deployment's, at HC.
        role: holds the book of leases.
        deal: makes more.
        low, high: water marks.
    """

    def __init__(self, room: ModelRoom, role: ServingCentre, deal: Deal, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.left = 0
        """Queries that can be made and were not leased."""
        self._room, self._role, self._deal = room, role, deal
        self._seconds = room.around.settings.service.query_seconds
        self._usable = Ranges()
        self._handed: dict[str, Ranges] = {}
        """What each client was told in its present conversation, and may be using."""
        self._stale, self._wanted = True, 0
        self._leasing, self._dealing = trio.Lock(), trio.Lock()
        self._hungry, self._grown = trio.Event(), trio.Event()
        self._trouble = ""

    def look_again(self) -> None:
        """Note that what the servers have may have changed."""
        self._stale = True
        self._hungry.set()

    def leave(self, client: str) -> None:
        """Note that a client is gone: what it has not used of its leases it may be told again."""
        if self._handed.pop(client, None) is not None:
            self._stale = True

    async def lease(self, client: str, count: int) -> Ranges:
        """Return up to `count` indices for a client, at least one; both servers know of them.

        Raises:
            Busy: the client holds as many as it may, and has to use them first.
            MaterialError: there are none, and none were dealt in time.
            PehealthError, TransportError: a server is not there.
        """
        until = trio.current_time() + self._seconds
        while True:
            grown = self._grown
            async with self._leasing:
                indices = await self._lease_now(client, count)
            if indices:
                break
            self._wanted = max(self._wanted, count)
            self._hungry.set()
            with trio.move_on_at(until) as scope:
                await grown.wait()
            if scope.cancelled_caught:
                raise MaterialError(
                    f"HC: there is no material left for {self._room.spec.title}, and none was dealt within "
                    f"{self._seconds:g} s{f': {self._trouble}' if self._trouble else ''}"
                )
        spans = [list(span) for span in indices]
        async with trio.open_nursery() as nursery:
            for server in SERVERS:
                nursery.start_soon(self._grant, server, client, spans)
        if self.left < self.low:
            self._hungry.set()
        return indices

    async def _lease_now(self, client: str, count: int) -> Ranges:
        if self._stale:
            await self._refresh()
        count = min(count, await self._allowance(client, count))
        book = await self._role.book()
        free = self._usable
        for handed in self._handed.values():
            free -= handed
        possible = min(count, len(book.usable(client, free)))
        if not possible:
            return Ranges()
        indices = await self._room.actor.on_disk(book.lease, client, possible, free)
        self._handed[client] = self._handed.get(client, Ranges()) | indices
        self._count_left(book.leased)
        return indices

    async def _allowance(self, client: str, count: int) -> int:
        """Return how many indices more a client may hold, at least one. Raises Busy."""
        if self._held(client) + count > MOST_HELD:
            await self._refresh()  # it may have used them meanwhile
        left = MOST_HELD - self._held(client)
        if left < 1:
            raise Busy(f"HC: {client} holds {MOST_HELD} indices that it has not used, and no more at a time")
        return left

    def _held(self, client: str) -> int:
        return len(self._handed.get(client, Ranges()) & self._usable)

    async def _grant(self, server: str, client: str, spans: list[list[int]]) -> None:
        await self._room.ask(server, "grant", within=self._seconds, client=client, spans=spans)

    async def _refresh(self) -> None:
        """Hear from both servers what they can still use; what both have, counts."""
        both: dict[str, Ranges] = {}

        async def hear(server: str) -> None:
            reply = await self._room.ask(server, "stock", within=self._seconds)
            both[server] = Fields("stock", reply).spans("spans")

        self._stale = False
        try:
            async with trio.open_nursery() as nursery:
                for server in SERVERS:
                    nursery.start_soon(hear, server)
        except BaseException:
            self._stale = True
            raise
        one, two = (both[server] for server in SERVERS)
        self._usable = one & two
        self._handed = {client: handed & self._usable for client, handed in self._handed.items()}
        book = await self._role.book()
        await self._room.actor.on_disk(book.prune, self._usable)
        self._count_left(book.leased)
        self._grown.set()
        self._grown = trio.Event()

    def _count_left(self, leased: Ranges) -> None:
        left = len(self._usable - leased)
        if left != self.left:
            self.left = left
            self._room.around.operation.material(self._room.spec.id, left)

    async def keep(self) -> None:
        """Keep enough dealt, for ever; what does not work is said once, and tried again."""
        while True:
            self._hungry = trio.Event()
            try:
                async with self._leasing:
                    await self._refresh()
                await self._fill()
                self._say("")
            except* (PehealthError, TransportError) as group:
                self._say(str(group.exceptions[0]))
            with trio.move_on_after(CHECK_SECONDS):
                await self._hungry.wait()
                if self._trouble:
                    await trio.sleep(1.0)

    async def _fill(self) -> None:
        if self.left >= max(self.low, 1 if self._wanted else 0):
            self._wanted = 0
            return
        while self.left < max(self.high, self._wanted):
            await self.deal(SLICE)
        self._wanted = 0

    async def deal(self, count: int) -> None:
        """Deal for `count` queries more."""
        async with self._dealing:
            await self._deal(count)
        async with self._leasing:
            await self._refresh()

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._room.around.report(f"HC: material of {self._room.spec.title}: {trouble}")
        self._trouble = trouble
