"""What a camera films behind people: bands of ground along a street, a crossing, a wall, and what lies far away."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.kernels import blend, inline, mix, rgb, scaled, smooth

_KERB = 0.13                                # m, breadth of a kerb stone
_BAR = 1.0                                  # m, a bar of a crossing and the gap beside it


@inline
def cloud(seed, x, y):
    """Smooth noise, 0..1, on a lattice of unit spacing."""
    i, j = math.floor(x), math.floor(y)
    p, q = x - i, y - j
    p, q = p * p * (3.0 - 2.0 * p), q * q * (3.0 - 2.0 * q)
    a, b = mix(seed, int(i), int(j)), mix(seed, int(i) + 1, int(j))
    c, d = mix(seed, int(i), int(j) + 1), mix(seed, int(i) + 1, int(j) + 1)
    return (1.0 - q) * (a + p * (b - a)) + q * (c + p * (d - c))


@inline
def joint(x, size, half, footprint):
    """Cover of the joints between tiles of a size, which fade where samples are too coarse."""
    s = abs(x / size - math.floor(x / size + 0.5)) * size
    soft = 0.5 * footprint
    return (1.0 - smooth(half - soft, half + soft + 1e-4, s)) * min(1.0, 2.5 * half / (footprint + 1e-4))


@inline
def laid(kind, colour, seed, a, b, footprint):
    """Colour of a kind of ground a m across and b m along the street."""
    fine = min(1.0, 0.03 / (footprint + 1e-4))
    patches = 1.0 + 0.12 * (cloud(seed, 0.7 * a, 0.7 * b) - 0.5)
    if kind == cw.GRASS:
        blades = 0.35 * (cloud(seed + 1, 9.0 * a, 9.0 * b) - 0.5) + 0.25 * (cloud(seed + 2, 2.5 * a, 2.5 * b) - 0.5)
        return scaled(colour, patches * (1.0 + blades))
    if kind == cw.TILES or kind == cw.COBBLES:
        size = 0.42 if kind == cw.TILES else 0.13
        row = int(math.floor(a / size))
        column = int(math.floor(b / size + 0.5 * (row % 2)))
        tone = (mix(seed, row, column) - 0.5) * min(1.0, 0.5 * size / (footprint + 1e-4))
        gap = max(joint(a - 0.5 * size, size, 0.010, footprint),
                  joint(b + 0.5 * size * (row % 2) - 0.5 * size, size, 0.010, footprint))
        return scaled(colour, patches * (1.0 + (0.10 if kind == cw.TILES else 0.28) * tone) * (1.0 - 0.35 * gap))
    grain = mix(seed, int(math.floor(a / 0.03)), int(math.floor(b / 0.03))) - 0.5
    return scaled(colour, patches * (1.0 + (0.22 if kind == cw.GRAVEL else 0.14) * grain * fine))


@inline
def ground_colour(x, y, footprint, place, shadows):
    """Unlit colour of the ground at (x, y) m; footprint: m per sample; shadows (S, 4): x, y, radius, depth."""
    dx, dy = x - place[cw.FOCUS_X], y - place[cw.FOCUS_Y]
    a = dx * place[cw.ACROSS_X] + dy * place[cw.ACROSS_Y]
    b = dx * place[cw.AXIS_X] + dy * place[cw.AXIS_Y]
    seed = int(place[cw.SEED])
    band, edge = 0, 1e9
    for k in range(cw.BANDS_OF_GROUND - 1):
        if a > place[cw.EDGE + k]:
            band = k + 1
        edge = min(edge, abs(a - place[cw.EDGE + k]))
    first = cw.BAND + 4 * band
    kind = int(place[first])
    colour = laid(kind, rgb(place, first + 1), seed + 31 * band, a, b, footprint)
    soft = 0.5 * footprint + 1e-4
    if kind == cw.ASPHALT:
        low = place[cw.EDGE + band - 1] if band > 0 else a - 3.0
        high = place[cw.EDGE + band] if band < cw.BANDS_OF_GROUND - 1 else a + 3.0
        paint = 0.0
        if place[cw.CROSSING] > 0.5:
            bar = abs(a / _BAR - math.floor(a / _BAR) - 0.5) * _BAR      # bars lie along the road
            inside = 1.0 - smooth(1.9 - soft, 1.9 + soft, abs(b))
            paint = inside * (1.0 - smooth(0.25 - soft, 0.25 + soft, bar))
        middle = abs(a - 0.5 * (low + high))
        dash = b / 6.0 - math.floor(b / 6.0) < 0.5 and abs(b) > 3.0
        paint = max(paint, 1.0 - smooth(0.06 - soft, 0.06 + soft, middle) if dash else 0.0)
        colour = blend(colour, (212.0, 212.0, 208.0), 0.88 * paint)
    if kind != cw.GRASS:
        kerb = (1.0 - smooth(0.5 * _KERB - soft, 0.5 * _KERB + soft, edge)) * min(1.0, _KERB / (footprint + 1e-4))
        colour = blend(colour, (168.0, 166.0, 160.0), 0.8 * kerb)
    shade = 0.0
    for i in range(len(shadows)):
        d2 = ((x - shadows[i, 0]) ** 2 + (y - shadows[i, 1]) ** 2) / (shadows[i, 2] * shadows[i, 2])
        if d2 < 9.0:
            shade = max(shade, shadows[i, 3] * math.exp(-d2))
    return scaled(colour, 1.0 - shade)


@inline
def wall_colour(b, z, footprint, place):
    """Unlit colour of the wall b m along the street and z m above the ground."""
    kind, seed = int(place[cw.WALL_KIND]), int(place[cw.SEED]) + 977
    colour, trim = rgb(place, cw.WALL_COLOUR), rgb(place, cw.WALL_TRIM)
    base = 0.72 + 0.28 * smooth(0.0, 0.5, z)
    if kind == cw.HEDGE:
        leaves = 0.5 * (cloud(seed, 7.0 * b, 7.0 * z) - 0.5) + 0.6 * (cloud(seed + 1, 2.2 * b, 2.2 * z) - 0.5)
        return scaled(colour, base * (1.0 + leaves))
    if kind == cw.BRICK:
        row = int(math.floor(z / 0.16))
        brick = int(math.floor(b / 0.42 + 0.5 * (row % 2)))
        tone = (mix(seed, row, brick) - 0.5) * min(1.0, 0.1 / (footprint + 1e-4))
        gap = max(joint(z, 0.16, 0.009, footprint), joint(b + 0.21 * (row % 2), 0.42, 0.009, footprint))
        return scaled(blend(scaled(colour, 1.0 + 0.28 * tone), trim, 0.55 * gap), base)
    if kind == cw.PANELS:
        gap = max(joint(b, 2.4, 0.02, footprint), joint(z, 1.3, 0.02, footprint))
        stains = 1.0 + 0.22 * (cloud(seed, 1.3 * b, 0.35 * z) - 0.5)
        return scaled(colour, base * stains * (1.0 - 0.4 * gap))
    # A facade: shop windows on the ground floor, windows above, each with its own light behind it.
    low = z < 3.0
    pitch, sill, height = (3.4, 0.55, 1.85) if low else (2.1, 0.9, 1.5)
    floor = 0 if low else 1 + int((z - 3.0) / 2.9)
    h = z if low else z - 3.0 - 2.9 * (floor - 1)
    cell = int(math.floor(b / pitch))
    s = abs(b - (cell + 0.5) * pitch)
    half = 0.42 * pitch if low else 0.28 * pitch
    soft = 0.5 * footprint + 1e-4
    inside = max(s - half, max(sill - h, h - sill - height))
    glass = mix(seed, cell, floor)
    pane = blend((46.0, 54.0, 62.0), trim, 0.55 * glass * (0.6 + 0.4 * cloud(seed, 3.0 * b, 2.0 * z)))
    wall = scaled(colour, base * (1.0 + 0.06 * (cloud(seed + 2, b, z) - 0.5)))
    wall = blend(wall, trim, 1.0 - smooth(0.07 - soft, 0.07 + soft, inside))
    return blend(wall, pane, 1.0 - smooth(-soft, soft, inside))


@inline
def far_colour(x, z, place):
    """Unlit colour of what stands far away: the outlines of houses and trees, paler than what is near; the sky."""
    seed = int(place[cw.SEED]) + 499
    block = int(math.floor(x / 9.0))
    top = 6.0 + 16.0 * mix(seed, block, 1)
    if z > top:
        return rgb(place, cw.SKY)
    own = mix(seed, block, 2)
    house = (120.0 + 60.0 * own, 116.0 + 44.0 * mix(seed, block, 3), 108.0 + 40.0 * own)
    if own < 0.35:
        tree = 1.0 + 0.5 * (cloud(seed, 0.9 * x, 0.9 * z) - 0.5)
        house = (74.0 * tree, 96.0 * tree, 62.0 * tree)
    elif math.sin(2.2 * x) > 0.2 and math.sin(2.1 * z) > 0.0:
        house = scaled(house, 0.72)
    return blend(house, rgb(place, cw.SKY), 0.22)


@inline
def background(o, d, sample, light, place, shadows):
    """Lit colour of everything that is neither a person nor a thing along the ray o + t d; sample: its angle in rad."""
    across = d[0] * place[cw.ACROSS_X] + d[1] * place[cw.ACROSS_Y]
    here = (o[0] - place[cw.FOCUS_X]) * place[cw.ACROSS_X] + (o[1] - place[cw.FOCUS_Y]) * place[cw.ACROSS_Y]
    t_ground = -o[2] / d[2] if d[2] < -1e-9 else 1e30
    t_far = (place[cw.FAR] - o[1]) / d[1]
    t_wall = 1e30
    if place[cw.WALL_KIND] != cw.NO_WALL and across > 1e-9:
        t_wall = (place[cw.WALL] - here) / across
        if o[2] + t_wall * d[2] > place[cw.WALL_HEIGHT]:
            t_wall = 1e30
    if t_ground < t_wall and t_ground < t_far:
        x, y = o[0] + t_ground * d[0], o[1] + t_ground * d[1]
        slope = -d[2] / math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        colour = ground_colour(x, y, t_ground * sample * (0.35 + 0.35 / (slope + 0.05)), place, shadows)
        colour = scaled(colour, light[at.AMBIENT] + 0.9 * light[at.DIFFUSE] * light[2])
        return blend(colour, rgb(place, cw.SKY), 0.2 * smooth(15.0, 90.0, t_ground))
    if t_wall < t_far:
        x, y, z = o[0] + t_wall * d[0], o[1] + t_wall * d[1], o[2] + t_wall * d[2]
        b = (x - place[cw.FOCUS_X]) * place[cw.AXIS_X] + (y - place[cw.FOCUS_Y]) * place[cw.AXIS_Y]
        facing = -light[0] * place[cw.ACROSS_X] - light[1] * place[cw.ACROSS_Y]
        colour = wall_colour(b, z, t_wall * sample, place)
        return scaled(colour, 0.85 * light[at.AMBIENT] + light[at.DIFFUSE] * max(facing, 0.0))
    x, z = o[0] + t_far * d[0], o[2] + t_far * d[2]
    return scaled(far_colour(x, z, place), light[at.AMBIENT] + 0.5 * light[at.DIFFUSE])
