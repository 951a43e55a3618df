"""Training curves as small drawings in the page's own text: a panel a loss, a line a seed, in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from reidlib.study.style import PALETTE

ASIDE = ("epoch", "learning_rate", "seconds")  # of a point of a curve: no result
WIDTH, HEIGHT = 300, 170  # of a panel, in pixels
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 24, 34  # of its margins
STYLES = ("", "6 3", "2 2", "8 3 2 3", "1 3")  # dashes: lines are told apart without colours too


def curves_svg(curves: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> str:
    """An SVG element of one line, to stand in HTML: each number that all points have, against the epoch.

    curves: a line's name -> points, as a training record has them. title: what a screen reader says of the drawing.
    Raises ValueError for no curves or one without points.
    """
    if not curves or not all(curves.values()):
        raise ValueError("curves: wants one or more lines, each with one or more points")
    points = [point for curve in curves.values() for point in curve]
    names = [name for name, value in points[0].items() if name not in ASIDE and isinstance(value, int | float)]
    names = [name for name in names if all(isinstance(point.get(name), int | float) for point in points)]
    width, height = WIDTH * len(names), HEIGHT + 18
    parts = [
        f'<svg class="curves" role="img" viewBox="0 0 {width} {height}" width="{width}" fill="none" '
        f'font-size="11" aria-label="{escape(title)}">'
    ]
    for number, name in enumerate(names):
        lines = [[(point["epoch"], point[name]) for point in curve] for curve in curves.values()]
        parts.append(f'<g transform="translate({number * WIDTH} 0)">{_panel(name, lines)}</g>')
    return "".join([*parts, _legend(list(curves), HEIGHT + 12), "</svg>"])


def _panel(name: str, lines: Sequence[Sequence[tuple[float, float]]]) -> str:
    last = max(x for line in lines for x, _ in line)
    step = _step(max(y for line in lines for _, y in line))
    top = step * max(1, math.ceil(max(y for line in lines for _, y in line) / step))

    def across(x: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * (x - 1) / max(1, last - 1):.0f}"

    def down(y: float) -> str:
        return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * max(0.0, y) / top:.1f}"

    floor, edge = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path stroke="currentColor" d="M{LEFT} {TOP}V{floor}H{edge}"/>', '<g fill="currentColor">']
    parts.append(f'<text x="{LEFT}" y="{TOP - 10}">{escape(name.replace("_", " "))}</text>')
    parts += [
        f'<text x="{LEFT - 5}" y="{down(step * k)}" dy="4" text-anchor="end">{step * k:g}</text>'
        for k in range(round(top / step) + 1)
    ]
    parts += [f'<text x="{across(x)}" y="{floor + 14}" text-anchor="middle">{x}</text>' for x in sorted({1, last})]
    parts.append(f'<text x="{(LEFT + edge) / 2:.0f}" y="{floor + 26}" text-anchor="middle">epoch</text></g>')
    for number, line in enumerate(lines):
        path = "L".join(f"{across(x)} {down(y)}" for x, y in line)
        parts.append(f'<path {_style(number)} d="M{path}"/>')
    return "".join(parts)


def _legend(names: Sequence[str], y: int) -> str:
    parts = []
    for number, name in enumerate(names):
        x = LEFT + 90 * number
        parts.append(f'<path {_style(number)} d="M{x} {y - 4}h22"/>')
        parts.append(f'<text x="{x + 27}" y="{y}" fill="currentColor">{escape(name)}</text>')
    return "".join(parts)


def _style(number: int) -> str:
    dashes = STYLES[number % len(STYLES)]
    colour = PALETTE.as_hex()[number % len(PALETTE)]
    return f'stroke="{colour}" stroke-width="1.6"' + (f' stroke-dasharray="{dashes}"' if dashes else "")


def _step(highest: float) -> float:
    """1, 2 or 5 times a power of ten, of which two to five reach the highest value."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest / 2))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if highest / step <= 5)
