"""The two baskets, built of the same round cones as people: FIBA measures (equipment appendix), glass backboard."""

import functools

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.solids import put

_BOARD, _RIM, _RIM_HEIGHT, _RIM_RADIUS = 1.2, 1.575, 3.05, 0.225         # m from the end line; m
_PAD, _WHITE, _ORANGE = -1.0, 0.0, 1.0                                    # SIDE of a prop: which colour, see surface.py


def _basket(mirror):
    """Strokes of one basket: (from, to, radius, colour)."""
    def at_x(x, y, z):
        return (28.0 - x if mirror else x, y, z)

    strokes = [(at_x(-1.3, 7.5, 0.3), at_x(-1.3, 7.5, 1.9), 0.30, _PAD),
               (at_x(-1.2, 7.5, 1.9), at_x(-0.6, 7.5, 2.9), 0.12, _PAD),
               (at_x(-0.6, 7.5, 2.9), at_x(1.15, 7.5, 3.15), 0.09, _PAD)]
    for half, low, high, radius in ((0.9, 2.90, 3.95, 0.035), (0.295, 3.05, 3.50, 0.025)):
        corners = [(7.5 - half, low), (7.5 + half, low), (7.5 + half, high), (7.5 - half, high)]
        for (ya, za), (yb, zb) in zip(corners, corners[1:] + corners[:1]):
            strokes.append((at_x(_BOARD, ya, za), at_x(_BOARD, yb, zb), radius, _WHITE))
    angles = np.arange(13) * 2 * np.pi / 12
    ring = [at_x(_RIM + _RIM_RADIUS * np.cos(a), 7.5 + _RIM_RADIUS * np.sin(a), _RIM_HEIGHT) for a in angles]
    low = [at_x(_RIM + 0.14 * np.cos(a + 0.26), 7.5 + 0.14 * np.sin(a + 0.26), _RIM_HEIGHT - 0.40) for a in angles]
    for i in range(12):
        strokes.append((ring[i], ring[i + 1], 0.018, _ORANGE))
        strokes.append((ring[i], low[i], 0.010, _WHITE))
    return strokes


@functools.cache
def baskets(person):
    """Parts of both baskets, (M, PART_SIZE) float64, that take their colours from row person of the looks."""
    strokes = _basket(False) + _basket(True)
    parts = np.zeros((len(strokes), at.PART_SIZE))
    for part, (start, end, radius, colour) in zip(parts, strokes):
        steep = abs(end[2] - start[2]) > 0.7 * np.linalg.norm(np.subtract(end, start))
        hint = (1.0, 0.0, 0.0) if steep else (0.0, 0.0, 1.0)
        put(part, start, end, hint, (1.0, 1.0, 1.0), radius, 0.999 * radius, float(at.PROP), float(person), colour)
    return parts


def basket_look(arena):
    """Row of the looks (LOOK_SIZE,) that colours the baskets of an arena."""
    look = np.zeros(at.LOOK_SIZE)
    look[at.JERSEY:at.JERSEY + 3] = arena[at.FAN:at.FAN + 3] * 0.8
    look[at.TRIM:at.TRIM + 3] = 232.0
    look[at.BALL:at.BALL + 3] = (224.0, 92.0, 36.0)
    return look
