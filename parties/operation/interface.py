"""What a long-running party tells its operator: one object, called at each event, that never holds content.

Service code calls an `Operation` and knows nothing of files or metrics. No method waits, raises because of what it is
told, or takes bytes or arrays: names, counts and seconds only, so a share, a key or a reading cannot be passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from transport.meter import Meter

OK = "ok"
"""The `outcome` of a query that was answered. Any other is the kind of its error, such as "MaterialError"."""


class Operation(Protocol):
    """The events of a service, in the order of its life.

    Names that come from a peer (`who`, `peer`) may be anything: what is written of them is cut and escaped.
    """

    def started(self) -> None:
        """The party listens and is about to call its peers."""

    def stopping(self) -> None:
        """No query is admitted any more; those in flight are being finished."""

    def link_up(self, room: str, peer: str) -> None:
        """A link of a room stands; one of the same name may have been replaced by it."""

    def link_down(self, room: str, peer: str, why: str) -> None:
        """A link of a room has ended; `why` is an error's sentence or a goodbye."""

    def refused(self, who: str, why: str) -> None:
        """A caller or a request was turned away: bad handshake, unknown room, too many at once."""

    def deployed(self, deployment: str, model: str, version: int) -> None:
        """A deployment is committed here, now or at an earlier start."""

    def retired(self, deployment: str, model: str, version: int, queries: int) -> None:
        """A deployment's shares and keys are deleted here; it has answered `queries`."""

    def material(self, deployment: str, left: int) -> None:
        """So many queries can still be answered from the material on disk."""

    def query_done(
        self, deployment: str, model: str, version: int, query: int, who: str, outcome: str, seconds: float, rounds: int
    ) -> None:
        """A query has ended here.

        Args:
            deployment: the deployment's id.
            model: the model's name.
            version: the model's version, from 1.
            query: the query's index in the deployment.
            who: the submitter's certified name.
            outcome: `OK`, or the kind of the error that ended it.
            seconds: from the upload's arrival to our last message (at HC: to the result).
            rounds: between servers, in the online phase; 0 where none was counted.
        """

    def watch_meter(self, room: str, meter: Meter) -> None:
        """Read this meter whenever somebody asks for the traffic; a room that was watched before has a new meter."""

    def watch_readiness(self, lacking: Callable[[], Sequence[str]]) -> None:
        """Ask this whenever somebody wants to know if we are ready: what is lacking, a sentence each; none: ready."""


class Silent:
    """Tells nobody anything: for tests, and for a service without `[operation]`."""

    def started(self) -> None:
        """Say nothing."""

    def stopping(self) -> None:
        """Say nothing."""

    def link_up(self, room: str, peer: str) -> None:
        """Say nothing."""

    def link_down(self, room: str, peer: str, why: str) -> None:
        """Say nothing."""

    def refused(self, who: str, why: str) -> None:
        """Say nothing."""

    def deployed(self, deployment: str, model: str, version: int) -> None:
        """Say nothing."""

    def retired(self, deployment: str, model: str, version: int, queries: int) -> None:
        """Say nothing."""

    def material(self, deployment: str, left: int) -> None:
        """Say nothing."""

    def query_done(
        self, deployment: str, model: str, version: int, query: int, who: str, outcome: str, seconds: float, rounds: int
    ) -> None:
        """Say nothing."""

    def watch_meter(self, room: str, meter: Meter) -> None:
        """Read nothing."""

    def watch_readiness(self, lacking: Callable[[], Sequence[str]]) -> None:
        """Ask nothing."""
