"""What a ray finds on a pedestrian: prints, openings, sleeves, skirts, trousers, straps, shoes."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.kernels import blend, inline, rgb, scaled, smooth
from reidlib.data.worlds.surface import head


@inline
def wave(x, period, footprint):
    """Even stripes, 0..1, which fade to their mean where samples are too coarse for them."""
    soft = min(footprint / period, 1.0)
    s = 2.0 * abs(x / period - math.floor(x / period) - 0.5)             # 0..1..0
    return 0.5 + (1.0 - soft) * (smooth(0.5 - soft - 0.05, 0.5 + soft + 0.05, s) - 0.5)


@inline
def printed(look, x, z, front, footprint):
    """Colour of the top at x, z (m to the person's right and up from the waist)."""
    colour, second = rgb(look, at.JERSEY), rgb(look, at.TRIM)
    kind, pitch = int(look[cw.PRINT]), look[cw.PITCH]
    if kind == cw.BANDS:
        return blend(colour, second, wave(z, pitch, footprint))
    if kind == cw.PINSTRIPES:
        return blend(colour, second, 0.6 * wave(x, 0.6 * pitch, footprint))
    if kind == cw.CHECKS:
        return blend(colour, second, 0.5 * wave(z, pitch, footprint) + 0.5 * wave(x, pitch, footprint))
    if kind == cw.LOGO and front:
        size = 0.4 * pitch + 0.045
        return blend(colour, second, 1.0 - smooth(size - footprint, size + footprint,
                                                  max(0.8 * abs(x), abs(z - 0.20))))
    if kind == cw.BLOCK:
        return blend(colour, second, smooth(0.16, 0.17, z))
    return colour


@inline
def torso(part, look, q, footprint):
    """Top with its print, an open front, the neck, straps of bags; local y points forwards, x to the right."""
    x, z = q[0] * part[at.SCALE], q[2] * part[at.SCALE + 2]               # m, from the waist
    top = part[at.LENGTH] * part[at.SCALE + 2]
    front = q[1] > 0.0
    colour = printed(look, x, z, front, footprint)
    if look[cw.OPEN] > 0.5 and front:
        width = 0.030 + 0.06 * z
        colour = blend(colour, rgb(look, cw.INNER), 1.0 - smooth(width - 0.008, width + 0.008, abs(x)))
    bag = int(look[cw.BAG])
    if bag == cw.BACKPACK and front:
        colour = blend(colour, rgb(look, cw.BAG_COLOUR), 1.0 - smooth(0.017, 0.024, abs(abs(x) - 0.105)))
    elif bag == cw.SHOULDER_BAG:                                        # from the hip over the other shoulder
        line = look[cw.BAG_SIDE] * x + 0.55 * (z - 0.5 * top)
        colour = blend(colour, rgb(look, cw.BAG_COLOUR), 1.0 - smooth(0.016, 0.023, abs(line)))
    neck = (z - top - 0.012) - 0.8 * abs(x) if front else (z - top - 0.05) - 0.6 * abs(x)
    return blend(colour, rgb(look, at.SKIN), smooth(-0.004, 0.004, neck))


@inline
def sleeve(look, share, x, z, footprint):
    """Colour of an arm share segments below the shoulder, 0..2."""
    cloth = rgb(look, at.TRIM) if look[cw.PRINT] == cw.RAGLAN else printed(look, x, z, False, footprint)
    return blend(cloth, rgb(look, at.SKIN), smooth(look[cw.SLEEVES] - 0.02, look[cw.SLEEVES] + 0.02, share))


@inline
def leg(part, look, q, share):
    """Colour of a leg share segments below the hip, 0..2: under a gown, in trousers, bare, sock."""
    if look[cw.GOWN] != cw.NO_GOWN and share < look[cw.HEM] - 0.03:     # a knee that presses against the cloth
        return rgb(look, at.JERSEY if look[cw.GOWN] == cw.COAT else at.SHORTS)
    cover = look[cw.LEG_CLOTH]
    bare = rgb(look, at.SKIN)
    if share > 1.0:
        start = 1.88 - look[at.SOCK_HEIGHT]
        bare = blend(bare, rgb(look, at.SOCK), smooth(start, start + 0.02, share))
        bare = blend(bare, rgb(look, at.SHOE), smooth(1.90, 1.93, share))
    cloth = rgb(look, at.SOCK if look[cw.GOWN] == cw.SKIRT else at.SHORTS)     # tights, or trousers
    if look[cw.STRIPE] > 0.5:
        cloth = blend(cloth, rgb(look, at.TRIM), smooth(0.72, 0.80, q[0] * part[at.SIDE] / part[at.R0]))
    return blend(bare, cloth, 1.0 - smooth(cover - 0.02, cover + 0.02, share))


@inline
def fabric(part, look, q, footprint):
    """Unlit colour (rgb) of a part at the local surface point q; footprint: m per sample."""
    material = int(part[at.MATERIAL])
    share = q[2] / part[at.LENGTH]                                       # along the part, 0..1
    if material == at.CHEST:
        return torso(part, look, q, footprint)
    if material == at.HEAD:
        colour = head(part, look, q)
        z = q[2] - 0.5 * part[at.LENGTH]
        return blend(colour, rgb(look, cw.HAT_COLOUR), smooth(0.30, 0.36, z) if look[cw.HAT] != cw.NO_HAT else 0.0)
    if material == at.PELVIS:
        x, z = q[0] * part[at.SCALE], (q[2] - part[at.LENGTH]) * part[at.SCALE + 2]
        end = look[cw.TOP_END] if look[cw.GOWN] != cw.COAT else -1.0
        colour = printed(look, x, z, q[1] > 0.0, footprint)
        return blend(rgb(look, at.SHORTS), colour, smooth(1.0 - end - 0.03, 1.0 - end + 0.03, share))
    if material == at.UPPER_ARM:
        return sleeve(look, share, q[0], -0.28 * share, footprint)
    if material == at.FOREARM:
        return sleeve(look, 1.0 + share, q[0], -0.28 - 0.25 * share, footprint)
    if material == at.SHORTS_LEG:
        if part[at.SIDE] != 0.0:                                         # the leg of shorts
            return rgb(look, at.SHORTS)
        if look[cw.GOWN] == cw.SKIRT:
            pleat = 1.0 + 0.06 * math.sin(18.0 * math.atan2(q[1], q[0]))
            return scaled(rgb(look, at.SHORTS), pleat)
        width = 0.05 + 0.05 * share
        gap = (1.0 - smooth(width - 0.01, width + 0.01, abs(q[0] * part[at.SCALE]))) if q[1] > 0.0 else 0.0
        return blend(rgb(look, at.JERSEY), rgb(look, at.SHORTS), gap * look[cw.OPEN])
    if material == at.THIGH:
        return leg(part, look, q, share)
    if material == at.SHIN:
        return leg(part, look, q, 1.0 + share)
    if material == at.FOOT:
        return blend(rgb(look, at.SHOE), rgb(look, at.SOLE), smooth(0.016, 0.022, q[1]))
    if material == at.HAIR_PIECE:
        return rgb(look, at.HAIR)
    if material == cw.BAGS:
        return scaled(rgb(look, cw.BAG_COLOUR), 1.0 - 0.18 * smooth(0.05, 0.09, abs(q[0])))
    if material == cw.HATS:
        return rgb(look, cw.HAT_COLOUR)
    if material == cw.HOODS:
        return rgb(look, at.JERSEY)
    if material == at.PROP:                                             # a thing of the place: SIDE says which colour
        return rgb(look, int(part[at.SIDE]))
    return rgb(look, at.SKIN)                                           # neck, hands, calves
