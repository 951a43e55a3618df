"""Digits and letters as strokes, and their distance fields: jersey numbers and the words on the advertising boards."""

import functools

import numpy as np

# Each glyph is a list of polylines on a grid of x 0..4 (left to right) and y 0..6 (bottom to top), two digits a point.
_STROKES = {
    "0": ["10 30 41 45 36 16 05 01 10"],
    "1": ["05 26 20", "00 40"],
    "2": ["05 16 36 45 44 00 40"],
    "3": ["06 46 24 34 43 41 30 10 01"],
    "4": ["30 36 02 42"],
    "5": ["46 06 03 33 42 41 30 00"],
    "6": ["45 36 16 05 01 10 30 41 42 33 03"],
    "7": ["05 06 46 10"],
    "8": ["13 04 05 16 36 45 44 33 13 02 01 10 30 41 42 33"],
    "9": ["01 10 30 41 45 36 16 05 04 13 43"],
    "A": ["00 26 40", "12 32"],
    "B": ["00 06 36 45 44 33 03", "33 42 41 30 00"],
    "C": ["45 36 16 05 01 10 30 41"],
    "D": ["00 06 26 44 42 20 00"],
    "E": ["46 06 00 40", "03 33"],
    "G": ["45 36 16 05 01 10 30 41 43 23"],
    "H": ["00 06", "40 46", "03 43"],
    "I": ["20 26", "10 30", "16 36"],
    "K": ["00 06", "46 03 40"],
    "L": ["06 00 40"],
    "M": ["00 06 23 46 40"],
    "N": ["00 06 40 46"],
    "O": ["10 30 41 45 36 16 05 01 10"],
    "P": ["00 06 36 45 44 33 03"],
    "R": ["00 06 36 45 44 33 03", "23 40"],
    "S": ["45 36 16 05 04 13 33 42 41 30 10 01"],
    "T": ["06 46", "26 20"],
    "U": ["06 01 10 30 41 46"],
    "V": ["06 20 46"],
    "Y": ["06 23 46", "23 20"],
}
CHARACTERS = "".join(_STROKES)
WORDS = ("HOOPS", "ARENA", "COURT", "SPORT", "LIVE", "BANK", "COLA", "TYRES", "RADIO", "LEAGUE", "ENERGY", "TRAVEL",
         "SHOES", "MOBILE", "PASTA", "HOTEL")
WORD_LENGTH = 6
TEXELS = 4                                  # texels per grid unit
MARGIN = 1                                  # grid units around the glyph
CAP_HEIGHT, CAP_WIDTH = 6.0, 4.0            # grid units


@functools.cache
def distance_fields():
    """Distance (grid units) to the strokes of every character: (characters, 8 * TEXELS + 1, 6 * TEXELS + 1) float64.

    Row r, column c hold the point x = c / TEXELS - MARGIN, y = r / TEXELS - MARGIN, y upwards.
    """
    y, x = np.mgrid[0:8 * TEXELS + 1, 0:6 * TEXELS + 1] / TEXELS - MARGIN
    fields = np.full((len(CHARACTERS), *x.shape), np.inf)
    for field, lines in zip(fields, _STROKES.values()):
        for line in lines:
            points = [(int(p[0]), int(p[1])) for p in line.split()]
            for (ax, ay), (bx, by) in zip(points, points[1:]):
                along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
                along = np.clip(along, 0.0, 1.0)
                np.minimum(field, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)), out=field)
    return fields


@functools.cache
def word_codes():
    """The words of the boards as character indices: (words, WORD_LENGTH) int64, -1 where a word has ended."""
    codes = np.full((len(WORDS), WORD_LENGTH), -1, np.int64)
    for row, word in zip(codes, WORDS):
        row[: len(word)] = [CHARACTERS.index(letter) for letter in word]
    return codes
