"""Kills one party at a chosen moment: a message sent or taken, or the beginning or end of what it computes or writes.

Used by tests in one process (the kill is an exception, and files are dropped as a dead process drops them) and by
doomed_worker.py (the kill is SIGKILL).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from parties.actor import Actor


class KilledError(Exception):
    """Stands for SIGKILL where all parties share a process."""


@dataclass
class Doom:
    """Whom to kill, and when.

    Attributes:
        party: its name.
        moment: such as "before add", "after accept", "sent online 2", "taken setup 0"; "" counts and never kills.
        nth: at which of these moments; with `moment` "any": at which moment of all.
        kill: is called then.
    """

    party: str
    moment: str
    nth: int
    kill: Callable[[], None]
    seen: list[str] = field(default_factory=list)
    dead: bool = False

    def tick(self, moment: str) -> None:
        """Count a moment; kill if it is the one."""
        if self.dead:
            return
        self.seen.append(moment)
        here = len(self.seen) if self.moment == "any" else self.seen.count(self.moment)
        if self.moment in ("any", moment) and here == self.nth:
            self.dead = True
            self.kill()

    def follow(self, actor: Actor) -> None:
        """Watch all that the doomed party does."""
        if actor.start.name == self.party:
            actor.compute = self._around(actor.compute)
            actor.on_disk = self._around(actor.on_disk)
            actor.endpoint = self._watched(actor.endpoint)

    def _around(self, run: Any) -> Any:
        async def watched(function: Callable[..., Any], *args: Any) -> Any:
            name = getattr(function, "__name__", "")
            self.tick(f"before {name}")
            result = await run(function, *args)
            self.tick(f"after {name}")
            return result

        return watched

    def _watched(self, endpoint: Any) -> Any:
        @functools.wraps(endpoint)
        def watched(*args: Any) -> Any:
            return DoomedEnd(endpoint(*args), self)

        return watched


class DoomedEnd:
    """An endpoint whose every message is a moment."""

    def __init__(self, link: Any, doom: Doom) -> None:
        self._link, self._doom = link, doom

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    async def send(self, tag: Any, payload: Any) -> None:
        await self._link.send(tag, payload)
        self._doom.tick(f"sent {tag.phase.name.lower()} {tag.layer}")

    async def receive(self, tag: Any, *, most: int) -> bytes:
        payload = await self._link.receive(tag, most=most)
        self._doom.tick(f"taken {tag.phase.name.lower()} {tag.layer}")
        return payload


def install(doom: Doom) -> Callable[[Actor], None]:
    """Return what to put in the place of `Actor.__post_init__`."""
    real = Actor.__post_init__

    def begin(actor: Actor) -> None:
        real(actor)
        doom.follow(actor)

    return begin
