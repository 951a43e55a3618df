"""The steps of augmentation on the CPU, picture by picture in the processor's cache, with torch's own bits.

Every sum, product and rounding is torch's, in torch's order, as its kernels for AVX2 and AVX-512 do them: there the
compiler fuses a product and the sum that follows within one operation into one rounding. `reidlib.augment.fused` asks
whether torch does so here, before it takes these. float32 throughout, no fastmath. Each kernel works on pictures
`start` to `stop` of a batch and lets other threads run. Several of them may work on one batch.

B pictures, H and W height and width, N = H·W pixels, L = B / frames clips, whose frames share their draws.
out: (B, 3, H, W) float32, written. images: (B, 3, H, W), uint8 or float32. Boxes: (L, 4) top, left, height, width.
All arrays are C-contiguous.
"""

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from reidlib.augment.pixels import LUMA

RED, GREEN, BLUE = (np.float32(weight) for weight in LUMA)
ZERO, HALF, ONE, TWO, THREE, FOUR, SIX, WHITE = (np.float32(v) for v in (0, 0.5, 1, 2, 3, 4, 6, 255))
LANES = 8                                # of the vectors in which torch sums what lies side by side

inline = njit(nogil=True, error_model="numpy")
kernel = njit(nogil=True, error_model="numpy", cache=True)


@intrinsic
def _fma(typing, a, b, c):
    """a·b + c, rounded once."""
    return types.float32(types.float32, types.float32, types.float32), lambda _, builder, __, args: builder.fma(*args)


@kernel
def place(images, out, start, stop, frames, flipped, corners, pad):
    """flip, then pad_and_crop. flipped: (L,) bool. corners: (L, 2) int64."""
    height, width = images.shape[2:]
    for i in range(start, stop):
        down, right, first, last = _window(corners[i // frames], pad, width)
        for channel in range(3):
            for y in range(height):
                to = out[i, channel, y]
                if not 0 <= y + down < height:
                    to[:] = ZERO
                    continue
                row = images[i, channel, y + down]
                to[:first] = ZERO
                to[last:] = ZERO
                if flipped[i // frames]:
                    for x in range(first, last):
                        to[x] = row[np.uint64(width - 1 - x - right)]
                else:
                    for x in range(first, last):
                        to[x] = row[np.uint64(x + right)]


@kernel
def turn(images, out, start, stop, frames, flipped, corners, pad, columns, rows, inverses, way):
    """affine, then as `place`.

    columns, rows: (W,) and (H,), where the pixels' centres lie, from -1 to 1. inverses: (B, 2, 3), from where a pixel
    comes, without shift. way: how torch multiplies with it, see `reidlib.augment.fused`.
    """
    height, width = images.shape[2:]
    bordered = np.zeros((3, height + 4, width + 4), np.float32)  # black is read from the border, without asking
    half_width, half_height = np.float32(width) / TWO, np.float32(height) / TWO
    for i in range(start, stop):
        bordered[:, 2:-2, 2:-2] = images[i]
        down, right, first, last = _window(corners[i // frames], pad, width)
        (a, b, _), (c, d, _) = inverses[i]
        for y in range(height):
            if not 0 <= y + down < height:
                out[i, :, y] = ZERO
                continue
            out[i, :, y, :first] = ZERO
            out[i, :, y, last:] = ZERO
            v = rows[y + down]
            for x in range(first, last):
                u = columns[np.uint64(width - 1 - x - right if flipped[i // frames] else x + right)]
                left, w, e = _between(_product(u, a, v, b, way), half_width, width)
                top, n, s = _between(_product(u, c, v, d, way), half_height, height)
                for channel in range(3):
                    plane = bordered[channel]
                    value = _fma(plane[top, left + np.uint64(1)], s * w, plane[top, left] * (s * e))
                    value = _fma(plane[top + np.uint64(1), left], n * e, value)
                    out[i, channel, y, x] = _fma(plane[top + np.uint64(1), left + np.uint64(1)], n * w, value)


@inline
def _window(corner, pad, width):
    """How far down and right the window has moved, and which of its columns, from first to last, show the picture."""
    down, right = corner[0] - pad, corner[1] - pad
    first = min(width, max(0, -right))
    return down, right, first, max(first, min(width, width - right))


@inline
def _product(u, a, v, b, way):
    if way == 0:
        return u * a + v * b
    return _fma(v, b, u * a) if way == 1 else _fma(u, a, v * b)


@inline
def _between(place, half, size):
    """The bordered pixel before a place from -1 to 1, how far behind it the place is, and the rest to the next."""
    at = _fma(place + ONE, half, -HALF)
    before = np.floor(at)
    share = at - before
    index = min(max(before, -TWO), np.float32(size)) + TWO
    return np.uint64(np.int32(index)), share, ONE - share


@kernel
def jitter(out, start, stop, frames, changed, amounts, order, side_by_side):
    """jitter_colours in place.

    changed: (L, 4) bool, which of brightness, contrast, saturation and hue. amounts: (L, 4) float32. order: (L, 4).
    side_by_side: whether the rows that torch sums lie in its memory without other channels in between.
    """
    pixels = out.reshape((out.shape[0], 3, -1))
    for i in range(start, stop):
        clip = i // frames
        for kind in order[clip]:
            if not changed[clip, kind]:
                continue
            if kind == 0:
                _brightness(pixels[i], amounts[clip, 0])
            elif kind == 1:
                _contrast(pixels[i], amounts[clip, 1], LANES if side_by_side else 1)
            elif kind == 2:
                _saturation(pixels[i], amounts[clip, 2])
            else:
                _hue(pixels[i], SIX * amounts[clip, 3])


@inline
def _clamp(value):
    return min(max(value, ZERO), WHITE)


@inline
def _lerp(start, end, weight):
    if abs(weight) < HALF:
        return _fma(weight, end - start, start)
    return _fma(weight - ONE, end - start, end)


@inline
def _luma(red, green, blue):
    return red * RED + green * GREEN + blue * BLUE


@inline
def _brightness(pixels, factor):
    for channel in range(3):
        for k in range(pixels.shape[1]):
            pixels[channel, k] = _clamp(pixels[channel, k] * factor)


@inline
def _contrast(pixels, factor, lanes):
    count = np.float32(pixels.shape[1])
    mean = _luma(_sum(pixels[0], lanes) / count, _sum(pixels[1], lanes) / count, _sum(pixels[2], lanes) / count)
    for channel in range(3):
        for k in range(pixels.shape[1]):
            pixels[channel, k] = _clamp(_lerp(mean, pixels[channel, k], factor))


@inline
def _saturation(pixels, factor):
    red, green, blue = pixels
    for k in range(pixels.shape[1]):
        grey = _luma(red[k], green[k], blue[k])
        red[k] = _clamp(_lerp(grey, red[k], factor))
        green[k] = _clamp(_lerp(grey, green[k], factor))
        blue[k] = _clamp(_lerp(grey, blue[k], factor))


@inline
def _hue(pixels, turn):
    """turn: in sixths of the circle, from -3 to 3: the corner then needs one step at the most back into 0 to 6."""
    reds, greens, blues = pixels
    for k in range(pixels.shape[1]):
        red, green, blue = reds[k], greens[k], blues[k]
        low, high = min(min(red, green), blue), max(max(red, green), blue)
        chroma = high - low
        divisor = ONE if chroma == ZERO else chroma
        after_green, after_red = (blue - red) / divisor + TWO, (green - blue) / divisor
        after_blue = (red - green) / divisor + FOUR
        corner = (after_red if high == red else after_green if high == green else after_blue) + turn
        corner = corner - SIX if corner >= SIX else corner
        corner = corner + SIX if corner < ZERO else corner
        reds[k] = low + chroma * min(max(abs(corner - THREE) - ONE, ZERO), ONE)
        greens[k] = low + chroma * min(max(TWO - abs(corner - TWO), ZERO), ONE)
        blues[k] = low + chroma * min(max(TWO - abs(corner - FOUR), ZERO), ONE)


@inline
def _sum(values, lanes):
    """torch's sum of (N,) float32: 4·lanes sums of every 4·lanes-th value, each cascaded over four levels.

    A level passes its sum on to the next, and starts again, every 16 values or, of a long row, N^(1/4) or so.
    """
    width = 4 * lanes
    steps = values.size // width
    power = 4
    while 1 << (4 * power + 3) < steps:
        power += 1
    sums = np.zeros((4, width), np.float32)
    for step in range(steps):
        for k in range(width):
            sums[0, k] += values[step * width + k]
        done = step + 1
        level = 0
        while level < 3 and done & ((1 << (power * (level + 1))) - 1) == 0:
            for k in range(width):
                sums[level + 1, k] += sums[level, k]
                sums[level, k] = ZERO
            level += 1
    for level in range(1, 4):
        for k in range(width):
            sums[0, k] += sums[level, k]
    whole = values.size // lanes * lanes
    for k in range(steps * width, whole):
        sums[0, k % lanes] += values[k]
    for k in range(lanes, width):
        sums[0, k % lanes] += sums[0, k]
    total = ZERO
    for k in range(whole, values.size):
        total += values[k]
    for k in range(lanes):
        total += sums[0, k]
    return total


@kernel
def grey(out, start, stop, frames, boxes, whole):
    """grey_boxes in place. whole: round the grey, as of uint8."""
    for i in range(start, stop):
        top, left, height, width = boxes[i // frames]
        for y in range(top, top + height):
            for x in range(left, left + width):
                value = _luma(out[i, 0, y, x], out[i, 1, y, x], out[i, 2, y, x])
                out[i, :, y, x] = np.rint(value) if whole else value


@kernel
def finish(out, start, stop, frames, mean, std, boxes):
    """normalise and erase in place. mean, std: (3,) float32. boxes: (L, K, 4), K boxes for each clip."""
    for i in range(start, stop):
        for channel in range(3):
            plane = out[i, channel]
            for y in range(plane.shape[0]):
                for x in range(plane.shape[1]):
                    plane[y, x] = (plane[y, x] - mean[channel]) / std[channel]
            for top, left, height, width in boxes[i // frames]:
                plane[top : top + height, left : left + width] = ZERO
