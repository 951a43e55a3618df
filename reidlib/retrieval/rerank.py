"""k-reciprocal re-ranking (Zhong et al., CVPR 2017) and FastReID's variant of it, exact and sparse.

The published program holds several N x N matrices. Only the neighbour lists, the largest distance of each row and the
rows that are returned are needed: every set below is a row of a sparse matrix, and distances pass through in blocks.

m queries, n gallery images, N = m + n with the queries first, D feature size.
"""

import numbers
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit, prange
from scipy import sparse
from torch import Tensor

from reidlib.retrieval import _check
from reidlib.retrieval._nearest import pair_distances
from reidlib.retrieval._neighbours import neighbours_of_distances, neighbours_of_features
from reidlib.retrieval.distance import directions


def k_reciprocal(
    query,
    gallery,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    rows: str = "query",
    variant: str = "published",
) -> Tensor | tuple[Tensor, Tensor]:
    """Re-ranked distances from features; squared Euclidean distances inside, as published.

    query: (m, D), gallery: (n, D), tensors on one device or numpy arrays; read as float32.
    k1: neighbours, besides the image itself, that may be reciprocal; when there are not that many images (N <= k1),
    every image is a neighbour of every other. k2: images whose encodings are averaged, the image itself included;
    1 averages nothing. lambda_value: weight, in [0, 1], of the original distance (divided by the largest of its row
    over all N); the Jaccard distance has the rest.
    rows: "query" returns (m, n) float32; "all" returns that and the gallery's own rows, ((m, n), (n, n)). Row i of the
    latter is scaled by its own largest distance, so it is not symmetric.
    variant: "fastreid" is the re-ranking of FastReID since November 2020, with its default metric, cosine. Features are
    first scaled to unit length; k1 counts the image itself (the half list is that of the paper) and no k2 goes beyond
    it; an image weighs exp(-d^2), and the original distance is the cosine distance d^2 / 2, both without a division by
    the largest of the row.
    Neighbours at equal distance are taken in index order. The lists are those of exact distances between the float32
    features, however the matrix product rounded. Memory beyond arguments and answer grows as N (k1 + D), not N^2.
    Raises ValueError for a wrong shape, NaN, infinity, no rows, an option out of range or, with "fastreid", a row of
    zeros (it has no direction).
    Source: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, sections 3.2 to 3.4. The
    variant: what fastreid/utils/compute_dist.py and fastreid/evaluation/reid_evaluation.py compute.
    """
    query, gallery = _check.features(query, gallery, ("query", "gallery"))
    options = _Options(k1, k2, lambda_value, rows, variant)
    m, n = len(query), len(gallery)
    if variant == "fastreid":
        x = torch.cat([directions(query, "query"), directions(gallery, "gallery")]).float()
    else:
        x = torch.cat([query, gallery])
        x = torch.ldexp(x, -torch.frexp(x.abs().max()).exponent.clamp(-126, 126))  # exact; now no square can overflow
    plain = [np.empty((size, n), np.float32) for size in ((m, n) if rows == "all" else (m,))]
    rank, largest = neighbours_of_features(x, m, plain, options.depth(m + n))
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
    variant: str = "published",
) -> Tensor | tuple[Tensor, Tensor]:
    """`k_reciprocal` for distances of any kind, used as they are given (the published method gives it squared ones).

    query_query: (m, m), query_gallery: (m, n), gallery_gallery: (n, n), tensors or numpy arrays, smaller is nearer, not
    negative (beyond rounding). An image is its own neighbour only because the diagonals hold the smallest distances.
    With variant "fastreid" they are squared distances of unit features, 4 (beyond rounding) at most.
    Options, answer (on the device of query_gallery) and errors as for `k_reciprocal`.
    """
    options = _Options(k1, k2, lambda_value, rows, variant)
    device = _check.device_of(query_gallery)
    query_gallery = _check.distances(query_gallery, "query_gallery")
    m, n = query_gallery.shape
    query_query = _check.distances(query_query, "query_query", (m, m))
    gallery_gallery = _check.distances(gallery_gallery, "gallery_gallery", (n, n))
    names = ("query_query", "query_gallery", "gallery_gallery")
    for name, part in zip(names, (query_query, query_gallery, gallery_gallery), strict=True):
        if part.min() < -1e-5 * abs(part.max()):
            raise ValueError(f"{name}: wants distances of 0 or more, got {part.min():.6g}")
        if variant == "fastreid" and part.max() > 4.001:
            raise ValueError(f"{name}: wants squared distances of unit features, 4 at most, got {part.max():.6g}")
    rank, largest = neighbours_of_distances(query_query, query_gallery, gallery_gallery, options.depth(m + n))

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
    variant: str

    def __post_init__(self):
        _check.at_least(self.k1, 1, "k1")
        _check.at_least(self.k2, 1, "k2")
        if not isinstance(self.lambda_value, numbers.Real) or not 0 <= self.lambda_value <= 1:
            raise ValueError(f"lambda_value: wants a number in [0, 1], got {self.lambda_value!r}")
        _check.one_of(self.rows, ("query", "all"), "rows")
        _check.one_of(self.variant, ("published", "fastreid"), "variant")

    def depth(self, count: int) -> int:
        """How many neighbours of each image are ever looked at: no list can be longer."""
        return min(count, self.k1 if self.variant == "fastreid" else max(self.k1 + 1, self.k2))

    def scales(self, largest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each row's distances are multiplied by, (N,) each: in the encoding, and as the original distance."""
        if self.variant == "fastreid":
            return np.ones(len(largest)), np.full(len(largest), 0.5)
        inverse = np.divide(1.0, largest, out=np.zeros(len(largest)), where=largest > 0)  # all 0 stay 0
        return inverse, inverse


def _encode(rank: np.ndarray, largest: np.ndarray, distances: Callable, options: _Options) -> sparse.csr_array:
    """The encoding V (N, N) of every image: Gaussian weights on its expanded k-reciprocal set, averaged over k2.

    rank: (N, depth); with "fastreid" its k1 columns are fewer than the k1 + 1, and maybe the k2, that are asked for.
    """
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
    weight = np.exp(-distances(i, j) * options.scales(largest)[0][i])
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


def _answer(encoding, largest, plain: list, out: list, options: _Options, device) -> Tensor | tuple[Tensor, Tensor]:
    """Final distances of the query rows and, if wanted, of the gallery rows. plain and out may be the same arrays."""
    m, n = plain[0].shape
    of_gallery = encoding[m:].tocsc()  # by column: gallery images and their weights
    scale = options.scales(largest)[1]
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
