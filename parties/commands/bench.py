"""`pehealth bench`: engines side by side in one session."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile, RunFlags
from parties.progress import show_progress
from parties.request import Transport
from pehealth import schema
from pehealth.config import Engine
from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from pehealth.experiments.bench import BenchResult

Engines = Annotated[tuple[Engine, ...], Parameter(consume_multiple=True)]
Batches = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]
DEFAULT_ENGINES = (Engine.DEALT, Engine.RLWE)
DEFAULT_BATCHES = ("1", "8", "64", "1x8")


def bench(
    *,
    flags: RunFlags = RunFlags(),  # noqa: B008 - frozen
    engines: Engines = DEFAULT_ENGINES,
    batches: Batches = DEFAULT_BATCHES,
    queries: int = 50,
    json: JsonFile = None,
) -> None:
    """Measure latency, throughput, offline and dealer time, material, bytes, rounds and memory.

    Args:
        flags: network, transport and shape of the links; engine, batch and samples are the benchmark's own.
        engines: Engines to measure, in turn.
        batches: Samples a query, or BATCHxN for N queries in flight.
        queries: Queries counted for each row, after a warm-up.
        json: Write the document (pehealth/schema/bench-1.json) to this file; - is standard output.
    """
    request = flags.request(Transport.PROCESSES)
    check_writable(json, "--json")
    shapes = tuple(batch_shape(text) for text in batches)
    if queries < 1:
        raise ConfigError(f"--queries {queries} must be at least 1")
    with show_progress() as progress:
        result: BenchResult = import_module("parties.bench").run_bench(request, engines, shapes, queries, progress)
    if json is not None:
        write(json, result.to_json(), schema.BENCH)
    if json != STDOUT:
        from parties.console import open_console

        show(open_console(), result)


def batch_shape(text: str) -> tuple[int, int]:
    """Return (batch, in flight) behind "64" or "1x8".

    Raises:
        ConfigError: it is neither.
    """
    batch, _, flight = text.partition("x")
    if not (batch.isdecimal() and (flight or "1").isdecimal() and int(batch) and int(flight or "1")):
        raise ConfigError(
            f"--batches {text}: expected a number of samples such as 64, or 1x8 for eight queries at once"
        )
    return int(batch), int(flight or "1")


def show(console: Console, result: BenchResult) -> None:
    """Print the table."""
    from parties.console import line, new_table, show_table, size

    machine = result.machine
    line(console, f"pehealth {result.version}, bench: {result.net}, transport {result.transport}", "bold")
    line(console, f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, numpy {machine.numpy}")
    for batch, ms in result.plain_ms_image.items():
        line(console, f"plain network in numpy, batch {batch}: {ms:.3f} ms an image")
    columns = (
        "engine", "batch", "in flight", "online ms", "least", "ms/image", "x plain", "images/s", "offline ms/image",
        "dealer ms/image", "total ms/image", "material/image", "E1->E2/image", "rounds", "depth", "peak MiB",
    )  # fmt: skip
    table = new_table(console, "Medians; offline is a server's, total is dealer + offline + online", *columns)
    for row in result.rows:
        table.add_row(
            f"{row.engine}{' INSECURE' if row.insecure else ''}",
            str(row.batch),
            str(row.in_flight),
            f"{row.online_ms:.2f}",
            f"{row.online_ms_least:.2f}",
            f"{row.online_ms_image:.3f}",
            f"{row.times_plain:.1f}",
            f"{row.images_second:.0f}",
            f"{row.offline_ms_image:.2f}",
            f"{row.dealer_ms_image:.2f}",
            f"{row.total_ms_image:.2f}",
            size(round(row.material_bytes_image)),
            size(round(row.payload_bytes_image)),
            str(row.server_rounds),
            str(row.depth),
            f"{row.peak_mib:.0f}",
        )
    show_table(console, table)
    for row in result.rows:
        if row.reveals:
            line(console, f"{row.engine} reveals to E1 and E2: {', '.join(row.reveals)}", "bold yellow")
            break
