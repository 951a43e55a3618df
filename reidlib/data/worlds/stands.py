"""Around the court: LED advertising boards, rows of spectators behind them, the dark upper hall."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.court import floor_colour
from reidlib.data.worlds.glyphs import CAP_WIDTH, MARGIN, TEXELS
from reidlib.data.worlds.kernels import blend, inline, mix, rgb, scaled, smooth, stroke_distance

_FAR_SIDE, _LEFT_END, _RIGHT_END = 17.4, -2.6, 30.6      # m, where the boards stand
_ROWS, _ROW_DEPTH, _ROW_RISE, _SEAT = 16, 0.82, 0.44, 0.56


@inline
def board_colour(s, z, arena, words, codes, fields, footprint, wall):
    """LED board at s (m along the wall) and z (m above the floor)."""
    height, pitch = arena[at.BOARD_HEIGHT], arena[at.PANEL_WIDTH]
    panel = int(math.floor(s / pitch))
    seed = int(arena[at.CROWD_SEED])
    slot = int(mix(seed, panel, 77 + wall) * 8.0)
    base = rgb(arena, at.BOARD + 3 * slot)
    luminance = 0.3 * base[0] + 0.59 * base[1] + 0.11 * base[2]
    ink = (24.0, 24.0, 30.0) if luminance > 125.0 else (238.0, 238.0, 240.0)
    if mix(seed, panel, 5 + wall) < 0.3:
        ink = rgb(arena, at.BOARD + 3 * ((slot + 3) % 8))
    word = words[(panel + 3 * wall) % 8]
    letters = 0
    while letters < codes.shape[1] and codes[word, letters] >= 0:
        letters += 1
    unit = height * 0.58 / 6.0
    advance = (CAP_WIDTH + 2.2) * unit
    start = 0.5 * (pitch - letters * advance + 2.2 * unit)
    x = s - panel * pitch - start
    index = int(math.floor((x + 1.1 * unit) / advance))
    colour = base
    if 0 <= index < letters:
        gx, gy = (x - index * advance) / unit, (z - 0.21 * height) / unit
        d = stroke_distance(fields, codes[word, index], gx, gy, TEXELS, MARGIN)
        soft = 0.6 * footprint / unit
        colour = blend(colour, ink, 1.0 - smooth(0.62 - soft, 0.62 + soft, d))
    edge = min(s - panel * pitch, pitch - (s - panel * pitch))
    colour = scaled(colour, 0.55 + 0.45 * smooth(0.015, 0.04, min(edge, height - z)))
    return scaled(colour, 0.97 * (0.55 + 0.45 * smooth(-0.02, 0.12, z)))


@inline
def spectator(s, z, row, arena, wall):
    """A seated spectator, if the point (s along the row, z above the row's step) lies on one: found, colour."""
    seed = int(arena[at.CROWD_SEED]) + 7919 * wall
    shift = mix(seed, row, 3)
    seat = int(math.floor(s / _SEAT + shift))
    dark = (0.0, 0.0, 0.0)
    if mix(seed, row * 4096 + seat, 11) > arena[at.CROWD_DENSITY]:
        x = s - (seat - shift + 0.5) * _SEAT                                # an empty seat: its back
        if abs(x) < 0.21 and z < 0.52:
            return True, blend(rgb(arena, at.FAN), rgb(arena, at.STEP), 0.62)
        return False, dark
    a, b = mix(seed, row * 4096 + seat, 12), mix(seed, row * 4096 + seat, 13)
    c, e = mix(seed, row * 4096 + seat, 14), mix(seed, row * 4096 + seat, 15)
    x = s - (seat - shift + 0.5) * _SEAT - 0.12 * (a - 0.5)
    tall = 0.74 + 0.16 * b
    head = math.sqrt((x / 0.092) ** 2 + ((z - tall) / 0.122) ** 2)
    if head < 1.0:
        skin = blend((218.0, 172.0, 140.0), (86.0, 58.0, 44.0), c * c)
        hair = blend((28.0, 22.0, 20.0), (150.0, 112.0, 70.0), e * e * e)
        if z - tall > 0.035 + 0.05 * (e - 0.5) - 2.0 * max(abs(x) - 0.055, 0.0):
            return True, hair
        return True, scaled(skin, 1.05 - 0.25 * head)
    width = 0.19 + 0.04 * b
    shoulder = tall - 0.155 - 0.05 * (abs(x) / width) ** 2
    if abs(x) < width and z < shoulder:
        if c < arena[at.FAN_SHARE]:
            shirt = blend(scaled(rgb(arena, at.FAN), 0.75 + 0.4 * e), (120.0, 120.0, 120.0), 0.35 * b)
        else:
            tone = 30.0 + 190.0 * e
            warm = a - 0.5
            shirt = (tone * (1.0 + 0.5 * warm), tone * (0.9 + 0.2 * b), tone * (1.0 - 0.6 * warm))
            if b > 0.72:                                                     # some wear strong colours
                hue = 6.2831853 * c
                shirt = (120 + 75 * math.cos(hue), 105 + 60 * math.cos(hue - 2.1), 105 + 65 * math.cos(hue + 2.1))
        return True, scaled(shirt, 1.0 - 0.35 * (abs(x) / width) ** 2)
    return False, dark


@inline
def stands_colour(s, z, ds, dz, dq, arena, wall):
    """Colour of a ray that crosses the wall at (s, z) above the boards in direction (ds, dz), dq > 0 outwards."""
    for row in range(_ROWS):
        q = 0.55 + _ROW_DEPTH * row
        base = 0.25 + _ROW_RISE * row
        x, h = s + ds * q / dq, z + dz * q / dq - base
        if h < 0.0:                                                         # passed below the seats: the step's face
            return scaled(rgb(arena, at.STEP), 0.7 + 0.3 * smooth(-0.4, 0.0, h))
        if h < 1.05:
            found, colour = spectator(x, h, row, arena, wall)
            if found:
                fade = arena[at.CROWD_LIGHT] * (1.0 - 0.028 * row) * (0.72 + 0.28 * smooth(0.0, 0.7, h))
                return scaled(colour, fade)
    q = 0.55 + _ROW_DEPTH * _ROWS
    x, h = s + ds * q / dq, z + dz * q / dq
    lamp = smooth(0.86, 0.95, math.sin(x * 0.9)) * smooth(0.8, 0.9, math.sin(h * 2.2))
    return blend(scaled(rgb(arena, at.WALL), max(0.35, 1.0 - 0.05 * (h - 7.0))), (250.0, 246.0, 230.0), 0.7 * lamp)


@inline
def wall_crossing(o, d):
    """Distance along the ray to the first wall behind the court, and which: 0 far side, 1 left end, 2 right end."""
    best, wall = 1e30, 0
    if d[1] > 1e-9:
        best = (_FAR_SIDE - o[1]) / d[1]
    if d[0] < -1e-9:
        t = (_LEFT_END - o[0]) / d[0]
        if t < best:
            best, wall = t, 1
    elif d[0] > 1e-9:
        t = (_RIGHT_END - o[0]) / d[0]
        if t < best:
            best, wall = t, 2
    return best, wall


@inline
def around(o, d, t, wall, arena, words, codes, fields, sample):
    """Colour of boards or stands where the ray meets the wall at distance t."""
    z = o[2] + t * d[2]
    if wall == 0:                                                           # s runs to the right as seen from the court
        s, ds, dq = o[0] + t * d[0], d[0], d[1]
    elif wall == 1:
        s, ds, dq = o[1] + t * d[1] + 40.0, d[1], -d[0]
    else:
        s, ds, dq = 80.0 - o[1] - t * d[1], -d[1], d[0]
    if z < arena[at.BOARD_HEIGHT]:
        return board_colour(s, z, arena, words, codes, fields, t * sample, wall)
    return stands_colour(s, z, ds, d[2], dq, arena, wall)


@inline
def background(o, d, sample, arena, words, codes, fields, shadows):
    """Colour of everything that is not a person along the ray o + t d; sample: angle of a sample in radians."""
    t, wall = wall_crossing(o, d)
    if o[2] + t * d[2] >= 0.0:
        return around(o, d, t, wall, arena, words, codes, fields, sample)
    t = -o[2] / d[2]
    x, y = o[0] + t * d[0], o[1] + t * d[1]
    slope = -d[2] / math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    colour = floor_colour(x, y, t * sample * (0.35 + 0.35 / (slope + 0.05)), arena, shadows)
    # The varnish mirrors boards and stands, more so at a grazing angle.
    p, up = (x, y, 0.0), (d[0], d[1], -d[2])
    t2, wall2 = wall_crossing(p, up)
    mirror = arena[at.GLOSS] * (0.25 + 0.75 * (1.0 - slope) ** 4)
    if t2 * up[2] < arena[at.BOARD_HEIGHT] * 1.2:
        return blend(colour, around(p, up, t2, wall2, arena, words, codes, fields, 6.0 * sample), mirror)
    return blend(colour, scaled(rgb(arena, at.STEP), 0.8), 0.6 * mirror)
