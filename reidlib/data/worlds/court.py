"""The floor: wood, paint, lines by their distance in court coordinates, shadows. Court: x 0..28 m, y 0..15 m."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.kernels import blend, inline, mix, rgb, scaled, smooth

_HALF_LINE = 0.025                          # lines are 5 cm wide (FIBA rules, article 2)


@inline
def ring(x, y, cx, cy, radius):
    return abs(math.sqrt((x - cx) ** 2 + (y - cy) ** 2) - radius)


@inline
def segment(x, y, ax, ay, bx, by):
    """Distance to an axis-aligned or oblique segment."""
    vx, vy = bx - ax, by - ay
    s = ((x - ax) * vx + (y - ay) * vy) / (vx * vx + vy * vy)
    s = 0.0 if s < 0.0 else 1.0 if s > 1.0 else s
    return math.sqrt((x - ax - s * vx) ** 2 + (y - ay - s * vy) ** 2)


@inline
def line_distance(x, y):
    """Distance in m to the nearest line (FIBA measures), and whether the point lies in the key or inside the arc."""
    mirrored = x if x <= 14.0 else 28.0 - x                             # both halves are alike
    m, c = mirrored, 7.5
    d = min(segment(m, y, 0.0, 0.0, 14.0, 0.0), segment(m, y, 0.0, 15.0, 14.0, 15.0))
    d = min(d, segment(m, y, 0.0, 0.0, 0.0, 15.0))
    d = min(d, segment(m, y, 14.0, 0.0, 14.0, 15.0))
    d = min(d, ring(m, y, 14.0, c, 1.8))
    key = m < 5.8 and abs(y - c) < 2.45
    d = min(d, segment(m, abs(y - c), 0.0, 2.45, 5.8, 2.45))
    d = min(d, segment(m, y, 5.8, c - 2.45, 5.8, c + 2.45))
    if m > 5.8:
        d = min(d, ring(m, y, 5.8, c, 1.8))
    away = math.sqrt((m - 1.575) ** 2 + (y - c) ** 2)                   # from the basket
    inside = away < 6.75 and abs(y - c) < 6.6
    if m > 2.99:
        d = min(d, abs(away - 6.75))
    d = min(d, segment(m, abs(y - c), 0.0, 6.6, 2.99, 6.6))
    if m > 1.575:
        d = min(d, abs(away - 1.25))
    return d, key, inside


@inline
def floor_colour(x, y, footprint, arena, shadows):
    """Lit colour of the floor at (x, y) m; footprint: m per sample; shadows (S, 4): x, y, radius, depth."""
    wood = rgb(arena, at.WOOD)
    on_court = 0.0 <= x <= 28.0 and 0.0 <= y <= 15.0
    distance, key, inside = line_distance(x, y)
    seed = int(arena[at.CROWD_SEED])
    # Planks run along x: 11 cm wide, about 1.6 m long, each with its own tone.
    plank = int(math.floor(y / 0.11))
    board = int(math.floor(x / 1.6 + 7.0 * mix(seed, plank, 1)))
    grain = (mix(seed, plank, board + 1000) - 0.5) * min(1.0, 0.12 / (footprint + 0.02))
    tone = 1.0 + 0.10 * grain
    if on_court:
        centre = math.sqrt((x - 14.0) ** 2 + (y - 7.5) ** 2)
        if key:
            colour = blend(wood, rgb(arena, at.PAINT), 0.88)
        elif inside:
            colour = rgb(arena, at.ARC_TINT)
        elif centre < 1.8:
            colour = blend(wood, rgb(arena, at.PAINT), 0.8)
        else:
            colour = wood
    else:
        colour = blend(wood, rgb(arena, at.APRON), 0.9)
        if x < -1.6 or x > 29.6 or y < -1.6 or y > 16.6:
            colour = scaled(rgb(arena, at.STEP), 1.2)
    colour = scaled(colour, tone)
    soft = 0.5 * footprint + 1e-4
    colour = blend(colour, rgb(arena, at.LINE), 1.0 - smooth(_HALF_LINE - soft, _HALF_LINE + soft, distance))
    # Light pools of the lamps above, then the people's shadows.
    pool = 0.97 + 0.05 * math.sin(0.9 * x + 0.4) * math.sin(0.8 * y + 1.1)
    shade = 1.0
    for i in range(len(shadows)):
        d2 = ((x - shadows[i, 0]) ** 2 + (y - shadows[i, 1]) ** 2) / (shadows[i, 2] * shadows[i, 2])
        if d2 < 9.0:
            shade *= 1.0 - shadows[i, 3] * math.exp(-d2)
    return scaled(colour, pool * shade)
