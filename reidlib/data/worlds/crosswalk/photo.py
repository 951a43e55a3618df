"""From a posed scene to what a camera's sensor sees: nearest surface per sample, colour, light, colour response."""

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.crosswalk.fabric import fabric
from reidlib.data.worlds.crosswalk.ground import background
from reidlib.data.worlds.crosswalk.kernels import FINGERPRINT
from reidlib.data.worlds.film import crease, lit, nearest, ray
from reidlib.data.worlds.kernels import entry, inline, scaled
from reidlib.data.worlds.surface import local, normal


@inline
def respond(colour, response):
    """A colour (rgb, 255 is full scale) as the camera renders it: gamma, white balance, saturation, veil."""
    gamma = response[cw.GAMMA]
    r = response[cw.GAIN] * 255.0 * (max(colour[0], 0.0) / 255.0) ** gamma
    g = response[cw.GAIN + 1] * 255.0 * (max(colour[1], 0.0) / 255.0) ** gamma
    b = response[cw.GAIN + 2] * 255.0 * (max(colour[2], 0.0) / 255.0) ** gamma
    grey = 0.299 * r + 0.587 * g + 0.114 * b
    s, veil = response[cw.SATURATION], response[cw.VEIL]
    keep, lift = 1.0 - veil, 255.0 * 0.55 * veil
    return (keep * max(grey + s * (r - grey), 0.0) + lift, keep * max(grey + s * (g - grey), 0.0) + lift,
            keep * max(grey + s * (b - grey), 0.0) + lift)


def _build(fingerprint):
    @entry
    def photograph(parts, target, looks, camera, view, size, light, place, response, shadows):
        """Samples of a window: (rows, columns, 3) float64 rgb, target's visible samples, target's samples alone.

        parts: (M, PART_SIZE), the target's first; target: how many of them are the target's (0: nobody is counted);
        size: rows and columns of the sample grid. Alone means without others and without the window's edges.
        """
        _ = fingerprint
        rows, columns = size
        index, depth, _mask, alone = nearest(parts, target, camera, view, size)
        image = np.empty((rows, columns, 3))
        origin = (camera[0, 0], camera[0, 1], camera[0, 2])
        visible = 0
        for r in range(rows):
            for c in range(columns):
                d = ray(camera, view[at.U0] + (c + 0.5) * view[at.DU], view[at.V0] - (r + 0.5) * view[at.DV])
                if index[r, c] < 0:
                    colour = background(origin, d, view[at.DV], light, place, shadows)
                else:
                    part, t = parts[index[r, c]], depth[r, c]
                    material, person = part[at.MATERIAL], int(part[at.PERSON])
                    if index[r, c] < target:
                        visible += 1
                    q = local(part, (origin[0] + t * d[0], origin[1] + t * d[1], origin[2] + t * d[2]))
                    cloth = material == at.CHEST or material == at.PELVIS or material == at.SHORTS_LEG
                    fold = crease(q, person) if cloth else 1.0
                    colour = fabric(part, looks[person], q, t * view[at.DV])
                    colour = lit(scaled(colour, fold), normal(part, q), d, light, 0.06 if cloth else 0.2)
                image[r, c, 0], image[r, c, 1], image[r, c, 2] = respond(colour, response)
        return image, visible, alone

    return photograph


photograph = _build(FINGERPRINT)
