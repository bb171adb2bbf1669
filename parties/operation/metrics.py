"""The metrics, in a registry of their own, in the text format of Prometheus; docs/operation.md has the table.

Labels are names of models, peers and outcomes: few, and none is a submitter's: sensors are counted together. Built on
the library `prometheus_client`, of the extra `[serve]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from parties.operation.health import Health
from parties.operation.interface import OK
from parties.operation.library import need_library
from parties.operation.traffic import TrafficWatch

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds: a millisecond on one machine, tenths over a wide area, a minute for a deadline."""
MOST_OUTCOMES = 40
OTHER = "other"


class Metrics:
    """Counts queries and refusals; reads links, traffic, material and health when it is asked.

    Args:
        party: whose metrics these are.
        version: the version of pehealth.
        health: asked for links, deployments, material and readiness.
        traffic: asked for bytes.
    """

    def __init__(self, party: str, version: str, health: Health, traffic: TrafficWatch) -> None:
        library = need_library("prometheus_client")
        self._library: Any = library
        self._registry = library.CollectorRegistry()
        self._outcomes: set[str] = set()
        own = {"registry": self._registry}
        library.ProcessCollector(**own)
        library.Info("pehealth_build", "Version and party.", **own).info({"version": version, "party": party})
        self._queries = library.Counter(
            "pehealth_queries",
            "Queries that ended here, by outcome: ok or the kind of error.",
            ["model", "outcome"],
            **own,
        )
        self._seconds = library.Histogram(
            "pehealth_query_seconds", "Answered queries: from the upload to this party's last message.", ["model"],
            buckets=BUCKETS, **own,
        )  # fmt: skip
        self._rounds = library.Counter(
            "pehealth_query_rounds", "Rounds between servers in answered queries.", ["model"], **own
        )
        self._refused = library.Counter("pehealth_refused", "Callers and requests that were turned away.", **own)
        self._drops = library.Counter("pehealth_link_drops", "Links that ended.", **own)
        self._audit = library.Gauge("pehealth_audit_failing", "1: the audit log cannot be written.", **own)
        self._registry.register(_Pulled(need_library("prometheus_client.core"), health, traffic))

    @property
    def content_type(self) -> str:
        """The type of `text` in HTTP."""
        return str(self._library.CONTENT_TYPE_LATEST)

    def text(self) -> bytes:
        """Return all metrics as they are now."""
        return bytes(self._library.generate_latest(self._registry))

    def query(self, model: str, outcome: str, seconds: float, rounds: int) -> None:
        """Count a query that has ended."""
        self._queries.labels(model, self._known(outcome)).inc()
        if outcome == OK:
            self._seconds.labels(model).observe(seconds)
            self._rounds.labels(model).inc(rounds)

    def refused(self) -> None:
        """Count a caller that was turned away."""
        self._refused.inc()

    def link_down(self) -> None:
        """Count a link that has ended."""
        self._drops.inc()

    def audit_failing(self, *, failing: bool) -> None:
        """Take note of whether the audit log can be written."""
        self._audit.set(failing)

    def _known(self, outcome: str) -> str:
        """Return the outcome as a label; what looks like no kind of error, and too many kinds, are one."""
        if outcome not in self._outcomes and len(self._outcomes) < MOST_OUTCOMES:
            if not re.fullmatch(r"[A-Za-z]{1,40}", outcome):
                return OTHER
            self._outcomes.add(outcome)
        return outcome if outcome in self._outcomes else OTHER


class _Pulled:
    """What is read when somebody asks: links, bytes, material, readiness."""

    def __init__(self, core: Any, health: Health, traffic: TrafficWatch) -> None:  # noqa: ANN401 - untyped library
        self._gauge, self._counter = core.GaugeMetricFamily, core.CounterMetricFamily
        self._health, self._traffic = health, traffic

    def describe(self) -> list[object]:
        """Return no names, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[object]:
        """Yield one family after the other."""
        yield from self._of_health()
        yield from self._of_traffic()

    def _of_health(self) -> Iterator[object]:
        health = self._health
        ready = not health.lacking()
        yield self._gauge("pehealth_ready", "1: queries can be answered; /readyz says what lacks.", ready)
        worst = max(health.worst_seconds, health.late_seconds)
        health.worst_seconds = 0.0
        yield self._gauge(
            "pehealth_loop_late_seconds", "The latest that the event loop was since the last reading.", worst
        )
        links = self._gauge("pehealth_links_up", "Links that stand, over all deployments.", labels=["peer"])
        for peer, count in sorted(health.links().items()):
            links.add_metric([peer], count)
        yield links
        left = self._gauge(
            "pehealth_material_left", "Queries that the one-time material suffices for.",
            labels=["deployment", "model", "version"],
        )  # fmt: skip
        deployments = self._gauge("pehealth_deployments", "Deployments in use.", len(health.deployments))
        for name, deployed in health.deployments.items():
            if deployed.left is not None:
                left.add_metric([name, deployed.model, str(deployed.version)], deployed.left)
        yield from (deployments, left)

    def _of_traffic(self) -> Iterator[object]:
        sizes = self._counter(
            "pehealth_link_bytes", "Bytes in frames; TLS and TCP add their own.", labels=["peer", "direction", "kind"]
        )
        messages = self._counter("pehealth_link_messages", "Messages, without control.", labels=["peer", "direction"])
        for (peer, direction), totals in sorted(self._traffic.totals().items()):
            sizes.add_metric([peer, direction, "payload"], totals.payload)
            sizes.add_metric([peer, direction, "framing"], totals.framing)
            sizes.add_metric([peer, direction, "control"], totals.control)
            messages.add_metric([peer, direction], totals.messages)
        yield from (sizes, messages)
