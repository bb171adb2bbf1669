"""Is the party alive, and is it ready for queries: what lacks, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from parties.operation.traffic import group_of

LATE_SECONDS = 5.0
"""An event loop that is later than this does not serve its peers; it is what `/healthz` is bound to."""


@dataclass(slots=True)
class Deployed:
    """A deployment in use.

    Attributes:
        model: the model's name.
        version: the model's version.
        left: queries that its material suffices for; None: nobody has said.
    """

    model: str
    version: int
    left: int | None = None


class Health:
    """What is known of links, deployments and the event loop.

    Args:
        control: the room in which the parties agree on deployments.
        needed: peers without which no query can be answered.
    """

    def __init__(self, control: str, needed: Collection[str]) -> None:
        self._control, self._needed = control, tuple(needed)
        self._links: dict[tuple[str, str], int] = {}
        self._why: dict[tuple[str, str], str] = {}
        self.deployments: dict[str, Deployed] = {}
        self.stopping = False
        self.late_seconds = 0.0
        """How late the event loop was at its last tick."""
        self.worst_seconds = 0.0
        """The latest that it was since somebody read the metrics."""
        self._probes: list[Callable[[], Sequence[str]]] = []

    def link_up(self, room: str, peer: str) -> None:
        """Count a link; one that replaces another stands beside it for a moment."""
        self._links[room, peer] = self._links.get((room, peer), 0) + 1
        self._why.pop((room, peer), None)

    def link_down(self, room: str, peer: str, why: str) -> None:
        """Count a link that has ended. Clients come and go, so only for needed peers the reason is kept."""
        left = self._links.pop((room, peer), 0) - 1
        if left > 0:
            self._links[room, peer] = left
        elif peer in self._needed:
            self._why[room, peer] = why

    def retired(self, deployment: str) -> None:
        """Forget a deployment and its room."""
        self.deployments.pop(deployment, None)
        for table in (self._links, self._why):
            for key in [key for key in table if key[0] == deployment]:
                del table[key]

    def probe(self, lacking: Callable[[], Sequence[str]]) -> None:
        """Ask this too."""
        self._probes.append(lacking)

    def needs(self, peer: str) -> bool:
        """Say whether nothing works without a peer."""
        return peer in self._needed

    def links(self) -> Mapping[str, int]:
        """Return how many links stand with each peer, over all rooms; sensors together; 0 for a needed peer without."""
        counts = dict.fromkeys(self._needed, 0)
        for (_, peer), links in self._links.items():
            name = group_of(peer)
            counts[name] = counts.get(name, 0) + links
        return counts

    def ailing(self) -> list[str]:
        """Return why this process cannot be called alive."""
        if self.late_seconds <= LATE_SECONDS:
            return []
        return [f"the event loop is {self.late_seconds:.1f} s late, at most {LATE_SECONDS:g} s are expected"]

    def lacking(self) -> list[str]:
        """Return why no query, or not every query, can be answered now; nothing: ready."""
        reasons = ["the party is stopping"] if self.stopping else []
        reasons += self._missing_links(self._control, "")
        if not self.deployments:
            reasons.append("no deployment is committed here")
        for name, deployed in self.deployments.items():
            what = f"{deployed.model} version {deployed.version}"
            reasons += self._missing_links(name, f" for {what}")
            if deployed.left is not None and deployed.left <= 0:
                reasons.append(f"no one-time material is left for {what}")
        for reason in [reason for probe in self._probes for reason in probe()]:
            if not any(f"{known}: ".startswith(f"{reason}: ") for known in reasons):
                reasons.append(reason)
        return reasons + self.ailing()

    def _missing_links(self, room: str, purpose: str) -> list[str]:
        missing = [peer for peer in self._needed if (room, peer) not in self._links]
        return [
            f"{peer} is not linked{purpose}" + (f": {self._why[room, peer]}" if (room, peer) in self._why else "")
            for peer in missing
        ]
