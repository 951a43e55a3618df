"""Kernels for what pixels become, on the CPU: colour jitter, grey, normalising, erasing, with torch's own bits.

As in `reidlib.augment.placing`. N = H·W pixels of a picture, L clips. out: (B, 3, H, W) float32, changed in place.
Boxes: (L, 4) int64, top, left, height, width.
"""

import numpy as np

from reidlib.augment._fma import fma, inline, kernel
from reidlib.augment.pixels import LUMA

RED, GREEN, BLUE = (np.float32(weight) for weight in LUMA)
ZERO, HALF, ONE, TWO, THREE, FOUR, SIX, WHITE = (np.float32(value) for value in (0, 0.5, 1, 2, 3, 4, 6, 255))
LANES = 8                                # of the vectors in which torch sums what lies side by side
BLOCK = 256                              # pixels whose intermediate results stay near


@kernel
def jitter(out, start, stop, frames, changed, amounts, order, side_by_side):
    """jitter_colours in place.

    changed: (L, 4) bool, which of brightness, contrast, saturation and hue. amounts: (L, 4) float32. order: (L, 4).
    side_by_side: whether the pixels that torch sums lie in its memory without those of other channels in between.
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
def _clamp(value, least, most):
    return min(max(value, least), most)


@inline
def _lerp(start, end, weight):
    if abs(weight) < HALF:
        return fma(weight, end - start, start)
    return fma(weight - ONE, end - start, end)


@inline
def _luma(red, green, blue):
    return red * RED + green * GREEN + blue * BLUE


@inline
def _brightness(pixels, factor):
    for channel in range(3):
        for k in range(pixels.shape[1]):
            pixels[channel, k] = _clamp(pixels[channel, k] * factor, ZERO, WHITE)


@inline
def _contrast(pixels, factor, lanes):
    count = np.float32(pixels.shape[1])
    mean = _luma(_sum(pixels[0], lanes) / count, _sum(pixels[1], lanes) / count, _sum(pixels[2], lanes) / count)
    for channel in range(3):
        for k in range(pixels.shape[1]):
            pixels[channel, k] = _clamp(_lerp(mean, pixels[channel, k], factor), ZERO, WHITE)


@inline
def _saturation(pixels, factor):
    greys = np.empty(BLOCK, np.float32)
    for first in range(0, pixels.shape[1], BLOCK):
        red, green, blue = _block(pixels, first)
        for k in range(red.size):
            greys[k] = _luma(red[k], green[k], blue[k])
        for channel in (red, green, blue):
            for k in range(channel.size):
                channel[k] = _clamp(_lerp(greys[k], channel[k], factor), ZERO, WHITE)


@inline
def _hue(pixels, turn):
    """turn: in sixths of the circle, -3 to 3: one step at the most leads back to 0 to 6."""
    lows, chromas, corners = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for first in range(0, pixels.shape[1], BLOCK):
        red, green, blue = _block(pixels, first)
        for k in range(red.size):
            r, g, b = red[k], green[k], blue[k]
            low, high = min(min(r, g), b), max(max(r, g), b)
            divisor = ONE if high == low else high - low
            reddest, greener = (r >= g) & (r >= b), g >= b
            across, corner = b - r if greener else r - g, TWO if greener else FOUR
            across = g - b if reddest else across
            corner = (ZERO if reddest else corner) + across / divisor + turn
            corner -= SIX if corner >= SIX else ZERO
            corner += SIX if corner < ZERO else ZERO
            lows[k], chromas[k], corners[k] = low, high - low, corner
        for k in range(red.size):
            red[k] = lows[k] + chromas[k] * _clamp(abs(corners[k] - THREE) - ONE, ZERO, ONE)
        for k in range(green.size):
            green[k] = lows[k] + chromas[k] * _clamp(TWO - abs(corners[k] - TWO), ZERO, ONE)
        for k in range(blue.size):
            blue[k] = lows[k] + chromas[k] * _clamp(TWO - abs(corners[k] - FOUR), ZERO, ONE)


@inline
def _block(pixels, first):
    """A few pixels of each channel. Short loops over few arrays are what LLVM does several pixels of at once."""
    stop = first + BLOCK
    return pixels[0, first:stop], pixels[1, first:stop], pixels[2, first:stop]


@inline
def _sum(values, lanes):
    """torch's sum of (N,) float32: 4·lanes sums of every 4·lanes-th value, each cascaded over four levels.

    A level passes its sum on to the next, and starts again, after 16 of its own, or more in the longest rows.
    """
    lanes = lanes if values.size >= lanes else 1
    width = 4 * lanes
    steps = values.size // width
    power = 4
    while 1 << (4 * power + 3) < steps:
        power += 1
    sums = np.zeros((4, width), np.float32)
    for step in range(steps):
        for k in range(width):
            sums[0, k] += values[step * width + k]
        done, level = step + 1, 0
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
