"""`python -m pehealth.sensor HMS1.toml`: a line of readings from standard input, a line of JSON for what became of it.

With `--measure` it sends one sample many times and says what that took.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pehealth.sensor.client import Sensor

_LINE_BYTES = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the client and return its exit code."""
    options = _options(arguments)
    before = _peak_kib()
    began = time.perf_counter()
    from pehealth.errors import PehealthError
    from pehealth.sensor.client import Sensor
    from transport.errors import TransportError

    imported = time.perf_counter() - began
    try:
        with Sensor.load(options.settings, model=options.model) as sensor:
            lines = _samples(_rows(sys.stdin), options.window, options.stride)
            if options.measure:
                sample = next(lines, None)
                if sample is None:
                    raise ValueError("standard input holds no sample")  # noqa: TRY301
                figures = measure(sensor, sample, options.measure, traced=options.tracemalloc)
                _say({"import_seconds": round(imported, 4), "interpreter_kib": before, **figures})
            else:
                _submit_all(sensor, lines)
    except (PehealthError, TransportError) as error:
        sys.stderr.write(f"pehealth sensor: {error}\n")
        return error.exit_code
    except ValueError as error:
        sys.stderr.write(f"pehealth sensor: {error}\n")
        return 2
    return 0


def measure(sensor: Sensor, sample: Sequence[float], count: int, *, traced: bool = False) -> dict[str, Any]:
    """Send one sample `count` times and return times in seconds, bytes of frames, and memory in KiB.

    Args:
        sensor: not open yet.
        sample: readings.
        count: how often.
        traced: also have Python say the most that its objects took at once; it makes everything slower.
    """
    if traced:
        import tracemalloc

        tracemalloc.start()
    began = time.perf_counter()
    sensor.open()
    opened = time.perf_counter() - began
    sent, received = sensor.sent, sensor.received
    sensor.submit(sample)  # the first brings the cipher and a lease
    first, first_at = (sensor.sent - sent, sensor.received - received), (sensor.sent, sensor.received)
    busy = time.process_time()
    seconds = [sensor.submit(sample).seconds for _ in range(count)]
    busy = time.process_time() - busy
    figures = {
        "open_seconds": round(opened, 4),
        "open_bytes": [sent, received],
        "first_query_bytes": list(first),
        "queries": count,
        "query_seconds_median": round(statistics.median(seconds), 5),
        "query_processor_seconds": round(busy / count, 5),
        "query_bytes": [round((now - then) / count) for now, then in zip(_moved(sensor), first_at, strict=True)],
        "peak_kib": _peak_kib(),
        "modules": len(sys.modules),
    }
    if traced:
        figures["traced_peak_kib"] = tracemalloc.get_traced_memory()[1] >> 10
        tracemalloc.stop()
    return figures


def _moved(sensor: Sensor) -> tuple[int, int]:
    return sensor.sent, sensor.received


def _peak_kib() -> int:
    """Return the most memory that this process has had at once, in KiB.

    Linux tells it of the program alone; `ru_maxrss` also holds what a large parent had before it started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _submit_all(sensor: Sensor, lines: Iterator[list[float]]) -> None:
    for sample in lines:
        receipt = sensor.submit(sample)
        _say(
            {
                "query": receipt.query,
                "model": receipt.model,
                "version": receipt.version,
                "class": receipt.class_index,
                "label": receipt.label,
                "logits": receipt.logits,
                "error_bound": receipt.error_bound,
                "digits": receipt.digits,
                "seconds": round(receipt.seconds, 4),
                "retries": receipt.retries,
            }
        )


def _samples(rows: Iterator[list[float]], window: int, stride: int) -> Iterator[list[float]]:
    """Yield a sample a row, or with a window the samples of a time series."""
    if not window:
        return rows
    from pehealth.sensor.windows import channels_first, windows

    return map(channels_first, windows(rows, window, stride or window))


def _rows(stream: Any) -> Iterator[list[float]]:  # noqa: ANN401 - a text stream, or what a test puts in its place
    """Yield the readings of each line; empty ones are passed over. Raises ValueError naming line and column."""
    number = 0
    while line := stream.readline(_LINE_BYTES):
        number += 1
        if len(line) == _LINE_BYTES:
            raise ValueError(f"standard input line {number}: longer than {_LINE_BYTES} characters")
        if not line.strip():
            continue
        sample = []
        for place, cell in enumerate(line.split(","), 1):
            try:
                sample.append(float(cell))
            except ValueError:
                raise ValueError(f"standard input line {number}, column {place}: is not a number") from None
        yield sample


def _say(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pehealth.sensor", description=__doc__, allow_abbrev=False)
    parser.add_argument("settings", type=Path, help="the sensor's settings file")
    parser.add_argument("--model", default="", help="the model's name; needed if the centre has several")
    parser.add_argument("--window", type=int, default=0, metavar="N", help="lines are a time series, N are a sample")
    parser.add_argument("--stride", type=int, default=0, metavar="N", help="lines from a window to the next")
    parser.add_argument(
        "--measure", type=int, default=0, metavar="N", help="send the first line N times; print figures"
    )
    parser.add_argument(
        "--tracemalloc", action="store_true", help="with --measure: also the memory of Python's objects"
    )
    options = parser.parse_args(arguments)
    if min(options.window, options.stride, options.measure) < 0 or (options.stride and not options.window):
        parser.error("--window, --stride and --measure are at least 1, and --stride needs --window")
    return options


if __name__ == "__main__":
    sys.exit(main())
