"""Small pictures: boxes, lines and words, as SVG that is readable in light and dark, or as PNG.

SVG is written here and needs nothing; PNG needs matplotlib (`pip install 'pehealth[plots]'`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

from pehealth.errors import ConfigError

Ink = Literal["text", "faint", "grid", "paper", "compute", "transfer", "message", "path", "a", "b", "c", "d", "e", "f"]

INKS: dict[Ink, tuple[str, str]] = {
    "text": ("#1f2328", "#e6edf3"),
    "faint": ("#59636e", "#9198a1"),
    "grid": ("#d1d9e0", "#3d444d"),
    "paper": ("#ffffff", "#0d1117"),
    "compute": ("#0969da", "#4493f8"),
    "transfer": ("#9a6700", "#d29922"),
    "message": ("#818b98", "#656c76"),
    "path": ("#cf222e", "#f85149"),
    "a": ("#0969da", "#4493f8"),
    "b": ("#cf222e", "#f85149"),
    "c": ("#1a7f37", "#3fb950"),
    "d": ("#9a6700", "#d29922"),
    "e": ("#8250df", "#ab7df8"),
    "f": ("#57606a", "#b1bac4"),
}
"""What is drawn with it -> colour on light and on dark paper."""
SERIES: tuple[Ink, ...] = ("a", "b", "c", "d", "e", "f")
FONT = 12


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `note` is shown under the pointer."""

    x: float
    y: float
    width: float
    height: float
    ink: Ink
    note: str = ""
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    ink: Ink
    width: float = 1.0
    note: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text whose `anchor` is at x, its foot at y."""

    x: float
    y: float
    text: str
    ink: Ink = "text"
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


Item = Box | Stroke | Words


@dataclass
class Picture:
    """A picture in pixels; y grows downwards. `title` and `description` are for who cannot see it."""

    width: float
    height: float
    title: str
    description: str = ""
    items: list[Item] = field(default_factory=list)

    def add(self, *items: Item) -> None:
        """Draw over what is there."""
        self.items += items

    def save(self, path: Path) -> None:
        """Write the picture: `.svg` or `.png`.

        Raises:
            ConfigError: another ending, or matplotlib is missing for PNG, or the file cannot be written.
        """
        try:
            if path.suffix.lower() == ".svg":
                path.write_text(self.svg(), encoding="utf-8")
            elif path.suffix.lower() == ".png":
                self._save_png(path)
            else:
                raise ConfigError(f"{path}: a picture's name ends in .svg or .png")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error

    def svg(self) -> str:
        """Return the picture as one SVG document that needs nothing else."""
        light, dark = ("".join(f".{ink}{{--c:{colours[side]}}}" for ink, colours in INKS.items()) for side in (0, 1))
        style = (
            f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
            f"text{{font:{FONT}px system-ui,sans-serif;fill:var(--c)}}.bold{{font-weight:600}}"
            "rect{fill:var(--c)}polyline{fill:none;stroke:var(--c);stroke-linejoin:round}"
        )
        size = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        head = f"<title>{escape(self.title)}</title><desc>{escape(self.description)}</desc><style>{style}</style>"
        paper = Box(0, 0, self.width, self.height, "paper")
        body = "\n".join(_element(item) for item in (paper, *self.items))
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{head}\n{body}\n</svg>\n'

    def _save_png(self, path: Path) -> None:
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
            from matplotlib.lines import Line2D
            from matplotlib.patches import Rectangle
        except ImportError as error:
            raise ConfigError(
                f"{path}: PNG needs matplotlib: pip install 'pehealth[plots]', or name an .svg"
            ) from error
        figure = Figure(figsize=(self.width / 100, self.height / 100), dpi=200)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        axes.axis("off")
        for order, item in enumerate(self.items):
            colour = INKS[item.ink][0]
            if isinstance(item, Box):
                place = (item.x, item.y)
                axes.add_patch(
                    Rectangle(place, item.width, item.height, color=colour, alpha=item.opacity, lw=0, zorder=order)
                )
            elif isinstance(item, Stroke):
                xs, ys = zip(*item.points, strict=True)
                style = (0, (4, 3)) if item.dashed else "-"
                axes.add_line(Line2D(xs, ys, color=colour, lw=0.72 * item.width, ls=style, zorder=order))
            else:
                where = {"start": "left", "middle": "center", "end": "right"}[item.anchor]
                weight = "bold" if item.bold else "normal"
                axes.text(
                    item.x, item.y, item.text, color=colour, ha=where, fontsize=0.72 * FONT, weight=weight, zorder=order
                )
        figure.savefig(path)


def _element(item: Item) -> str:
    note = f"<title>{escape(item.note)}</title>" if not isinstance(item, Words) and item.note else ""
    if isinstance(item, Box):
        size = f'x="{item.x:.2f}" y="{item.y:.2f}" width="{item.width:.2f}" height="{item.height:.2f}"'
        opacity = f' opacity="{item.opacity:g}"' if item.opacity != 1 else ""
        return f'<rect class="{item.ink}" {size}{opacity}>{note}</rect>'
    if isinstance(item, Stroke):
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in item.points)
        dashes = ' stroke-dasharray="4 3"' if item.dashed else ""
        return f'<polyline class="{item.ink}" points="{points}" stroke-width="{item.width:g}"{dashes}>{note}</polyline>'
    bold = " bold" if item.bold else ""
    place = f'x="{item.x:.2f}" y="{item.y:.2f}" text-anchor="{item.anchor}"'
    return f'<text class="{item.ink}{bold}" {place}>{escape(item.text)}</text>'
