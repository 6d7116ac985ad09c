"""Where the labels of a chart's points stand: never on a point or another label; on an interval for want of room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 640.0, 270.0
"""The plot that labels are laid out for, in pixels: a wider one leaves them more room."""
NARROW = 270.0
"""The plot's width on a telephone: a side on which the label stays inside there is preferred."""
LETTER, LINE = 6.2, 14.0
RADIUS = 8.0
SIDES = (
    "middle right",
    "middle left",
    "top right",
    "bottom right",
    "top left",
    "bottom left",
    "bottom center",
    "top center",
)


class Point(NamedTuple):
    """A labelled point: shares of the plot's width and height, and the height of its interval's ends."""

    x: float
    y: float
    low: float
    high: float
    label: str


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def sides(points: Sequence[Point]) -> list[str | None]:
    """Plotly's textposition of each point; None where no side is free: hovering names that point."""
    marks, intervals = zip(*map(_drawn, points), strict=True) if points else ((), ())
    taken = list(marks)
    found: list[str | None] = []
    for point in points:
        preferred = sorted(SIDES, key=lambda side: not _is_inside(point, side))
        # A name across the thin line of an interval can be read; one across a mark or a name cannot.
        for avoided in ([*taken, *intervals], taken):
            side = next((side for side in preferred if _is_free(_box(point, side), avoided)), None)
            if side is not None:
                taken.append(_box(point, side))
                break
        found.append(side)
    return found


def _is_inside(point: Point, side: str) -> bool:
    """Whether the label stays inside a narrow plot."""
    room, needed = point.x * NARROW, RADIUS + LETTER * len(point.label)
    return {"right": room + needed <= NARROW, "left": room >= needed}.get(side.split()[1], False)


def _is_free(box: _Box, taken: Sequence[_Box]) -> bool:
    return box.left >= 0 and box.right <= WIDTH and not any(box.meets(other) for other in taken)


def _drawn(point: Point) -> tuple[_Box, _Box]:
    """What is drawn of a point: the mark and its interval."""
    x, y = point.x * WIDTH, point.y * HEIGHT
    return (
        _Box(x - RADIUS + 1, y - RADIUS + 1, x + RADIUS - 1, y + RADIUS - 1),
        _Box(x - RADIUS + 2, point.low * HEIGHT, x + RADIUS - 2, point.high * HEIGHT),
    )


def _box(point: Point, side: str) -> _Box:
    vertical, horizontal = side.split()
    x, y, width = point.x * WIDTH, point.y * HEIGHT, LETTER * len(point.label)
    left = {"right": x + RADIUS, "left": x - RADIUS - width, "center": x - width / 2}[horizontal]
    bottom = {"top": y + RADIUS, "middle": y - LINE / 2, "bottom": y - RADIUS - LINE}[vertical]
    return _Box(left, bottom, left + width, bottom + LINE)
