"""Things that stand about in a street, built of round cones.

Each function takes where it stands (2,) and a horizontal unit vector along it (2,), in m, and a numpy Generator, and
returns strokes: from, to, radius in m, taper, scale (of what lies flat: up, aside and along), and the column of the
look with its colour.
"""

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import layout as cw

_EVEN = (1.0, 1.0, 1.0)


def _point(spot, forward, along, z, aside=0.0):
    x, y = spot + along * forward + aside * np.array([forward[1], -forward[0]])
    return (float(x), float(y), float(z))


def _stroke(spot, forward, start, end, radius, colour, taper=0.999, scale=_EVEN):
    return _point(spot, forward, *start), _point(spot, forward, *end), radius, taper, scale, colour


def post(spot, forward, random):
    """A lamp post or the post of a sign."""
    radius, height = random.uniform(0.05, 0.10), random.uniform(3.0, 5.5)
    return [_stroke(spot, forward, (0, 0), (0, 0.5), 1.6 * radius, at.JERSEY),
            _stroke(spot, forward, (0, 0.5), (0, height), radius, at.JERSEY, 0.8)]


def bollard(spot, forward, random):
    height = random.uniform(0.75, 1.0)
    return [_stroke(spot, forward, (0, 0), (0, height), 0.085, at.JERSEY),
            _stroke(spot, forward, (0, height - 0.14), (0, height - 0.08), 0.09, at.SHOE)]


def bin_(spot, forward, random):
    height = random.uniform(0.8, 1.05)
    return [_stroke(spot, forward, (0, 0.1), (0, height), 0.24, cw.BAG_COLOUR, 1.15),
            _stroke(spot, forward, (0, height), (0, height + 0.05), 0.29, at.SHORTS)]


def tree(spot, forward, random):
    radius, height = random.uniform(0.10, 0.17), random.uniform(2.4, 3.2)
    strokes = [_stroke(spot, forward, (0, 0), (0, height), radius, at.SOLE, 0.75)]
    for along, z, size in random.uniform((-0.8, 0.5, 0.7), (0.8, 1.6, 1.2), (3, 3)):
        strokes.append(_stroke(spot, forward, (along, height + z), (along, height + z + 0.3), size, at.SOCK))
    return strokes


def bicycle(spot, forward, random):
    """A parked bicycle: two wheels of ten strokes each, frame, saddle, handlebar."""
    strokes, colour = [], at.TRIM if random.random() < 0.5 else cw.INNER
    turns = np.arange(11) * 2 * np.pi / 10
    for hub in (-0.53, 0.53):
        rim = [(hub + 0.32 * np.cos(a), 0.34 + 0.32 * np.sin(a)) for a in turns]
        strokes += [_stroke(spot, forward, p, q, 0.022, at.SHORTS) for p, q in zip(rim, rim[1:])]
    for p, q in (((-0.53, 0.34), (-0.08, 0.32)), ((-0.08, 0.32), (-0.24, 0.82)), ((-0.24, 0.82), (-0.53, 0.34)),
                 ((-0.2, 0.76), (0.36, 0.78)), ((-0.08, 0.32), (0.38, 0.72)), ((0.34, 0.92), (0.53, 0.34))):
        strokes.append(_stroke(spot, forward, p, q, 0.022, colour))
    strokes.append(_stroke(spot, forward, (-0.34, 0.88), (-0.12, 0.88), 0.055, at.SHORTS, 0.6))
    strokes.append(_stroke(spot, forward, (0.32, 0.98, -0.27), (0.32, 0.98, 0.27), 0.02, at.SHORTS))
    return strokes


def car(spot, forward, random):
    """A parked car: body, cabin and wheels, all to the left of its spot."""
    spot = spot + 1.2 * np.array([-forward[1], forward[0]])
    colour = at.TRIM if random.random() < 0.5 else cw.INNER
    strokes = [_stroke(spot, forward, (-1.55, 0.58), (1.55, 0.58), 1.0, colour, scale=(0.40, 0.85, 0.55)),
               _stroke(spot, forward, (-1.0, 1.02), (0.7, 1.02), 1.0, cw.BAG_COLOUR, scale=(0.42, 0.72, 0.5)),
               _stroke(spot, forward, (-0.9, 1.22), (0.5, 1.22), 1.0, colour, scale=(0.24, 0.68, 0.4))]
    for along in (-1.3, 1.3):
        for aside in (-0.75, 0.75):
            strokes.append(_stroke(spot, forward, (along, 0.31, aside), (along, 0.31, 1.12 * aside), 0.31, at.SHORTS,
                                   scale=(1.0, 1.0, 0.2)))
    return strokes
