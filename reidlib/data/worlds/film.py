"""From a posed scene to an image: nearest surface per sample, colour, light, and then what a camera adds."""

import math

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.kernels import FINGERPRINT, entry, inline, mix, scaled
from reidlib.data.worlds.stands import background
from reidlib.data.worlds.surface import hit, local, normal, surface

SAMPLES = 2                                 # per pixel, along each axis


@inline
def trace(parts, camera, view, owner, depth, rows, columns, top, left):
    """Keep the nearest part of each sample in a window of the sample grid, rows x columns from (top, left).

    owner and depth have the grid's origin at index (-top, -left) of a larger buffer: index [row - top, column - left].
    """
    u0, v0, du, dv = view[at.U0], view[at.V0], view[at.DU], view[at.DV]
    for i in range(len(parts)):
        part = parts[i]
        if part[at.MATERIAL] == at.NOTHING:
            continue
        c0 = max(int(math.floor((part[at.BOX] - u0) / du)), columns[0])
        c1 = min(int(math.floor((part[at.BOX + 1] - u0) / du)) + 1, columns[1])
        r0 = max(int(math.floor((v0 - part[at.BOX + 3]) / dv)), rows[0])
        r1 = min(int(math.floor((v0 - part[at.BOX + 2]) / dv)) + 1, rows[1])
        for r in range(r0, r1):
            for c in range(c0, c1):
                t = hit(part, camera, ray(camera, u0 + (c + 0.5) * du, v0 - (r + 0.5) * dv))
                if t < depth[r - top, c - left]:
                    depth[r - top, c - left] = t
                    owner[r - top, c - left] = i


@inline
def nearest(parts, target, camera, view, size):
    """Part that every sample shows (-1: none), its depth, where the target or what hides it is, target's samples alone.

    Arguments as those of render. Index and depth: (rows, columns); mask: (rows, columns) bool.
    """
    rows, columns = size
    top, bottom, left, right = 0, rows, 0, columns
    for i in range(target):                                            # grow the buffers to hold the whole target
        if parts[i, at.MATERIAL] != at.NOTHING and parts[i, at.BOX] < parts[i, at.BOX + 1]:
            left = min(left, int(math.floor((parts[i, at.BOX] - view[at.U0]) / view[at.DU])))
            right = max(right, int(math.floor((parts[i, at.BOX + 1] - view[at.U0]) / view[at.DU])) + 1)
            top = min(top, int(math.floor((view[at.V0] - parts[i, at.BOX + 3]) / view[at.DV])))
            bottom = max(bottom, int(math.floor((view[at.V0] - parts[i, at.BOX + 2]) / view[at.DV])) + 1)
    owner = np.full((bottom - top, right - left), -1, np.int32)
    depth = np.full((bottom - top, right - left), 1e30)
    trace(parts[:target], camera, view, owner, depth, (top, bottom), (left, right), top, left)
    alone = 0
    for r in range(bottom - top):
        for c in range(right - left):
            if owner[r, c] >= 0 and parts[owner[r, c], at.MATERIAL] != at.SPHERE:
                alone += 1
    index = np.full((rows, columns), -1, np.int32)
    window, mask = np.empty((rows, columns)), np.empty((rows, columns), np.bool_)
    for r in range(rows):
        for c in range(columns):
            window[r, c] = depth[r - top, c - left]
    trace(parts[target:], camera, view, index, window, (0, rows), (0, columns), 0, 0)
    for r in range(rows):
        for c in range(columns):
            mask[r, c] = owner[r - top, c - left] >= 0                 # what hides the target is nearer than it
            index[r, c] = index[r, c] + target if index[r, c] >= 0 else owner[r - top, c - left]
    return index, window, mask, alone


@inline
def ray(camera, u, v):
    """Direction of the image point (u, v); its component along the camera's forward axis is 1."""
    return (camera[3, 0] + u * camera[1, 0] + v * camera[2, 0], camera[3, 1] + u * camera[1, 1] + v * camera[2, 1],
            camera[3, 2] + u * camera[1, 2] + v * camera[2, 2])


@inline
def lit(colour, n, d, light, gloss):
    """Colour under hall light: soft from above, a key light, a little darker at grazing angles, a highlight."""
    facing = -(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]) / math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    key = n[0] * light[0] + n[1] * light[1] + n[2] * light[2]
    shade = light[at.AMBIENT] * (0.72 + 0.28 * n[2]) + light[at.DIFFUSE] * max(key, 0.0)
    shade *= 0.74 + 0.26 * max(facing, 0.0)
    shine = gloss * max(key, 0.0) ** 8 * 70.0
    return (colour[0] * shade + shine, colour[1] * shade + shine * 0.97, colour[2] * shade + shine * 0.92)


@inline
def crease(q, person):
    """Folds of cloth: brightness between 0.9 and 1.1 from the local position."""
    a = math.sin(9.0 * q[0] + 5.0 * q[2] + person) * math.sin(7.0 * q[1] - 11.0 * q[2] + 2.0 * person)
    return 1.0 + 0.07 * a


def _build(fingerprint):
    @entry
    def render(parts, target, looks, camera, view, size, light, arena, words, codes, fields, shadows):
        """Image of a window: samples, mask, target's visible samples, target's samples alone.

        parts: (M, PART_SIZE), the target's first; target: how many of them are the target's (0: nobody is counted);
        size: rows and columns of the sample grid. Samples: (rows, columns, 3) float64 rgb; mask: (rows, columns) bool,
        where the target or what hides it is seen. Alone means without others and without the window's edges.
        """
        _ = fingerprint
        rows, columns = size
        index, depth, mask, alone = nearest(parts, target, camera, view, size)
        image = np.empty((rows, columns, 3))
        origin = (camera[0, 0], camera[0, 1], camera[0, 2])
        visible = 0
        for r in range(rows):
            for c in range(columns):
                d = ray(camera, view[at.U0] + (c + 0.5) * view[at.DU], view[at.V0] - (r + 0.5) * view[at.DV])
                if index[r, c] < 0:
                    colour = background(origin, d, view[at.DV], arena, words, codes, fields, shadows)
                else:
                    part, t = parts[index[r, c]], depth[r, c]
                    material, person = part[at.MATERIAL], int(part[at.PERSON])
                    if index[r, c] < target and material != at.SPHERE:
                        visible += 1
                    q = local(part, (origin[0] + t * d[0], origin[1] + t * d[1], origin[2] + t * d[2]))
                    n = normal(part, q)
                    colour = surface(part, looks[person], fields, q, t * view[at.DV])
                    cloth = material == at.CHEST or material == at.PELVIS or material == at.SHORTS_LEG
                    fold = crease(q, person) if cloth else 1.0
                    colour = lit(scaled(colour, fold), n, d, light, 0.1 if cloth else 0.45)
                image[r, c, 0], image[r, c, 1], image[r, c, 2] = colour
        return image, mask, visible, alone

    @entry
    def develop(image, size, streak, softness, gain, noise, seed):
        """Samples to an 8-bit image: blur along rows, mean per pixel, lens softness, exposure, sensor noise.

        image: (rows, columns, 3) samples; size: height and width in pixels; streak: length of the horizontal blur in
        samples; softness: weight of each neighbour in a three-tap blur; gain: rgb factors (3,); noise: standard
        deviation in grey levels; seed: of the noise. Returns (height, width, 3) uint8.
        """
        _ = fingerprint
        height, width = size
        rows, columns = image.shape[:2]
        half = max(0.5 * (streak - 1.0), 0.0)
        whole = int(half)
        rest = half - whole
        pixels = np.zeros((height, width, 3))
        line = np.empty(columns + 1)
        for r in range(rows):
            for k in range(3):
                line[0] = 0.0
                for c in range(columns):
                    line[c + 1] = line[c] + image[r, c, k]
                for c in range(columns):
                    a, b = max(c - whole, 0), min(c + whole + 1, columns)
                    total, weight = line[b] - line[a], float(b - a)
                    if rest > 0.0:
                        if a > 0:
                            total, weight = total + rest * image[r, a - 1, k], weight + rest
                        if b < columns:
                            total, weight = total + rest * image[r, b, k], weight + rest
                    pixels[r // SAMPLES, c // SAMPLES, k] += total / weight / (SAMPLES * SAMPLES)
        middle = 1.0 - 2.0 * softness
        out = np.empty((height, width, 3), np.uint8)
        for r in range(height):
            up, down = max(r - 1, 0), min(r + 1, height - 1)
            for c in range(width):
                left, right = max(c - 1, 0), min(c + 1, width - 1)
                for k in range(3):
                    value = 0.0
                    for i in range(3):
                        y = up if i == 0 else r if i == 1 else down
                        row = softness * (pixels[y, left, k] + pixels[y, right, k]) + middle * pixels[y, c, k]
                        value += row * (middle if i == 1 else softness)
                    value *= gain[k]
                    if value > 215.0:                                  # highlights roll off instead of clipping hard
                        value = 215.0 + 40.0 * (1.0 - math.exp((215.0 - value) / 40.0))
                    if noise > 0.0:                                    # sum of four uniforms, close to a normal
                        at_pixel = (r * width + c) * 3 + k
                        u = mix(seed, at_pixel, 1) + mix(seed, at_pixel, 2)
                        u += mix(seed, at_pixel, 3) + mix(seed, at_pixel, 4)
                        value += noise * 1.7320508075688772 * (u - 2.0)
                    out[r, c, k] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
        return out

    return render, develop


render, develop = _build(FINGERPRINT)
