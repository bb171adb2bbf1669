"""A chart of lines with their ranges over a linear axis of x; y is linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pehealth.experiments.picture import FONT, SERIES, Box, Ink, Picture, Stroke, Words

WIDTH, HEIGHT = 720.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 190.0, 56.0, 52.0


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: shown at its end.
        points: (x, y), or (x, y, least, greatest) where a range is known.
        dashed: for what is quoted or only for orientation.
        marks: draw points alone, without a line.
        ink: the colour's number; lines of one thing share one.
    """

    name: str
    points: Sequence[tuple[float, ...]]
    dashed: bool = False
    marks: bool = False
    ink: int = 0


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    y_text: Callable[[float], str] = "{:g}".format,
    logarithmic: bool = False,
) -> Picture:
    """Return the chart. On a logarithmic axis values of 0 or less are left out."""
    picture = Picture(WIDTH, HEIGHT, title, f"{y_label} against {x_label}: {', '.join(line.name for line in lines)}.")
    picture.add(Words(12, 22, title, bold=True), Words(12, 42, y_label, "faint"))
    if logarithmic:
        lines = [Line(k.name, [p for p in k.points if min(p[1:]) > 0], k.dashed, k.marks, k.ink) for k in lines]
    shown = [line for line in lines if line.points]
    if not shown:
        picture.add(Words(WIDTH / 2, HEIGHT / 2, "nothing was measured", "faint", "middle"))
        return picture
    xs = sorted({point[0] for line in shown for point in line.points})
    values = [v for line in shown for point in line.points for v in point[1:]]
    ticks = _powers(values) if logarithmic else _round_steps(min(values), max(values))
    x_of, y_of = _axes(xs, ticks, logarithmic=logarithmic)
    for x in xs:
        picture.add(Words(x_of(x), HEIGHT - BOTTOM + 18, f"{x:g}", "faint", "middle"))
    for tick in ticks:
        picture.add(Stroke(((LEFT, y_of(tick)), (WIDTH - RIGHT, y_of(tick))), "grid"))
        picture.add(Words(LEFT - 8, y_of(tick) + 4, y_text(tick), "faint", "end"))
    picture.add(Words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label, "faint", "middle"))
    for line in shown:
        _draw(picture, line, x_of, y_of, y_text)
    _names(picture, shown, y_of)
    return picture


def _axes(
    xs: Sequence[float], ticks: Sequence[float], *, logarithmic: bool
) -> tuple[Callable[[float], float], Callable[[float], float]]:
    span = (xs[-1] - xs[0]) or 1.0
    scale = math.log10 if logarithmic else float
    low, high = scale(ticks[0]), scale(ticks[-1])
    bottom, top = HEIGHT - BOTTOM, TOP

    def x_of(x: float) -> float:
        return LEFT + 12 + (WIDTH - RIGHT - LEFT - 24) * (x - xs[0]) / span

    def y_of(y: float) -> float:
        return bottom + (top - bottom) * (scale(y) - low) / ((high - low) or 1.0)

    return x_of, y_of


def _draw(
    picture: Picture,
    line: Line,
    x_of: Callable[[float], float],
    y_of: Callable[[float], float],
    text: Callable[[float], str],
) -> None:
    ink = ink_of(line)
    drawn = [(x_of(p[0]), y_of(p[1])) for p in line.points]
    if len(drawn) > 1 and not line.marks:
        picture.add(Stroke(tuple(drawn), ink, 1.2 if line.dashed else 2, line.name, dashed=line.dashed))
    for (x, y), point in zip(drawn, line.points, strict=True):
        if len(point) == 4 and point[2] != point[3]:
            picture.add(
                Stroke(
                    ((x, y_of(point[2])), (x, y_of(point[3]))),
                    ink,
                    1,
                    f"{line.name}: {text(point[2])} to {text(point[3])}",
                )
            )
        if not line.dashed:
            half = 4.0 if line.marks else 2.5
            picture.add(
                Box(x - half, y - half, 2 * half, 2 * half, ink, f"{line.name}, {point[0]:g}: {text(point[1])}")
            )


def ink_of(line: Line) -> Ink:
    """Return a line's colour."""
    return SERIES[line.ink % len(SERIES)]


def _names(picture: Picture, lines: Sequence[Line], y_of: Callable[[float], float]) -> None:
    """Write names at the right, from top to bottom in the order of the lines' ends, none over another."""
    wanted = sorted((y_of(line.points[-1][1]), place) for place, line in enumerate(lines))
    gap = FONT + 3.0
    at: list[float] = []
    for y, _ in wanted:
        at.append(max(y, at[-1] + gap) if at else y)
    over = max(0.0, at[-1] - (HEIGHT - BOTTOM + 10))
    for index in range(len(at) - 1, -1, -1):  # push up what ran out at the bottom
        limit = HEIGHT - BOTTOM + 10 if index == len(at) - 1 else at[index + 1] - gap
        at[index] = min(at[index], limit) if over else at[index]
    for (_, place), y in zip(wanted, at, strict=True):
        picture.add(Words(WIDTH - RIGHT + 8, y + 4, lines[place].name, ink_of(lines[place])))


def _powers(values: Sequence[float]) -> list[float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def _round_steps(low: float, high: float) -> list[float]:
    """Return four to nine round values that hold both."""
    span = (high - low) or max(abs(high), 1.0)
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(s * unit for s in (0.2, 0.5, 1.0, 2.0) if span / (s * unit) <= 7)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, max(last, first + 1) + 1)]
