"""Charts as SVG, drawn for a page: their colours are the page's, so that they suit light and dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 14, 44
N_TICKS = 5
LEGEND_WIDTH = 150

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: what it shows; empty for none.
        points: (x, y), in order of x.
        style: class of the page's style: "a", "b", "faint".
        dots: whether to mark each point, with its values to be read under the pointer.
    """

    name: str
    points: Sequence[Point]
    style: str = "a"
    dots: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: what it shows.
        low: where it begins.
        high: where it ends.
        ticks: where numbers stand; five even ones if empty.
        show: how a number is written.
    """

    title: str
    low: float = 0.0
    high: float = 1.0
    ticks: tuple[float, ...] = ()
    show: Callable[[float], str] = lambda value: f"{100 * value:.0f} %"

    def marks(self) -> tuple[float, ...]:
        """Give where numbers stand."""
        return self.ticks or tuple(self.low + (self.high - self.low) * i / N_TICKS for i in range(N_TICKS + 1))


def draw_lines(lines: Sequence[Line], *, x: Axis, y: Axis, title: str, mark_x: float | None = None) -> str:
    """Draw lines over two axes.

    Args:
        lines: what to draw, the last on top.
        x: the axis to the right.
        y: the axis upwards.
        title: read aloud instead of the picture.
        mark_x: where to draw a dashed upright line; None for none.
    """
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(x, y),
    ]
    if mark_x is not None:
        at = _across(mark_x, x)
        parts.append(f'<line class="mark" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}"/>')
    for line in lines:
        parts += _line(line, x, y)
    parts += _legend([line for line in lines if line.name])
    return "".join([*parts, "</svg>"])


def _across(value: float, axis: Axis) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - axis.low) / ((axis.high - axis.low) or 1)


def _up(value: float, axis: Axis) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - axis.low) / ((axis.high - axis.low) or 1)


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    for value in y.marks():
        at = _up(value, y)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(y.show(value))}</text>')
    for value in x.marks():
        at = _across(value, x)
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escape(x.show(value))}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.title)}</text>')
    turn = f"translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"
    parts.append(f'<text class="title" transform="{turn}" text-anchor="middle">{escape(y.title)}</text>')
    return parts


def _line(line: Line, x: Axis, y: Axis) -> list[str]:
    places = [(_across(a, x), _up(b, y)) for a, b in line.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    parts = [f'<polyline class="line {line.style}" points="{path}"/>']
    if line.dots:
        for (a, b), (value_x, value_y) in zip(places, line.points, strict=True):
            told = escape(f"{x.show(value_x)}: {y.show(value_y)}")
            parts.append(
                f'<circle class="dot {line.style}" cx="{a:.1f}" cy="{b:.1f}" r="3.4"><title>{told}</title></circle>'
            )
    return parts


def _legend(lines: Sequence[Line]) -> list[str]:
    if len(lines) < 2:
        return []
    parts = []
    for number, line in enumerate(lines):
        y = HEIGHT - BOTTOM - 12 - 17 * (len(lines) - 1 - number)
        x = WIDTH - RIGHT - LEGEND_WIDTH
        parts.append(f'<line class="line {line.style}" x1="{x}" y1="{y}" x2="{x + 22}" y2="{y}"/>')
        parts.append(f'<text x="{x + 28}" y="{y + 4}">{escape(line.name)}</text>')
    return parts
