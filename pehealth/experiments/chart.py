"""A chart of several lines on logarithmic axes, as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from pehealth.experiments.picture import FONT, SERIES, Box, Picture, Stroke, Words

WIDTH, HEIGHT = 720.0, 440.0
LEFT, RIGHT, TOP, BOTTOM = 84.0, 150.0, 48.0, 56.0

Series = Sequence[tuple[float, float]]
Label = Callable[[float], str]


def log_chart(
    title: str,
    series: Mapping[str, Series],
    *,
    x_label: str,
    y_label: str,
    x_text: Label = "{:g}".format,
    y_text: Label = "{:g}".format,
) -> Picture:
    """Return the chart; every coordinate must be above 0. Ticks of x are at the points, those of y at powers of ten."""
    points = [point for line in series.values() for point in line]
    xs, ys = (sorted({point[axis] for point in points}) for axis in (0, 1))
    x_of = _scale(xs[0], xs[-1], LEFT, WIDTH - RIGHT)
    low, high = 10.0 ** math.floor(math.log10(ys[0])), 10.0 ** math.ceil(math.log10(ys[-1]))
    y_of = _scale(low, max(high, low * 10), HEIGHT - BOTTOM, TOP)
    picture = Picture(WIDTH, HEIGHT, title, f"{y_label} against {x_label}: {', '.join(series)}.")
    picture.add(Words(LEFT, 24, title, bold=True))
    for tick in _apart(xs, x_of):
        x = x_of(tick)
        picture.add(Stroke(((x, TOP), (x, HEIGHT - BOTTOM)), "grid"))
        picture.add(Words(x, HEIGHT - BOTTOM + 18, x_text(tick), "faint", "middle"))
    for power in range(round(math.log10(low)), round(math.log10(max(high, low * 10))) + 1):
        y = y_of(10.0**power)
        picture.add(Stroke(((LEFT, y), (WIDTH - RIGHT, y)), "grid"))
        picture.add(Words(LEFT - 8, y + 4, y_text(10.0**power), "faint", "end"))
    picture.add(Words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label, "faint", "middle"))
    picture.add(Words(LEFT, 42, y_label, "faint", "start"))
    _lines(picture, series, x_of, y_of)
    return picture


def _lines(
    picture: Picture, series: Mapping[str, Series], x_of: Callable[[float], float], y_of: Callable[[float], float]
) -> None:
    taken: list[float] = []
    for place, (name, line) in enumerate(series.items()):
        ink = SERIES[place % len(SERIES)]
        drawn = tuple((x_of(x), y_of(y)) for x, y in line)
        picture.add(Stroke(drawn, ink, 2, name, dashed=place >= len(SERIES)))
        picture.add(
            *(Box(x - 2.5, y - 2.5, 5, 5, ink, f"{name}: {b:.4g}") for (x, y), (_, b) in zip(drawn, line, strict=True))
        )
        y = drawn[-1][1] + 4
        while any(abs(y - other) < FONT + 2 for other in taken):
            y += FONT + 2
        taken.append(y)
        picture.add(Words(WIDTH - RIGHT + 8, y, name, ink))


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = math.log(high / low) or 1.0
    return lambda value: start + (end - start) * math.log(value / low) / span


def _apart(values: Sequence[float], place: Callable[[float], float], least: float = 46.0) -> list[float]:
    """Return the values whose labels do not run into one another."""
    out: list[float] = []
    for value in values:
        if not out or place(value) - place(out[-1]) >= least:
            out.append(value)
    return out
