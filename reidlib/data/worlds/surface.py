"""Rays against parts, and what the ray finds there: skin, hair, kit, number, shoes."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.glyphs import CAP_HEIGHT, CAP_WIDTH, MARGIN, TEXELS
from reidlib.data.worlds.kernels import blend, inline, rgb, scaled, smooth, stroke_distance

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
    length, ra, rb = part[at.LENGTH], part[at.R0], part[at.R1]
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
    if part[at.MATERIAL] == at.SHORTS_LEG:                                # cloth ends in an open hem
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
    s = (part[at.R0] - part[at.R1]) / part[at.LENGTH]
    low, high = part[at.R0] * s, part[at.LENGTH] + part[at.R1] * s
    x, y, z = q
    if z > high:
        z -= part[at.LENGTH]
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
    one, two = int(look[at.DIGIT_ONE]), int(look[at.DIGIT_TWO])
    stroke = look[at.STROKE]
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
    x, z = q[0] * part[at.SCALE], q[2] * part[at.SCALE + 2]               # m, from the waist
    top = part[at.LENGTH] * part[at.SCALE + 2]
    jersey, trim, skin = rgb(look, at.JERSEY), rgb(look, at.TRIM), rgb(look, at.SKIN)
    front = q[1] > 0.0
    colour = jersey
    if look[at.REFEREE] > 0.5:
        if look[at.PATTERN] == at.PINSTRIPES:
            return blend(jersey, trim, smooth(-0.25, 0.25, math.sin(2 * math.pi * x / 0.075)))
        return jersey
    pattern = int(look[at.PATTERN])
    side = abs(q[0])
    if pattern == at.SIDES:
        colour = blend(colour, trim, smooth(0.80, 0.84, side) * (1.0 - smooth(top - 0.16, top - 0.12, z)))
    elif pattern == at.CHEST_BAND:
        colour = blend(colour, trim, smooth(0.0, 0.012, z - 0.70 * top) * (1.0 - smooth(0.05, 0.062, z - 0.70 * top)))
    elif pattern == at.PINSTRIPES:
        stripe = abs(x / 0.055 - math.floor(x / 0.055) - 0.5)
        colour = blend(colour, trim, 0.55 * (1.0 - smooth(0.06, 0.06 + footprint / 0.055, stripe)))
    elif pattern == at.YOKE:
        colour = blend(colour, trim, smooth(-0.01, 0.01, z - top * 0.98))
    height = 0.205 if front else 0.260
    centre = 0.40 * top if front else 0.46 * top
    inner, outer = number_cover(look, fields, -x if front else x, z - centre, height, footprint)
    colour = blend(blend(colour, rgb(look, at.OUTLINE), outer), rgb(look, at.NUMBER), inner)
    # Openings: V neck in front, round neck behind, arm holes; each with a trim of 1.5 cm.
    neck = (z - top + 0.045) - 0.75 * abs(x) if front else (z - top - 0.035) - 0.25 * abs(x)
    hole = side * part[at.SCALE] - (0.150 + 0.3 * max(top - 0.10 - z, 0.0)) if z > top - 0.22 else -1.0
    edge = max(neck, hole if look[at.UNDERSHIRT] < 0.5 else -1.0)
    colour = blend(colour, trim, smooth(-0.024, -0.016, edge))
    return blend(colour, skin, smooth(-0.004, 0.004, edge))


@inline
def head(part, look, q):
    """Face, hairline, beard, headband. Local y forwards, z up, in units of about the head's half width."""
    skin, hair = rgb(look, at.SKIN), rgb(look, at.HAIR)
    x, y, z = q[0], q[1], q[2] - 0.5 * part[at.LENGTH]
    style = int(look[at.HAIR_STYLE])
    colour = skin
    eyes = smooth(0.75, 0.9, y) * smooth(0.16, 0.24, abs(x)) * (1.0 - smooth(0.40, 0.50, abs(x)))
    colour = scaled(colour, 1.0 - 0.45 * eyes * smooth(0.0, 0.06, z) * (1.0 - smooth(0.14, 0.22, z)))
    mouth = smooth(-0.72, -0.64, z) * (1.0 - smooth(-0.58, -0.5, z)) * (1.0 - smooth(0.25, 0.4, abs(x)))
    colour = scaled(colour, 1.0 - 0.3 * mouth * smooth(0.55, 0.7, y))
    if look[at.BEARD] > 0.5:
        jaw = (1.0 - smooth(-0.48, -0.36, z + 0.25 * max(0.6 - y, 0.0))) * smooth(-0.2, 0.05, y)
        colour = blend(colour, scaled(hair, 1.15), 0.85 * jaw)
    if style == at.BALD:                                                # a shaven head shows a shade of hair
        colour = blend(colour, hair, 0.18 * smooth(0.42, 0.62, z - 0.8 * min(y, 0.45)))
    else:
        line = 0.36 if style == at.SHORT else 0.42
        behind = smooth(0.0, 0.12, -y - 0.08) * smooth(-0.75, -0.55, z)
        colour = blend(colour, hair, max(smooth(line - 0.04, line + 0.08, z - 0.1 * abs(x)), behind))
    if look[at.HEADBAND] > 0.5:
        band = z + 0.12 * y
        colour = blend(colour, rgb(look, at.BAND), smooth(0.30, 0.34, band) * (1.0 - smooth(0.62, 0.66, band)))
    return colour


@inline
def surface(part, look, fields, q, footprint):
    """Unlit colour (rgb) of a part at the local surface point q; footprint: m per sample."""
    material = int(part[at.MATERIAL])
    share = q[2] / part[at.LENGTH]                                       # along the limb, 0..1
    skin, shorts, right = rgb(look, at.SKIN), rgb(look, at.SHORTS), part[at.SIDE] > 0.0
    referee = look[at.REFEREE] > 0.5
    if material == at.CHEST:
        return chest(part, look, fields, q, footprint)
    if material == at.HEAD:
        return head(part, look, q)
    if material == at.CALF:
        tights = look[at.TIGHTS_RIGHT] if right else look[at.TIGHTS_LEFT]
        return blend(skin, rgb(look, at.SLEEVE), tights)
    if material == at.HAIR_PIECE:
        return rgb(look, at.HAIR)
    if material == at.PELVIS:
        jersey = rgb(look, at.JERSEY)
        if referee and look[at.PATTERN] == at.PINSTRIPES:
            stripe = math.sin(2 * math.pi * q[0] * part[at.SCALE] / 0.075)
            jersey = blend(jersey, rgb(look, at.TRIM), smooth(-0.25, 0.25, stripe))
        if look[at.PATTERN] == at.SIDES and not referee:
            jersey = blend(jersey, rgb(look, at.TRIM), smooth(0.84, 0.88, abs(q[0])))
        cloth = blend(shorts, rgb(look, at.TRIM), 0.0 if referee else smooth(0.50, 0.54, share))
        return blend(cloth, jersey, smooth(0.68, 0.72, share))
    if material == at.UPPER_ARM:
        if referee:
            return blend(rgb(look, at.JERSEY), skin, smooth(0.72, 0.76, share))
        if look[at.UNDERSHIRT] > 0.5:
            return blend(rgb(look, at.SLEEVE), skin, smooth(0.66, 0.70, share))
        worn = look[at.SLEEVE_RIGHT] if right else look[at.SLEEVE_LEFT]
        return blend(skin, rgb(look, at.SLEEVE), worn * smooth(0.42, 0.46, share))
    if material == at.FOREARM:
        worn = look[at.SLEEVE_RIGHT] if right else look[at.SLEEVE_LEFT]
        band = look[at.WRIST_RIGHT] if right else look[at.WRIST_LEFT]
        colour = blend(skin, rgb(look, at.SLEEVE), worn * (1.0 - smooth(0.90, 0.94, share)))
        return blend(colour, rgb(look, at.BAND), band * smooth(0.62, 0.66, share) * (1.0 - smooth(0.95, 0.99, share)))
    if material == at.SHORTS_LEG:
        outside = smooth(0.62, 0.70, q[0] * part[at.SIDE] / 0.1)         # a stripe down the outer seam, a hem
        colour = blend(shorts, rgb(look, at.TRIM), 0.0 if look[at.PATTERN] == at.PLAIN else outside)
        return blend(colour, rgb(look, at.TRIM), smooth(0.95, 0.97, share))
    if material == at.THIGH or material == at.SHIN:
        if referee:
            return shorts
        tights = look[at.TIGHTS_RIGHT] if right else look[at.TIGHTS_LEFT]
        colour = blend(skin, rgb(look, at.SLEEVE), tights)
        if material == at.SHIN:
            start = 1.0 - look[at.SOCK_HEIGHT] - 0.12
            colour = blend(colour, rgb(look, at.SOCK), smooth(start, start + 0.02, share))
            colour = blend(colour, rgb(look, at.SHOE), smooth(0.87, 0.90, share))
        return colour
    if material == at.FOOT:
        stripe = 0.5 * smooth(0.30, 0.34, share) * (1.0 - smooth(0.44, 0.48, share))
        shoe = blend(rgb(look, at.SHOE), rgb(look, at.TRIM), stripe)
        return blend(shoe, rgb(look, at.SOLE), smooth(0.016, 0.022, q[1]))
    if material == at.PROP:
        return rgb(look, at.JERSEY) if part[at.SIDE] < 0.0 else rgb(look, at.BALL if right else at.TRIM)
    if material == at.SPHERE:
        seam = min(abs(q[0]), abs(q[2]))
        return scaled(rgb(look, at.BALL), 0.45 + 0.55 * smooth(0.004, 0.010, seam))
    return skin
