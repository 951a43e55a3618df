"""k-reciprocal re-ranking (Zhong et al., CVPR 2017), exact and sparse.

The published program holds several N x N matrices. Only the neighbour lists, the largest distance of each row and the
rows that are returned are needed: every set below is a row of a sparse matrix, and distances pass through in blocks.

m queries, n gallery images, N = m + n with the queries first, D feature size.
"""

import numbers
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit, prange
from scipy import sparse
from torch import Tensor

from reidlib.retrieval import _check
from reidlib.retrieval._nearest import nearest, nearest_features, pair_distances

_BLOCK = 1 << 23  # distances in one block of rows (32 MiB in float32)


def k_reciprocal(
    query, gallery, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, rows: str = "query"
) -> Tensor | tuple[Tensor, Tensor]:
    """Re-ranked distances from features; squared Euclidean distances inside, as published.

    query: (m, D), gallery: (n, D), tensors on one device or numpy arrays; read as float32.
    k1: neighbours, besides the image itself, that may be reciprocal; when there are not that many images (N <= k1),
    every image is a neighbour of every other. k2: images whose encodings are averaged, the image itself included;
    1 averages nothing. lambda_value: weight, in [0, 1], of the original distance (divided by the largest of its row
    over all N); the Jaccard distance has the rest.
    rows: "query" returns (m, n) float32; "all" returns that and the gallery's own rows, ((m, n), (n, n)). Row i of the
    latter is scaled by its own largest distance, so it is not symmetric.
    Neighbours at equal distance are taken in index order. The lists are those of exact distances between the float32
    features, however the matrix product rounded. Memory beyond arguments and answer grows as N (k1 + D), not N^2.
    Raises ValueError for a wrong shape, NaN, infinity, no rows, or an option out of range.
    Source: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, sections 3.2 to 3.4.
    """
    query, gallery = _check.features(query, gallery, ("query", "gallery"))
    options = _Options(k1, k2, lambda_value, rows)
    m, n = len(query), len(gallery)
    x = torch.cat([query, gallery])
    x = torch.ldexp(x, -torch.frexp(x.abs().max()).exponent.clamp(-126, 126))  # exact; now no square can overflow
    plain = [np.empty((m, n), np.float32)] + [np.empty((n, n), np.float32)] * (rows == "all")
    rank, largest = _neighbours_of_features(x, m, plain, options.depth(m + n))
    features = x.cpu().numpy()
    encoding = _encode(rank, largest, lambda i, j: pair_distances(features, i, j), options)
    return _answer(encoding, largest, plain, plain, options, x.device)


def k_reciprocal_from_distances(
    query_query,
    query_gallery,
    gallery_gallery,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    rows: str = "query",
) -> Tensor | tuple[Tensor, Tensor]:
    """`k_reciprocal` for distances of any kind, used as they are given (the published method gives it squared ones).

    query_query: (m, m), query_gallery: (m, n), gallery_gallery: (n, n), tensors or numpy arrays, smaller is nearer, not
    negative (beyond rounding). An image is its own neighbour only because the diagonals hold the smallest distances.
    Options, answer (on the device of query_gallery) and errors as for `k_reciprocal`.
    """
    options = _Options(k1, k2, lambda_value, rows)
    device = _check.device_of(query_gallery)
    query_gallery = _check.distances(query_gallery, "query_gallery")
    m, n = query_gallery.shape
    query_query = _check.distances(query_query, "query_query", (m, m))
    gallery_gallery = _check.distances(gallery_gallery, "gallery_gallery", (n, n))
    names = ("query_query", "query_gallery", "gallery_gallery")
    for name, part in zip(names, (query_query, query_gallery, gallery_gallery), strict=True):
        if part.min() < -1e-5 * abs(part.max()):
            raise ValueError(f"{name}: wants distances of 0 or more, got {part.min():.6g}")
    rank, largest = _neighbours_of_distances(query_query, query_gallery, gallery_gallery, options.depth(m + n))

    def at(i, j):
        """The distances of pairs (i, j) numbered over all N images."""
        out = np.empty(len(i))
        parts = [(0, 0, query_query), (0, m, query_gallery), (m, 0, query_gallery.T), (m, m, gallery_gallery)]
        for row, column, part in parts:  # each is where row and column begin, and runs on
            pairs = ((i >= m) == (row > 0)) & ((j >= m) == (column > 0))
            out[pairs] = part[i[pairs] - row, j[pairs] - column]
        return out

    encoding = _encode(rank, largest, at, options)
    plain = [query_gallery] + [gallery_gallery] * (rows == "all")
    out = [np.empty(part.shape, np.float32) for part in plain]
    return _answer(encoding, largest, plain, out, options, device)


@dataclass(frozen=True)
class _Options:
    k1: int
    k2: int
    lambda_value: float
    rows: str

    def __post_init__(self):
        _check.at_least(self.k1, 1, "k1")
        _check.at_least(self.k2, 1, "k2")
        if not isinstance(self.lambda_value, numbers.Real) or not 0 <= self.lambda_value <= 1:
            raise ValueError(f"lambda_value: wants a number in [0, 1], got {self.lambda_value!r}")
        _check.one_of(self.rows, ("query", "all"), "rows")

    def depth(self, count: int) -> int:
        """How many neighbours of each image are ever looked at."""
        return min(count, max(self.k1 + 1, self.k2))


def _neighbours_of_features(x: Tensor, m: int, plain: list[np.ndarray], depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest images (N, depth) and largest distance (N,) of every row of x (N, D); fills plain with the rows it wants.

    Inner products are taken from the mean, for a common offset would only cost digits.
    """
    count, size = x.shape
    features = x.cpu().numpy()
    x = x - x.mean(dim=0)
    norms = x.double().square().sum(1).float().cpu().numpy()
    slack = (size + 16) * 2.0**-24  # worst case of a float32 sum of `size` products, and of subtracting the mean
    rank, largest = np.empty((count, depth), np.int32), np.empty(count, np.float32)
    step = min(count, max(1, _BLOCK // count))
    if x.is_cuda:
        x = x.double()  # cheap there, and TF32 settings do not touch it
    room = x.new_empty(step, count)  # one block after the other, in the same memory
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        with _full_precision(x.device):
            block = torch.mm(x[rows], x.T, out=room[: rows.stop - start]).float().cpu().numpy()
        rank[rows], largest[rows] = nearest_features(block, norms, features, start, depth, slack)
        for part, first in zip(plain, (0, m), strict=False):
            low, high = max(rows.start, first), min(rows.stop, first + len(part))
            if low < high:
                part[low - first : high - first] = block[low - start : high - start, m:]
    return rank, largest


@contextmanager
def _full_precision(device: torch.device):
    """Float32 products in float32 on the CPU: no autocast, and no oneDNN, which training may have set to bf16."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.mkldnn.enabled = before


def _neighbours_of_distances(query_query, query_gallery, gallery_gallery, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest images (N, depth) and largest distance (N,), from rows put together one block at a time."""
    m, n = query_gallery.shape
    rank, largest = [], []
    step = max(1, _BLOCK // (m + n))
    for left, right in ((query_query, query_gallery), (query_gallery.T, gallery_gallery)):
        for start in range(0, len(right), step):
            block = np.concatenate([left[start : start + step], right[start : start + step]], axis=1)
            rank.append(nearest(block, depth))
            largest.append(block.max(axis=1))
    return np.concatenate(rank), np.concatenate(largest)


def _encode(rank: np.ndarray, largest: np.ndarray, distances: Callable, options: _Options) -> sparse.csr_array:
    """The encoding V (N, N) of every image: Gaussian weights on its expanded k-reciprocal set, averaged over k2."""
    count = len(rank)
    mutual = _mutual(rank[:, : options.k1 + 1])  # row i: R(i, k1)
    mutual_half = _mutual(rank[:, : round(options.k1 / 2) + 1])  # row j: R(j, k1/2); round() takes 2.5 to 2, as numpy
    # |R(i, k1) & R(j, k1/2)| for every j in R(i, k1); j brings its half set in when that is more than two thirds of it
    common = (mutual @ mutual_half.T).multiply(mutual).tocoo()
    size = np.diff(mutual_half.indptr)  # (N,) |R(j, k1/2)|
    similar = 3 * common.data > 2 * size[common.col]
    similar = sparse.csr_array((common.data[similar], (common.row[similar], common.col[similar])), (count, count))
    expanded = (mutual + similar @ mutual_half).tocoo()
    i, j = expanded.row, expanded.col
    weight = np.exp(-distances(i, j) * _inverse(largest)[i])
    weight /= np.bincount(i, weight, minlength=count)[i]
    encoding = sparse.csr_array((weight.astype(np.float32), (i, j)), (count, count))
    if options.k2 == 1:
        return encoding
    nearby = rank[:, : options.k2]
    return _rows_of(nearby, np.float32(1 / nearby.shape[1])) @ encoding


def _mutual(rank: np.ndarray) -> sparse.csr_array:
    """(N, N) int32, 1 where i and j are in each other's neighbour list. rank: (N, k)."""
    listed = _rows_of(rank, np.int32(1))
    return listed.multiply(listed.T).tocsr()


def _rows_of(rank: np.ndarray, value) -> sparse.csr_array:
    """(N, N) with `value` at the k columns that each row of rank (N, k) names."""
    count, k = rank.shape
    return sparse.csr_array((np.full(rank.size, value), rank.ravel(), np.arange(0, rank.size + 1, k)), (count, count))


def _inverse(largest: np.ndarray) -> np.ndarray:
    """1 / largest; 0 where all distances of a row are 0, so that they stay 0."""
    return np.divide(1.0, largest, out=np.zeros(len(largest)), where=largest > 0)


def _answer(encoding, largest, plain: list, out: list, options: _Options, device) -> Tensor | tuple[Tensor, Tensor]:
    """Final distances of the query rows and, if wanted, of the gallery rows. plain and out may be the same arrays."""
    m, n = plain[0].shape
    of_gallery = encoding[m:].tocsc()  # by column: gallery images and their weights
    scale = _inverse(largest)
    arrays = []
    for part in (encoding, of_gallery):
        arrays += [part.indptr.astype(np.int64), part.indices.astype(np.int32), part.data]
    for first, part, result in zip((0, m), plain, out, strict=False):
        _blend(*arrays, first, part, scale, options.lambda_value, result)
    tensors = tuple(torch.from_numpy(result).to(device) for result in out)
    return tensors if options.rows == "all" else tensors[0]


@njit(cache=True, parallel=True)
def _blend(row_start, column, weight, column_start, image, image_weight, first, plain, scale, lambda_value, out):
    """out[i, g] = (1 - lambda) Jaccard(first + i, g) + lambda plain[i, g] scale[first + i], for every gallery image g.

    Jaccard from the rows of V and, by column, the gallery's rows of V: each sums to 1, so that the sum of the larger
    weights is 2 minus the sum of the smaller ones.
    """
    count, n = out.shape
    for i in prange(count):
        shared = np.zeros(n, np.float32)  # sum over columns of the smaller weight
        for a in range(row_start[first + i], row_start[first + i + 1]):
            for b in range(column_start[column[a]], column_start[column[a] + 1]):
                shared[image[b]] += min(weight[a], image_weight[b])
        original = np.float32(lambda_value * scale[first + i])
        for g in range(n):
            jaccard = np.float32(1) - shared[g] / (np.float32(2) - shared[g])
            out[i, g] = np.float32(1 - lambda_value) * jaccard + original * plain[i, g]
