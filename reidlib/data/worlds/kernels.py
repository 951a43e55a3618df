"""Small shared pieces of the numba kernels: compilation, hashing, smoothing.

Every kernel is scalar float64 without fastmath, so that bytes do not depend on the machine's vector width or threads.
"""

import hashlib
from pathlib import Path

import numba
import numpy as np

inline = numba.njit(nogil=True)              # called by other kernels only; compiled into them


def fingerprint(*modules):
    """Hash of the sources of kernels, named without .py, and of the numbers compiled into them, as an int.

    numba notices a change in the file of a cached function, but not in the files of the functions it calls. The entry
    kernels are therefore closures over this number, which numba makes part of the key of its cache.
    """
    sources = [(Path(__file__).parent / f"{module}.py").read_bytes() for module in modules]
    return int(hashlib.sha256(b"".join(sources)).hexdigest()[:12], 16)


FINGERPRINT = fingerprint("layout", "glyphs", "kernels", "solids", "body", "surface", "court", "stands", "film")
entry = numba.njit(nogil=True, cache=True)   # called from Python; a closure over FINGERPRINT


@inline
def mix(seed, a, b):
    """Uniform number in [0, 1) from three integers (the finaliser of splitmix64 over a linear combination)."""
    z = (np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
         + np.uint64(np.int64(a)) * np.uint64(0xC2B2AE3D27D4EB4F)
         + np.uint64(np.int64(b)) * np.uint64(0x165667B19E3779F9))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@inline
def smooth(low, high, x):
    """0 below low, 1 above high, a cubic in between."""
    s = (x - low) / (high - low)
    s = 0.0 if s < 0.0 else 1.0 if s > 1.0 else s
    return s * s * (3.0 - 2.0 * s)


@inline
def blend(a, b, share):
    """(1 - share) a + share b for two rgb triples."""
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))


@inline
def rgb(row, column):
    return (row[column], row[column + 1], row[column + 2])


@inline
def scaled(colour, factor):
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


@inline
def stroke_distance(fields, character, gx, gy, texels, margin):
    """Distance in grid units from (gx, gy) to the strokes of a character; large outside its field. See glyphs.py."""
    c, r = (gx + margin) * texels, (gy + margin) * texels
    if character < 0 or c < 0.0 or r < 0.0 or c >= fields.shape[2] - 1 or r >= fields.shape[1] - 1:
        return 9.0
    i, j = int(r), int(c)
    p, q = r - i, c - j
    f = fields[character]
    return ((1 - p) * ((1 - q) * f[i, j] + q * f[i, j + 1]) + p * ((1 - q) * f[i + 1, j] + q * f[i + 1, j + 1]))
