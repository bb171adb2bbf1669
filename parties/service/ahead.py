"""Queries that a server makes ready before they come: the next few of each client, in the gaps between queries."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from parties.service.flights import Flights
from parties.service.roles import ServingServer
from pehealth.errors import MaterialError
from pehealth.store.ranges import Ranges

MOST_EXPECTED = 4096
"""Indices of one client that are remembered."""


class Ahead:
    """What is ready, and what is next.

    Args:
        role: makes queries ready.
        flights: queries under way; while there are any, a client that has something ready can wait.
        each: how many to have ready for a client.
        allowed: returns once material may be reserved.
    """

    def __init__(
        self, role: ServingServer, flights: Flights, each: int, allowed: Callable[[], Awaitable[None]]
    ) -> None:
        self._role, self._flights, self._each, self._allowed = role, flights, each, allowed
        self._next: dict[str, deque[int]] = {}
        self._made: dict[str, set[int]] = {}
        self._news = trio.Event()

    @property
    def count(self) -> int:
        """Queries that are ready."""
        return sum(map(len, self._made.values()))

    def expect(self, client: str, indices: Ranges) -> None:
        """Note which indices a client will name next."""
        queue = self._next.setdefault(client, deque(maxlen=MOST_EXPECTED))
        made = self._made.setdefault(client, set())
        queue.extend(index for index in indices.indices if index not in made and index not in queue)
        self.wake()

    def leave(self, client: str) -> None:
        """Drop what is ready for a client that is gone; its other indices keep."""
        self._next.pop(client, None)
        self._role.drop(index for index in self._made.pop(client, ()) if not self._flights.runs(index))

    def wake(self) -> None:
        """Look again at what is next."""
        self._news.set()

    async def run(self) -> None:
        """Make queries ready, for ever."""
        while True:
            self._news = trio.Event()
            found = self._pick()
            if found is None:
                await self._news.wait()
                continue
            client, index = found
            try:
                await self._allowed()
                await self._role.make_ready(index, client)
            except MaterialError:  # burnt or used meanwhile: whoever names it is told so
                continue
            if client in self._made:
                self._made[client].add(index)
            elif not self._flights.runs(index):
                self._role.drop([index])

    def _pick(self) -> tuple[str, int] | None:
        for client, queue in self._next.items():
            made = self._made[client]
            made.difference_update([index for index in made if not self._role.is_ready(index)])
            if len(made) >= self._each or (made and len(self._flights)):
                continue
            while queue:
                index = queue.popleft()
                if not self._flights.runs(index) and not self._role.is_ready(index):
                    return client, index
        return None
