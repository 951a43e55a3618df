"""Vectors as triples, and the one solid that everything is built of: a round cone, stretched along its axes."""

import math

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.kernels import inline


@inline
def along(p, d, s):
    return (p[0] + d[0] * s, p[1] + d[1] * s, p[2] + d[2] * s)


@inline
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline
def unit(a):
    n = 1.0 / math.sqrt(dot(a, a) + 1e-18)
    return (a[0] * n, a[1] * n, a[2] * n)


@inline
def cross(a, b):
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@inline
def difference(a, b):
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


@inline
def put(part, p0, p1, x_hint, scale, r0, r1, material, person, side):
    """Fill one part: a round cone from p0 to p1 (world, m), local x near x_hint, scale in m per local unit."""
    axis = difference(p1, p0)
    length = math.sqrt(dot(axis, axis))
    z = unit(axis)
    x = unit(along(x_hint, z, -dot(x_hint, z)))
    y = cross(z, x)
    for i in range(3):
        part[at.INVERSE + i] = x[i] / scale[0]
        part[at.INVERSE + 3 + i] = y[i] / scale[1]
        part[at.INVERSE + 6 + i] = z[i] / scale[2]
        part[at.ORIGIN + i] = p0[i]
        part[at.END0 + i] = p0[i]
        part[at.END1 + i] = p1[i]
        part[at.SCALE + i] = scale[i]
    widest = max(scale[0], max(scale[1], scale[2]))
    part[at.LENGTH], part[at.R0], part[at.R1] = length / scale[2], r0, r1
    part[at.REACH0], part[at.REACH1] = r0 * widest, r1 * widest
    part[at.MATERIAL], part[at.PERSON], part[at.SIDE] = material, person, side


@inline
def bound(part, camera):
    """Bounds of a part on the image plane, from its two bounding spheres."""
    u0, u1, v0, v1 = 1e9, -1e9, 1e9, -1e9
    for end in range(2):
        column, radius = (at.END0, part[at.REACH0]) if end == 0 else (at.END1, part[at.REACH1])
        d = (part[column] - camera[0, 0], part[column + 1] - camera[0, 1], part[column + 2] - camera[0, 2])
        depth = d[0] * camera[3, 0] + d[1] * camera[3, 1] + d[2] * camera[3, 2]
        if depth < 1.0:                                       # behind or at the camera: outside every picture
            continue
        u = (d[0] * camera[1, 0] + d[1] * camera[1, 1] + d[2] * camera[1, 2]) / depth
        v = (d[0] * camera[2, 0] + d[1] * camera[2, 1] + d[2] * camera[2, 2]) / depth
        margin = 1.06 * radius / (depth - radius) * math.sqrt(1.0 + u * u + v * v)
        u0, u1, v0, v1 = min(u0, u - margin), max(u1, u + margin), min(v0, v - margin), max(v1, v + margin)
    part[at.BOX], part[at.BOX + 1], part[at.BOX + 2], part[at.BOX + 3] = u0, u1, v0, v1
