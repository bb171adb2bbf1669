"""The benchmark: engines side by side in one session, by batch; medians, and ratios to the plain network.

It takes a Runner and never launches anything. The machine may be noisy: compare rows of one session, not sessions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

from pehealth import __version__
from pehealth.nets.machine import Machine
from pehealth.nets.oracle import float_reference
from pehealth.nets.weights import Model

WARM_UP = 3
"""Queries of each run that are not counted."""
PLAIN_RUNS = 20


@dataclass(frozen=True)
class Measured:
    """What one run of several equal queries took. Seconds a query, one entry a query, warm-up included.

    Attributes:
        online: from the sensor's first send to the centre's result.
        servers: offline time of each server: loading and preparing the material.
        dealer: making the material.
        wall: all queries of the run from the first send to the last result, when they were in flight together.
        setup: of the deployment.
        material: bytes of each server's material a query.
        between: payload bytes from E1 to E2 a query.
        upload, result: payload bytes of all sensors, of both servers to the centre, a query.
        server_rounds, depth: of a query.
        peak: greatest resident bytes of each party.
        insecure: below 112 bits.
        reveals: what servers learn.
    """

    online: Sequence[float]
    servers: Mapping[str, Sequence[float]]
    dealer: Sequence[float]
    wall: float
    setup: float
    material: Mapping[str, int]
    between: int
    upload: int
    result: int
    server_rounds: int
    depth: int
    peak: Mapping[str, int]
    insecure: bool
    reveals: Sequence[str]


class Runner(Protocol):
    """Runs `queries` queries of `batch` samples on an engine, `in_flight` at once."""

    def __call__(self, engine: str, batch: int, queries: int, in_flight: int, /) -> Measured:
        """Return what was measured."""
        ...


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds and bytes an image unless said otherwise.

    Attributes:
        engine, batch, in_flight, queries: what was run; `queries` are those counted.
        online_ms: median latency of a query, in milliseconds.
        online_ms_least: the least of them.
        online_ms_image: median over queries of latency by batch.
        images_second: images a second with `in_flight` queries at once.
        offline_ms_image: greater median of the two servers.
        dealer_ms_image: median.
        total_ms_image: dealer, offline and online one after the other.
        material_bytes_image: greater of the two servers.
        payload_bytes_image: E1 to E2; the other way is the same.
        server_rounds, depth: of a query.
        peak_mib: greatest party.
        times_plain: online_ms_image by that of the plain network in numpy.
        setup_ms: of the deployment.
        insecure, reveals: as in the record of a run.
    """

    engine: str
    batch: int
    in_flight: int
    queries: int
    online_ms: float
    online_ms_least: float
    online_ms_image: float
    images_second: float
    offline_ms_image: float
    dealer_ms_image: float
    total_ms_image: float
    material_bytes_image: float
    payload_bytes_image: float
    server_rounds: int
    depth: int
    peak_mib: float
    times_plain: float
    setup_ms: float
    insecure: bool
    reveals: tuple[str, ...]


@dataclass(frozen=True)
class BenchResult:
    """A session: which network, on which machine, and a row for each engine, batch and number in flight."""

    net: str
    transport: str
    network: str | None
    plain_ms_image: Mapping[int, float]
    rows: tuple[Row, ...]
    machine: Machine
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes (pehealth/schema/bench-1.json)."""
        body = asdict(self)
        body["rows"] = [{**asdict(row), "reveals": list(row.reveals)} for row in self.rows]
        body["plain_ms_image"] = {str(batch): ms for batch, ms in self.plain_ms_image.items()}
        return {"schema": 1, "command": "bench", **body}


def plain_seconds(model: Model, features: Any, batch: int) -> float:  # noqa: ANN401 - an array of readings
    """Return the median seconds an image of the float network in numpy: the yardstick."""
    chosen = features[:batch]
    times = []
    for _ in range(PLAIN_RUNS):
        began = time.perf_counter()
        float_reference(model, chosen)
        times.append(time.perf_counter() - began)
    return median(times) / batch


def bench(
    run: Runner,
    engines: Sequence[str],
    batches: Sequence[tuple[int, int]],
    queries: int,
    plain: Mapping[int, float],
    progress: Callable[[str, int, int], None],
) -> tuple[Row, ...]:
    """Return a row for each engine and each (batch, in flight) of `batches`, `queries` counted queries each."""
    rows = []
    jobs = [(engine, batch, flight) for batch, flight in batches for engine in engines]
    for at, (engine, batch, flight) in enumerate(jobs):
        progress("benchmark", at, len(jobs))
        warm = WARM_UP if flight == 1 else flight
        rows.append(_row(engine, batch, flight, warm, run(engine, batch, queries + warm, flight), plain[batch]))
    progress("benchmark", len(jobs), len(jobs))
    return tuple(rows)


def _row(engine: str, batch: int, flight: int, warm: int, m: Measured, plain: float) -> Row:
    online = median(m.online[warm:])
    offline = max(median(spent[warm:]) for spent in m.servers.values()) if m.servers else 0.0
    dealer = median(m.dealer[warm:]) if m.dealer else 0.0
    counted = len(m.online) - warm
    return Row(
        engine=engine,
        batch=batch,
        in_flight=flight,
        queries=counted,
        online_ms=1e3 * online,
        online_ms_least=1e3 * min(m.online[warm:]),
        online_ms_image=1e3 * online / batch,
        images_second=counted * batch / m.wall,
        offline_ms_image=1e3 * offline / batch,
        dealer_ms_image=1e3 * dealer / batch,
        total_ms_image=1e3 * (online + offline + dealer) / batch,
        material_bytes_image=max(m.material.values(), default=0) / batch,
        payload_bytes_image=m.between / batch,
        server_rounds=m.server_rounds,
        depth=m.depth,
        peak_mib=max(m.peak.values()) / 2**20,
        times_plain=online / batch / plain,
        setup_ms=1e3 * m.setup,
        insecure=m.insecure,
        reveals=tuple(m.reveals),
    )
