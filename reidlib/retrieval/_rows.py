"""VTRM's walks that read a whole row of distances at every step."""

import numpy as np
from numba import njit, prange

from reidlib.retrieval._machine import ask_for, order_key

_PIECE = 256  # distances handled at a time: they stay in the first-level cache


@njit(cache=True, parallel=True)
def walk_rows(query_gallery, gallery_gallery, window, reference, smallest, depth, anchor):
    """Walk by the sum over the members (the mean times their number), or by the smallest over all of them (Global).

    query_gallery: (m, n), gallery_gallery: (n, n) of one type. anchor: see `reidlib.retrieval.vtrm`. Returns (m, n)
    int64, filled up to `depth`.
    Every step reads a row that is nowhere near the processor, and which one is known only then. So two queries walk in
    turn, and while one uses its row the other's is on its way. Of each piece of a row the smallest `order_key` is kept,
    and only where that is the smallest of all does anyone look for the image.
    """
    m, n = query_gallery.shape
    ranking = np.empty((m, n), np.int64)
    size = gallery_gallery.itemsize
    pieces = (n + _PIECE - 1) // _PIECE
    pair_sums = not smallest and window + reference == 2
    for pair in prange((m + 1) // 2):
        walkers = min(2, m - 2 * pair)
        taken = np.zeros((walkers, n), np.int8)  # -1 once it is
        nothing = np.zeros(n if pair_sums else 0, gallery_gallery.dtype)
        lowest = np.full((walkers, n if smallest else 0), np.inf, gallery_gallery.dtype)
        total = np.zeros((walkers, 0 if smallest or pair_sums else n), np.float64)
        low = np.empty(pieces, np.uint64)
        newest = np.zeros(walkers, np.int64)  # the image that each walker chose last
        for step in range(depth):
            for walker in range(walkers):
                i = 2 * pair + walker
                leaving = step - window  # position in the sequence of the member that drops out; 0 is the query
                drops = not smallest and (leaving > 0 or leaving == 0 and not reference)
                row = query_gallery[i] if step == 0 else gallery_gallery[newest[walker]]
                if pair_sums:  # the other of the two
                    other = nothing if step == 0 else query_gallery[i]
                    if step > 1 and not reference:
                        other = gallery_gallery[ranking[i, step - 2]]
                else:
                    other = query_gallery[i] if leaving <= 0 else gallery_gallery[ranking[i, leaving - 1]]
                coming = gallery_gallery.ctypes.data + newest[walkers - 1 - walker] * n * size
                for piece in range(pieces):
                    part = slice(piece * _PIECE, (piece + 1) * _PIECE)
                    ask_for(coming + part.start * size, _PIECE * size)
                    if smallest:
                        low[piece] = _lower(lowest[walker, part], row[part], taken[walker, part])
                    elif pair_sums:
                        low[piece] = _pair(row[part], other[part], taken[walker, part])
                    elif drops:
                        low[piece] = _slide(total[walker, part], row[part], other[part], taken[walker, part], anchor)
                    else:
                        low[piece] = _add(total[walker, part], row[part], taken[walker, part], anchor)
                if smallest:
                    chosen = _first(lowest[walker], taken[walker], low)
                elif pair_sums:
                    chosen = _first_pair(row, other, taken[walker], low)
                else:
                    chosen = _first(total[walker], taken[walker], low)
                taken[walker, chosen] = -1
                ranking[i, step] = newest[walker] = chosen
    return ranking


@njit(cache=True)
def _pair(row, other, taken):
    """The smallest key of the sums of two rows, in their own type: a sum's rounding never turns an order round."""
    low = order_key(row[0] + other[0], np.int8(-1))
    for j in range(row.shape[0]):
        key = order_key(row[j] + other[j], taken[j])
        if key < low:
            low = key
    return low


@njit(cache=True)
def _first_pair(row, other, taken, low):
    """Index of the first smallest sum in float64, among those that are smallest in the rows' own type."""
    best = low.min()
    chosen, least = -1, np.inf
    for piece in np.flatnonzero(low == best):
        for j in range(piece * _PIECE, min(row.shape[0], (piece + 1) * _PIECE)):
            if order_key(row[j] + other[j], taken[j]) == best:
                together = np.float64(row[j]) + np.float64(other[j])
                if chosen < 0 or together < least:
                    chosen, least = j, together
    return chosen


@njit(cache=True)
def _lower(lowest, row, taken):
    """lowest = min(lowest, row), and the smallest key of it."""
    low = order_key(row[0], np.int8(-1))
    for j in range(row.shape[0]):
        lowest[j] = row[j] if row[j] < lowest[j] else lowest[j]
        key = order_key(lowest[j], taken[j])
        if key < low:
            low = key
    return low


@njit(cache=True)
def _add(total, row, taken, anchor):
    """total += row, with row on the grid that `anchor` makes, and the smallest key of it."""
    low = order_key(total[0], np.int8(-1))
    for j in range(row.shape[0]):
        total[j] += (row[j] + anchor) - anchor
        key = order_key(total[j], taken[j])
        if key < low:
            low = key
    return low


@njit(cache=True)
def _slide(total, row, old, taken, anchor):
    """total += row - old, with both on the grid that `anchor` makes, and the smallest key of it."""
    low = order_key(total[0], np.int8(-1))
    for j in range(row.shape[0]):
        total[j] += ((row[j] + anchor) - anchor) - ((old[j] + anchor) - anchor)
        key = order_key(total[j], taken[j])
        if key < low:
            low = key
    return low


@njit(cache=True)
def _first(values, taken, low):
    """Index of the first value that has the smallest of all keys. low: (pieces,) the smallest of each piece."""
    best = low.min()
    found = low.argmin() * _PIECE
    while order_key(values[found], taken[found]) != best:
        found += 1
    return found
