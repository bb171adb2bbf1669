"""A line chart holds its points, and names that can be told apart."""

from __future__ import annotations

from itertools import pairwise

from pehealth.experiments.line_chart import HEIGHT, WIDTH, Line, line_chart
from pehealth.experiments.picture import Box, Picture, Stroke, Words


def names(picture: Picture) -> list[Words]:
    return [item for item in picture.items if isinstance(item, Words) and item.x > WIDTH - 190]


def test_everything_lies_within_the_picture() -> None:
    lines = [Line(f"line {i}", [(x, i * x, i * x - 1, i * x + 1) for x in range(6)], ink=i) for i in range(5)]
    picture = line_chart("title", lines, x_label="x", y_label="y")
    for item in picture.items:
        points = item.points if isinstance(item, Stroke) else ((item.x, item.y),)
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert sum(isinstance(item, Box) for item in picture.items) == 30


def test_names_never_lie_over_one_another() -> None:
    lines = [Line(f"line {i}", [(0, 1), (1, 2 + 1e-9 * i)]) for i in range(12)]
    picture = line_chart("title", lines, x_label="x", y_label="y")
    heights = sorted(word.y for word in names(picture))
    assert len(heights) == 12
    assert all(b - a >= 12 for a, b in pairwise(heights))
    assert heights[-1] <= HEIGHT


def test_a_logarithmic_axis_leaves_zeros_out() -> None:
    picture = line_chart("t", [Line("a", [(0, 0), (1, 0.5), (2, 0.001)])], x_label="x", y_label="y", logarithmic=True)
    assert sum(isinstance(item, Box) for item in picture.items) == 2


def test_nothing_to_draw_is_said() -> None:
    picture = line_chart("t", [Line("a", [])], x_label="x", y_label="y")
    assert any(isinstance(item, Words) and "nothing was measured" in item.text for item in picture.items)


def test_a_single_point_is_a_mark() -> None:
    assert "<rect" in line_chart("t", [Line("a", [(4, 7.0)], marks=True)], x_label="x", y_label="y").svg()
