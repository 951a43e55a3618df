"""Rays against parts, and what the ray finds there: skin, hair, kit, number, shoes."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.glyphs import CAP_HEIGHT, CAP_WIDTH, MARGIN, TEXELS
from reidlib.data.worlds.kernels import blend, inline, rgb, scaled, smooth, stroke_distance

L = at
_FAR = 1e30


@inline
def hit(part, camera, d):
    """Depth at which the ray camera + t d enters a part, or 1e30.

    A round cone is convex: two spheres and the cone that touches both. In local coordinates the cone is
    (x^2 + y^2) c^2 = (r0 - s z)^2 between z = r0 s and z = length + r1 s, with s = (r0 - r1) / length, c^2 = 1 - s^2.
    """
    e0, e1, e2 = camera[0, 0] - part[9], camera[0, 1] - part[10], camera[0, 2] - part[11]
    ox = part[0] * e0 + part[1] * e1 + part[2] * e2
    oy = part[3] * e0 + part[4] * e1 + part[5] * e2
    oz = part[6] * e0 + part[7] * e1 + part[8] * e2
    dx = part[0] * d[0] + part[1] * d[1] + part[2] * d[2]
    dy = part[3] * d[0] + part[4] * d[1] + part[5] * d[2]
    dz = part[6] * d[0] + part[7] * d[1] + part[8] * d[2]
    length, ra, rb = part[L.LENGTH], part[L.R0], part[L.R1]
    s = (ra - rb) / length
    low, high = ra * s, length + rb * s
    if s * s < 1.0:
        c2 = 1.0 - s * s
        k = ra - oz * s
        a = (dx * dx + dy * dy) * c2 - s * s * dz * dz
        b = (ox * dx + oy * dy) * c2 + k * s * dz
        disc = b * b - a * ((ox * ox + oy * oy) * c2 - k * k)
        if disc > 0.0 and a != 0.0:
            t = (-b - math.sqrt(disc)) / a
            z = oz + t * dz
            if t > 0.0 and low <= z <= high:
                return t
    dd = dx * dx + dy * dy + dz * dz
    best = _FAR
    b = ox * dx + oy * dy + oz * dz
    disc = b * b - dd * (ox * ox + oy * oy + oz * oz - ra * ra)
    if disc > 0.0:
        t = (-b - math.sqrt(disc)) / dd
        if t > 0.0 and oz + t * dz <= low:
            best = t
    if part[L.MATERIAL] == L.SHORTS_LEG:                                # cloth ends in an open hem
        return best
    oz -= length
    b = ox * dx + oy * dy + oz * dz
    disc = b * b - dd * (ox * ox + oy * oy + oz * oz - rb * rb)
    if disc > 0.0:
        t = (-b - math.sqrt(disc)) / dd
        if 0.0 < t < best and oz + t * dz + length >= high:
            best = t
    return best


@inline
def local(part, p):
    """Local coordinates of a world point."""
    e0, e1, e2 = p[0] - part[9], p[1] - part[10], p[2] - part[11]
    return (part[0] * e0 + part[1] * e1 + part[2] * e2, part[3] * e0 + part[4] * e1 + part[5] * e2,
            part[6] * e0 + part[7] * e1 + part[8] * e2)


@inline
def normal(part, q):
    """Unit normal in the world at the local surface point q."""
    s = (part[L.R0] - part[L.R1]) / part[L.LENGTH]
    low, high = part[L.R0] * s, part[L.LENGTH] + part[L.R1] * s
    x, y, z = q
    if z > high:
        z -= part[L.LENGTH]
    elif z >= low:
        radius = math.sqrt(x * x + y * y) + 1e-12
        c = math.sqrt(max(1.0 - s * s, 0.0))
        x, y, z = x / radius * c, y / radius * c, s
    nx = part[0] * x + part[3] * y + part[6] * z
    ny = part[1] * x + part[4] * y + part[7] * z
    nz = part[2] * x + part[5] * y + part[8] * z
    n = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-18)
    return (nx * n, ny * n, nz * n)


@inline
def number_cover(look, fields, x, z, height, footprint):
    """Cover of the number and of number plus outline at x, z (m, reader's right and up, from the number's centre)."""
    unit = height / CAP_HEIGHT
    gx, gy = x / (0.76 * unit), z / unit + 0.5 * CAP_HEIGHT
    one, two = int(look[L.DIGIT_ONE]), int(look[L.DIGIT_TWO])
    stroke = look[L.STROKE]
    if two < 0:
        d = stroke_distance(fields, one, gx + 0.5 * CAP_WIDTH, gy, TEXELS, MARGIN)
    else:
        pitch = CAP_WIDTH + 2.0 * stroke + 0.75
        if gx < 0.0:
            d = stroke_distance(fields, one, gx + 0.5 * CAP_WIDTH + 0.5 * pitch, gy, TEXELS, MARGIN)
        else:
            d = stroke_distance(fields, two, gx + 0.5 * CAP_WIDTH - 0.5 * pitch, gy, TEXELS, MARGIN)
    soft = 0.6 * footprint / unit
    return (1.0 - smooth(stroke - soft, stroke + soft, d), 1.0 - smooth(stroke + 0.30 - soft, stroke + 0.30 + soft, d))


@inline
def chest(part, look, fields, q, footprint):
    """Jersey, skin at neck and shoulders, trims, pattern, number; local y points forwards, x to the right."""
    x, z = q[0] * part[L.SCALE], q[2] * part[L.SCALE + 2]               # m, from the waist
    top = part[L.LENGTH] * part[L.SCALE + 2]
    jersey, trim, skin = rgb(look, L.JERSEY), rgb(look, L.TRIM), rgb(look, L.SKIN)
    front = q[1] > 0.0
    colour = jersey
    if look[L.REFEREE] > 0.5:
        if look[L.PATTERN] == L.PINSTRIPES:
            return blend(jersey, trim, smooth(-0.25, 0.25, math.sin(2 * math.pi * x / 0.075)))
        return jersey
    pattern = int(look[L.PATTERN])
    side = abs(q[0])
    if pattern == L.SIDES:
        colour = blend(colour, trim, smooth(0.80, 0.84, side) * (1.0 - smooth(top - 0.16, top - 0.12, z)))
    elif pattern == L.CHEST_BAND:
        colour = blend(colour, trim, smooth(0.0, 0.012, z - 0.70 * top) * (1.0 - smooth(0.05, 0.062, z - 0.70 * top)))
    elif pattern == L.PINSTRIPES:
        stripe = abs(x / 0.055 - math.floor(x / 0.055) - 0.5)
        colour = blend(colour, trim, 0.55 * (1.0 - smooth(0.06, 0.06 + footprint / 0.055, stripe)))
    elif pattern == L.HALVES:
        colour = blend(colour, trim, smooth(-0.01, 0.01, z - top * 0.98))
    height = 0.205 if front else 0.260
    centre = 0.36 * top if front else 0.40 * top
    inner, outer = number_cover(look, fields, -x if front else x, z - centre, height, footprint)
    colour = blend(blend(colour, rgb(look, L.OUTLINE), outer), rgb(look, L.NUMBER), inner)
    # Openings: V neck in front, round neck behind, arm holes; each with a trim of 1.5 cm.
    neck = (z - top + 0.045) - 0.75 * abs(x) if front else (z - top - 0.035) - 0.25 * abs(x)
    hole = side * part[L.SCALE] - (0.150 + 0.3 * max(top - 0.10 - z, 0.0)) if z > top - 0.22 else -1.0
    edge = max(neck, hole if look[L.UNDERSHIRT] < 0.5 else -1.0)
    colour = blend(colour, trim, smooth(-0.024, -0.016, edge))
    return blend(colour, skin, smooth(-0.004, 0.004, edge))


@inline
def head(part, look, q):
    """Face, hairline, beard, headband. Local y forwards, z up, in units of about the head's half width."""
    skin, hair = rgb(look, L.SKIN), rgb(look, L.HAIR)
    x, y, z = q[0], q[1], q[2] - 0.5 * part[L.LENGTH]
    style = int(look[L.HAIR_STYLE])
    colour = skin
    eyes = smooth(0.75, 0.9, y) * smooth(0.16, 0.24, abs(x)) * (1.0 - smooth(0.40, 0.50, abs(x)))
    colour = scaled(colour, 1.0 - 0.45 * eyes * smooth(0.0, 0.06, z) * (1.0 - smooth(0.14, 0.22, z)))
    mouth = smooth(-0.72, -0.64, z) * (1.0 - smooth(-0.58, -0.5, z)) * (1.0 - smooth(0.25, 0.4, abs(x)))
    colour = scaled(colour, 1.0 - 0.3 * mouth * smooth(0.55, 0.7, y))
    if look[L.BEARD] > 0.5:
        jaw = (1.0 - smooth(-0.48, -0.36, z + 0.25 * max(0.6 - y, 0.0))) * smooth(-0.2, 0.05, y)
        colour = blend(colour, scaled(hair, 1.15), 0.85 * jaw)
    line = z + 0.8 * max(-y, -0.45) * 1.0                               # higher behind the ears counts as hair sooner
    threshold = 0.42 if style != L.SHORT else 0.36
    if style == L.BALD:
        colour = blend(colour, blend(skin, hair, 0.18), smooth(threshold - 0.05, threshold + 0.15, line - 0.05))
    else:
        behind = smooth(0.0, 0.12, -y - 0.08) * smooth(-0.75, -0.55, z)
        colour = blend(colour, hair, max(smooth(threshold - 0.04, threshold + 0.08, z - 0.1 * abs(x)), behind))
    if look[L.HEADBAND] > 0.5:
        band = z + 0.12 * y
        colour = blend(colour, rgb(look, L.BAND), smooth(0.30, 0.34, band) * (1.0 - smooth(0.62, 0.66, band)))
    return colour


@inline
def surface(part, look, fields, q, footprint):
    """Unlit colour (rgb) of a part at the local surface point q; footprint: m per sample."""
    material = int(part[L.MATERIAL])
    share = q[2] / part[L.LENGTH]                                       # along the limb, 0..1
    skin, shorts, right = rgb(look, L.SKIN), rgb(look, L.SHORTS), part[L.SIDE] > 0.0
    referee = look[L.REFEREE] > 0.5
    if material == L.CHEST:
        return chest(part, look, fields, q, footprint)
    if material == L.HEAD:
        return head(part, look, q)
    if material == L.CALF:
        tights = look[L.TIGHTS_RIGHT] if right else look[L.TIGHTS_LEFT]
        return blend(skin, rgb(look, L.SLEEVE), tights)
    if material == L.HAIR_PIECE:
        return rgb(look, L.HAIR)
    if material == L.PELVIS:
        jersey = rgb(look, L.JERSEY)
        if referee and look[L.PATTERN] == L.PINSTRIPES:
            stripe = math.sin(2 * math.pi * q[0] * part[L.SCALE] / 0.075)
            jersey = blend(jersey, rgb(look, L.TRIM), smooth(-0.25, 0.25, stripe))
        if look[L.PATTERN] == L.SIDES and not referee:
            jersey = blend(jersey, rgb(look, L.TRIM), smooth(0.84, 0.88, abs(q[0])))
        cloth = blend(shorts, rgb(look, L.TRIM), 0.0 if referee else smooth(0.40, 0.43, share))
        return blend(cloth, jersey, smooth(0.50, 0.53, share))
    if material == L.UPPER_ARM:
        if referee:
            return blend(rgb(look, L.JERSEY), skin, smooth(0.72, 0.76, share))
        if look[L.UNDERSHIRT] > 0.5:
            return blend(rgb(look, L.SLEEVE), skin, smooth(0.66, 0.70, share))
        worn = look[L.SLEEVE_RIGHT] if right else look[L.SLEEVE_LEFT]
        return blend(skin, rgb(look, L.SLEEVE), worn * smooth(0.42, 0.46, share))
    if material == L.FOREARM:
        worn = look[L.SLEEVE_RIGHT] if right else look[L.SLEEVE_LEFT]
        band = look[L.WRIST_RIGHT] if right else look[L.WRIST_LEFT]
        colour = blend(skin, rgb(look, L.SLEEVE), worn * (1.0 - smooth(0.90, 0.94, share)))
        return blend(colour, rgb(look, L.BAND), band * smooth(0.62, 0.66, share) * (1.0 - smooth(0.95, 0.99, share)))
    if material == L.SHORTS_LEG:
        outside = smooth(0.62, 0.70, q[0] * part[L.SIDE] / 0.1)         # a stripe down the outer seam, a hem
        colour = blend(shorts, rgb(look, L.TRIM), 0.0 if look[L.PATTERN] == L.PLAIN else outside)
        return blend(colour, rgb(look, L.TRIM), smooth(0.95, 0.97, share))
    if material == L.THIGH or material == L.SHIN:
        if referee:
            return shorts
        tights = look[L.TIGHTS_RIGHT] if right else look[L.TIGHTS_LEFT]
        colour = blend(skin, rgb(look, L.SLEEVE), tights)
        if material == L.SHIN:
            start = 1.0 - look[L.SOCK_HEIGHT] - 0.12
            colour = blend(colour, rgb(look, L.SOCK), smooth(start, start + 0.02, share))
            colour = blend(colour, rgb(look, L.SHOE), smooth(0.87, 0.90, share))
        return colour
    if material == L.FOOT:
        stripe = 0.5 * smooth(0.30, 0.34, share) * (1.0 - smooth(0.44, 0.48, share))
        shoe = blend(rgb(look, L.SHOE), rgb(look, L.TRIM), stripe)
        return blend(shoe, rgb(look, L.SOLE), smooth(0.016, 0.022, q[1]))
    if material == L.PROP:
        return rgb(look, L.JERSEY) if part[L.SIDE] < 0.0 else rgb(look, L.BALL if right else L.TRIM)
    if material == L.SPHERE:
        seam = min(abs(q[0]), abs(q[2]))
        return scaled(rgb(look, L.BALL), 0.45 + 0.55 * smooth(0.004, 0.010, seam))
    return skin
