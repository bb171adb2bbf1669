"""What a step costs, declared beside the step; a test holds what is measured against it with ==."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pehealth.config import Party
from transport.meter import Link, Traffic

HEADER_BYTES = 24
"""Bytes of framing a message."""

Ops = Counter[str]
"""Operation counters: prg_words, exponentiations, conversions, ddlog_steps, and_gates, seccmp, dcf_evals, ntts."""


def message(sender: str, receiver: str, payload: int) -> dict[Link, Traffic]:
    """Return the traffic of one message of `payload` bytes."""
    return {(sender, receiver): Traffic(payload, HEADER_BYTES, 1)}


def merge(*parts: Mapping[Link, Traffic]) -> dict[Link, Traffic]:
    """Return the sum, link by link."""
    out: dict[Link, Traffic] = {}
    for part in parts:
        for link, traffic in part.items():
            out[link] = out[link] + traffic if link in out else traffic
    return out


@dataclass(frozen=True)
class Cost:
    """Cost of a step; `a + b` is a, then b.

    Attributes:
        links: traffic of each link (sender, receiver).
        server_rounds: longest chain of dependent messages between E1 and E2.
        depth: longest chain of dependent messages over all links.
        ops: operations of both servers together.
        exchanges: payload that each server sends the other, for each round in which they do.
    """

    links: Mapping[Link, Traffic] = field(default_factory=dict)
    server_rounds: int = 0
    depth: int = 0
    ops: Mapping[str, int] = field(default_factory=dict)
    exchanges: tuple[int, ...] = ()

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            merge(self.links, other.links),
            self.server_rounds + other.server_rounds,
            self.depth + other.depth,
            Counter(self.ops) + Counter(other.ops),
            self.exchanges + other.exchanges,
        )

    def times(self, n: int) -> Cost:
        """Return the cost of the step n times, one after the other."""
        return Cost(
            {k: Traffic(n * t.payload, n * t.framing, n * t.messages) for k, t in self.links.items()},
            n * self.server_rounds,
            n * self.depth,
            {k: n * v for k, v in self.ops.items()},
            n * self.exchanges,
        )


def exchange_cost(payload: int, ops: Mapping[str, int] | None = None) -> Cost:
    """Return the cost of one round in which each server sends the other `payload` bytes."""
    links = merge(message(Party.E1, Party.E2, payload), message(Party.E2, Party.E1, payload))
    return Cost(links, server_rounds=1, depth=1, ops=ops or {}, exchanges=(payload,))
