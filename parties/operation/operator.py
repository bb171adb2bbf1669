"""The `Operation` of a real service: log, audit log, metrics and health are told of each event."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

import trio

from parties.operation.audit import AuditLog
from parties.operation.health import Deployed, Health
from parties.operation.http import Response
from parties.operation.interface import OK
from parties.operation.log import Damped, JsonLog
from parties.operation.metrics import Metrics
from parties.operation.traffic import TrafficWatch
from transport.meter import Meter

TICK_SECONDS = 1.0
SLOW_SECONDS = 1.0
HEAD_EVERY = 1000
"""Lines of the audit log after which its head is logged."""


class Operator:
    """Tells an operator what happens; satisfies `Operation`.

    Args:
        version: of pehealth.
        log: where events are written.
        audit: the audit log, if one is kept.
        metrics: the metrics, if somebody reads them.
        health: what `/healthz` and `/readyz` answer from.
        traffic: the meters.
        seconds: the clock of the event loop.
    """

    def __init__(
        self,
        version: str,
        log: JsonLog,
        audit: AuditLog | None,
        metrics: Metrics | None,
        health: Health,
        traffic: TrafficWatch,
        seconds: Callable[[], float],
    ) -> None:
        self._version, self._log, self._audit, self._metrics = version, log, audit, metrics
        self._health, self._traffic = health, traffic
        self._refusals = Damped(log, "refused", seconds)
        self._notes = Damped(log, "note", seconds)
        self._ups, self._downs = Damped(log, "link_up", seconds), Damped(log, "link_down", seconds)
        self._damped = (self._refusals, self._notes, self._ups, self._downs)
        self._ready: bool | None = None
        self._failure = ""
        if audit is not None:
            health.probe(lambda: [f"the audit log cannot be written: {audit.failure}"] if audit.failure else [])
            self._tell_head(audit)

    def started(self) -> None:
        """Log it."""
        self._log.write("started", version_of_pehealth=self._version)

    def stopping(self) -> None:
        """Log it; from now on we are not ready."""
        self._health.stopping = True
        self._log.write("stopping")

    def link_up(self, room: str, peer: str) -> None:
        """Log and count it."""
        self._health.link_up(room, peer)
        write = partial(self._log.write, "link_up") if self._health.needs(peer) else self._ups.write
        write(room=room, peer=peer)

    def link_down(self, room: str, peer: str, why: str) -> None:
        """Log and count it."""
        self._health.link_down(room, peer, why)
        write = partial(self._log.write, "link_down") if self._health.needs(peer) else self._downs.write
        write(room=room, peer=peer, why=why)
        if self._metrics:
            self._metrics.link_down()

    def refused(self, who: str, why: str) -> None:
        """Count it, and log it unless there are too many."""
        self._refusals.write(who=who, why=why)
        if self._metrics:
            self._metrics.refused()

    def note(self, text: str) -> None:
        """Log a sentence of the service, unless there are too many: for `open_party(report=...)`."""
        self._notes.write(why=text)

    def failed(self, why: str) -> None:
        """Log that the service ends because of an error."""
        self._log.write("failed", why=why)

    def deployed(self, deployment: str, model: str, version: int) -> None:
        """Log, count and keep it."""
        self._health.deployments[deployment] = Deployed(model, version)
        self._log.write("deployed", deployment=deployment, model=model, version=version)
        if self._audit:
            self._audit.deployed(deployment, model, version)
            self._after_audit(self._audit)

    def retired(self, deployment: str, model: str, version: int, queries: int) -> None:
        """Log and keep it; its room is forgotten."""
        self._health.retired(deployment)
        self._traffic.forget(deployment)
        self._log.write("retired", deployment=deployment, model=model, version=version, queries=queries)
        if self._audit:
            self._audit.retired(deployment, model, version, queries)
            self._after_audit(self._audit)

    def material(self, deployment: str, left: int) -> None:
        """Keep the count; log when nothing is left, and when there is something again."""
        deployed = self._health.deployments.get(deployment)
        if deployed is None:
            return
        was, deployed.left = deployed.left, left
        if left <= 0 and (was is None or was > 0):
            self._log.write("material_out", deployment=deployment, left=left)
        elif left > 0 and was is not None and was <= 0:
            self._log.write("material_back", deployment=deployment, left=left)

    def query_done(
        self, deployment: str, model: str, version: int, query: int, who: str, outcome: str, seconds: float, rounds: int
    ) -> None:
        """Log, count and keep it."""
        self._log.write(
            "query" if outcome == OK else "query_failed", deployment=deployment, model=model, version=version,
            query=query, who=who, outcome=outcome, seconds=seconds, rounds=rounds,
        )  # fmt: skip
        if self._metrics:
            self._metrics.query(model, outcome, seconds, rounds)
        if self._audit:
            self._audit.query(who, deployment, model, version, query, outcome)
            self._after_audit(self._audit)

    def watch_meter(self, room: str, meter: Meter) -> None:
        """Read it at every reading of the metrics."""
        self._traffic.watch(room, meter)

    def watch_readiness(self, lacking: Callable[[], Sequence[str]]) -> None:
        """Ask it for `/readyz`."""
        self._health.probe(lacking)

    def respond(self, path: str) -> Response | None:
        """Return what is answered at a path of the operator's HTTP server."""
        if path == "/metrics" and self._metrics:
            return Response(200, self._metrics.content_type, self._metrics.text())
        if path == "/healthz":
            return _health_response("alive", self._health.ailing())
        if path == "/readyz":
            return _health_response("ready", self._health.lacking())
        return None

    async def watch(self) -> None:
        """Measure how late the event loop is, and log when readiness changes; for ever."""
        while True:
            due = trio.current_time() + TICK_SECONDS
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self._health.late_seconds = late
            self._health.worst_seconds = max(late, self._health.worst_seconds)
            if late > SLOW_SECONDS:
                self._log.write("slow_loop", seconds=late)
            for damped in self._damped:
                damped.tick()
            self._tell_readiness()

    async def keep_audit(self) -> None:
        """Bring the audit log to the disk each second, in a thread of its own; for ever."""
        while self._audit is not None:
            await trio.sleep(TICK_SECONDS)
            await self._sync(self._audit)

    def close(self) -> None:
        """Say that the party has stopped, and close the files."""
        for damped in self._damped:
            damped.flush()
        if self._audit:
            self._audit.close()
            self._tell_head(self._audit)
        self._log.write("stopped")
        self._log.close()

    async def _sync(self, audit: AuditLog) -> None:
        audit.flush()
        if not audit.failure:
            try:
                await trio.to_thread.run_sync(audit.sync)
            except OSError as error:
                audit.failure = error.strerror or type(error).__name__
        self._tell_failure(audit)

    def _after_audit(self, audit: AuditLog) -> None:
        self._tell_failure(audit)
        if audit.number % HEAD_EVERY == 0:
            self._tell_head(audit)

    def _tell_failure(self, audit: AuditLog) -> None:
        if audit.failure and audit.failure != self._failure:
            self._log.write("audit_failed", why=audit.failure)
        self._failure = audit.failure
        if self._metrics:
            self._metrics.audit_failing(failing=bool(audit.failure))

    def _tell_head(self, audit: AuditLog) -> None:
        self._log.write("audit_head", lines=audit.number, head=audit.head)

    def _tell_readiness(self) -> None:
        lacking = self._health.lacking()
        if self._ready is None or self._ready != (not lacking):
            self._ready = not lacking
            if lacking:
                self._log.write("not_ready", why="; ".join(lacking))
            else:
                self._log.write("ready")


def _health_response(what: str, problems: list[str]) -> Response:
    body = {what: not problems, "reasons": problems}
    return Response(503 if problems else 200, "application/json", json.dumps(body).encode() + b"\n")
