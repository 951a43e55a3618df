"""Kernels for where pixels come from, on the CPU: picture by picture in the processor's cache, with torch's own bits.

Every sum, product and rounding is torch's, in torch's order, as its own kernels for AVX2 and AVX-512 do them: their
compiler rounds a product and the sum that follows it only once. `reidlib.augment.fused` asks whether torch does so here
before it takes these. Each kernel works on pictures `start` to `stop` of a batch, alone or beside others.

B pictures, H and W height and width, L = B / frames clips, whose frames share their draws. All arrays are C-contiguous.
images: (B, 3, H, W), uint8 or float32. out: (B, 3, H, W) float32, written. flipped: (L,) bool. corners: (L, 2) int64.
"""

import numpy as np

from reidlib.augment._fma import fma, inline, kernel

ZERO, HALF, ONE, TWO = (np.float32(value) for value in (0, 0.5, 1, 2))


@kernel
def place(images, out, start, stop, frames, flipped, corners, pad):
    """flip, then pad_and_crop."""
    height, width = images.shape[2:]
    for i in range(start, stop):
        down, right, first, last = _window(corners[i // frames], pad, width)
        for channel in range(3):
            for y in range(height):
                to = out[i, channel, y]
                if not 0 <= y + down < height:
                    to[:] = ZERO
                    continue
                to[:first] = ZERO
                to[last:] = ZERO
                _take(images[i, channel, y + down], right, flipped[i // frames], first, last, to)


@kernel
def turn(images, out, start, stop, frames, flipped, corners, pad, columns, rows, inverses, way):
    """affine, then as `place`.

    columns, rows: (W,) and (H,) float32, where pixels have their centres, from -1 to 1. inverses: (B, 2, 3) float32,
    whence a pixel comes, without shift. way: how torch multiplies with it; see `reidlib.augment.fused`.
    """
    height, width = images.shape[2:]
    bordered = np.zeros((3, height + 4, width + 4), np.float32)  # black is read from the border, without asking
    planes = bordered.reshape((3, -1))
    across = np.empty(width, np.float32)
    corner = np.empty(width, np.uint64)
    weights = np.empty((4, width), np.float32)
    for i in range(start, stop):
        for channel in range(3):
            for y in range(height):
                _take(images[i, channel, y], 0, False, 0, width, bordered[channel, y + 2, 2:])
        down, right, first, last = _window(corners[i // frames], pad, width)
        _take(columns, right, flipped[i // frames], first, last, across)
        for y in range(height):
            if not 0 <= y + down < height:
                out[i, :, y] = ZERO
                continue
            out[i, :, y, :first] = ZERO
            out[i, :, y, last:] = ZERO
            _locate(across[first:last], rows[y + down], inverses[i], way, height, width, corner, weights)
            _blend(planes, width + 4, corner, weights, out[i], y, first, last)


@inline
def _window(corner, pad, width):
    """How far down and right the window has moved, and which of its columns, from first to last, show the picture."""
    down, right = corner[0] - pad, corner[1] - pad
    first = max(0, -right)
    return down, right, first, max(first, min(width, width - right))


@inline
def _take(row, right, mirrored, first, last, to):
    """to[x] is the pixel x + right of a row, or of its mirror image, for x from first to last."""
    to = to[first:last]
    if mirrored:
        row = row[row.size - right - last : row.size - right - first]
        for x in range(to.size):
            to[x] = row[np.uint64(to.size - 1 - x)]  # unsigned: numba need not ask whether it counts from the end
    else:
        row = row[first + right : last + right]
        for x in range(to.size):
            to[x] = row[x]


@inline
def _locate(across, down, inverse, way, height, width, corner, weights):
    """For each pixel of a row: its upper left neighbour in the bordered picture, and its four neighbours' weights."""
    (a, b, _), (c, d, _) = inverse
    half_width, half_height = np.float32(width) / TWO, np.float32(height) / TWO
    for x in range(across.size):
        left, w, e = _between(_product(across[x], a, down, b, way), half_width, width)
        top, n, s = _between(_product(across[x], c, down, d, way), half_height, height)
        corner[x] = np.uint64(top) * np.uint64(width + 4) + np.uint64(left)
        weights[0, x], weights[1, x], weights[2, x], weights[3, x] = s * e, s * w, n * e, n * w


@inline
def _product(u, a, v, b, way):
    if way == 0:
        return u * a + v * b
    return fma(v, b, u * a) if way == 1 else fma(u, a, v * b)


@inline
def _between(place, half, size):
    """The bordered pixel before a place from -1 to 1, how far behind it the place is, and the rest to the next."""
    at = fma(place + ONE, half, -HALF)
    before = np.floor(at)
    share = at - before
    return np.int32(min(max(before, -TWO), np.float32(size)) + TWO), share, ONE - share


@inline
def _blend(planes, stride, corner, weights, picture, y, first, last):
    """Bilinear sampling of row y of a picture, from first to last. planes: (3, M), with rows of length `stride`."""
    below, behind = np.uint64(stride), np.uint64(1)
    for x in range(last - first):
        at = corner[x]
        nw, ne, sw, se = weights[0, x], weights[1, x], weights[2, x], weights[3, x]
        for channel in range(3):
            plane = planes[channel]
            value = fma(plane[at + behind], ne, plane[at] * nw)
            value = fma(plane[at + below], sw, value)
            picture[channel, y, np.uint64(first + x)] = fma(plane[at + below + behind], se, value)
