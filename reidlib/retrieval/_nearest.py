"""The k nearest images of each row, exactly: ties go to the lower index, whatever the matrix product's rounding did.

N images, b rows of a block, D feature size. All arrays are numpy, C-contiguous.
"""

import numpy as np
from numba import njit, prange


@njit(cache=True)
def _insert(index, value, held, j, d):
    """Put image j at distance d into the sorted lists of `held` entries; return how many they hold now.

    Images must be offered in ascending order of index: only a strictly smaller distance moves ahead of an older entry.
    """
    k = index.shape[0]
    if held == k:
        if d >= value[k - 1]:
            return held
        held -= 1
    at = held
    while at > 0 and value[at - 1] > d:
        value[at] = value[at - 1]
        index[at] = index[at - 1]
        at -= 1
    value[at] = d
    index[at] = j
    return held + 1


@njit(cache=True)
def _scan(row, index, value):
    """The len(index) smallest values of a row, sorted; `value` has room for each."""
    k = index.shape[0]
    if k == 0:
        return
    held = 0
    for j in range(row.shape[0]):
        if held < k or row[j] < value[k - 1]:
            held = _insert(index, value, held, j, row[j])


@njit(cache=True)
def squared_distance(a, b):
    """|a - b|^2 of two float32 vectors in float64, always added in the same order: equal vectors, equal distances."""
    s0 = s1 = s2 = s3 = 0.0
    whole = a.shape[0] - a.shape[0] % 4
    for c in range(0, whole, 4):
        d0 = np.float64(a[c]) - np.float64(b[c])
        d1 = np.float64(a[c + 1]) - np.float64(b[c + 1])
        d2 = np.float64(a[c + 2]) - np.float64(b[c + 2])
        d3 = np.float64(a[c + 3]) - np.float64(b[c + 3])
        s0 += d0 * d0
        s1 += d1 * d1
        s2 += d2 * d2
        s3 += d3 * d3
    for c in range(whole, a.shape[0]):
        d0 = np.float64(a[c]) - np.float64(b[c])
        s0 += d0 * d0
    return (s0 + s1) + (s2 + s3)


@njit(cache=True)
def _largest(row):
    """The largest of non-negative float32 values.

    Their bits, read as integers, sort as the values do, and the compiler can compare many integers at once.
    """
    bits = row.view(np.int32)
    high = np.int32(0)
    for j in range(bits.shape[0]):
        high = max(high, bits[j])
    return np.array([high], np.int32).view(np.float32)[0]


@njit(cache=True, parallel=True)
def pair_distances(features, rows, columns):
    """Squared Euclidean distance (pairs,) float64 of each pair rows[p], columns[p] of features (N, D) float32."""
    out = np.empty(rows.shape[0], np.float64)
    for p in prange(rows.shape[0]):
        out[p] = squared_distance(features[rows[p]], features[columns[p]])
    return out


@njit(cache=True, parallel=True)
def nearest(block, k):
    """The k smallest of each row of distances (b, N), nearest first, ties to the lower index. Returns (b, k) int32."""
    index = np.empty((block.shape[0], k), np.int32)
    for i in prange(block.shape[0]):
        _scan(block[i], index[i], np.empty(k, block.dtype))
    return index


@njit(cache=True, parallel=True)
def nearest_features(block, norms, features, first, k, slack):
    """The k nearest of rows first, first + 1, ... of features (N, D), from a block of inner products.

    block: (b, N) float32 inner products, overwritten with squared distances.  norms: (N,) float32 squared lengths.
    slack: how far a float32 inner product may be off, as a share of the product of the two lengths. Whatever lies that
    close to the k-th distance is measured again in float64, so that the answer is that of exact distances.
    Returns (b, k) int32, nearest first, ties to the lower index, and (b,) float32, the largest distance of each row.
    """
    b, n = block.shape
    index = np.empty((b, k), np.int32)
    largest = np.empty(b, np.float32)
    for i in prange(b):
        me = first + i
        row = block[i]
        for j in range(n):
            row[j] = max(np.float32(0), norms[me] + norms[j] - np.float32(2) * row[j])
        row[me] = 0
        largest[i] = _largest(row)
        value = np.empty(k, np.float64)
        _scan(row, index[i], value)
        # |x_j| <= |x_i| + d bounds the length, hence the error, of everything that can belong to the k nearest
        reach = value[k - 1] + 8 * slack * (norms[me] + value[k - 1])
        held = 0
        for j in range(n):
            if row[j] <= reach:
                held = _insert(index[i], value, held, j, squared_distance(features[me], features[j]))
    return index, largest
