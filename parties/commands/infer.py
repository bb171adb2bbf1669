"""`pehealth infer`: readings from a file or a stream to a running service, and its answers."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def infer(  # noqa: PLR0913, RUF100 - flags
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    service: Path,
    model: str = "",
    format: Literal["csv", "npy", "f32"] | None = None,  # noqa: A002 - the flag's name
    window: int | None = None,
    stride: int | None = None,
    clip: bool = False,
    json: Literal["lines", "table"] = "table",
    in_flight: int = 4,
    deadline: float | None = None,
    retries: int = 2,
    keep_going: bool = False,
) -> None:
    """Have a running service answer readings, a line each as soon as it is there.

    Args:
        file: CSV, NPY or bare little-endian float32 (.f32); - is standard input.
        service: Our settings file: a sensor's, with HC, E1 and E2 among its peers.
        model: NAME or NAME@VERSION (default: the only model, its newest version).
        format: Of the file (default: by its ending; standard input: csv).
        window: Rows are a time series, columns its channels; so many rows are a sample (default: a row is a sample).
        stride: Rows from one window's start to the next (default: the window's length).
        clip: Move readings that are out of their range to its end, and say how many, rather than refuse them.
        json: lines: a JSON document a line. table: for people.
        in_flight: Queries under way at once.
        deadline: Seconds that a query, and each retry, may take (default: [deadlines] query of the settings).
        retries: How often a query that failed is asked again under a fresh number.
        keep_going: A sample that fails does not end the rest; the exit code is that of the first that did.
    """
    from parties.answering import client_settings, named
    from parties.inferring import HEADER, Inference, Line, as_json, run_inference
    from parties.service.client import Client
    from pehealth.errors import ConfigError

    inference = Inference(file, format, window, stride, clip, in_flight, keep_going)
    name, version = named(model)
    settings = client_settings(service)
    if deadline is not None:
        if not deadline > 0:
            raise ConfigError(f"--deadline {deadline:g} must be above 0 seconds")
        settings = dataclasses.replace(settings, service=dataclasses.replace(settings.service, query_seconds=deadline))
    if not 0 <= retries <= 100:
        raise ConfigError(f"--retries {retries} is outside 0..100")

    def write(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def show(line: Line) -> None:
        write(as_json(line) if json == "lines" else line.to_text())

    def begin() -> None:
        if json == "table":
            write(HEADER)

    opened = Client.connect(settings, model=name, version=version, retries=retries)
    tally = run_inference(opened, inference, show, begin)
    if sys.stderr.isatty():
        sys.stderr.write(f"{tally.samples} samples of {tally.rows} rows, {tally.clipped} readings clipped\n")
