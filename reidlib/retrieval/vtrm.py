"""Video temporal relationship mining: walk from frame to frame instead of sorting once (report `vtrm`, section 3).

m queries, n gallery images. The sequence of a query is the query itself, then the images retrieved so far.
"""

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from reidlib.retrieval import _check
from reidlib.retrieval._nearest import nearest
from reidlib.retrieval._rows import walk_rows

_LISTED = 128  # neighbours of each image that are sorted beforehand


def mine(
    query_gallery,
    gallery_gallery,
    window: int | None = 1,
    reference: bool = False,
    aggregate: str = "mean",
    depth: int | None = None,
) -> Tensor:
    """Rank the gallery by retrieving, again and again, the image nearest to the last members of the sequence.

    query_gallery: (m, n), gallery_gallery: (n, n) distances, smaller is nearer, tensors or numpy arrays; row r of the
    latter holds the distances *from* image r (re-ranked distances are not symmetric).
    window: how many members at the end of the sequence search for the next image, None for all of them (Global). The
    query is the first member: with window=2 the first step searches from the query alone, the second from the query and
    the first retrieved image, the third from the first and second. A window larger than the gallery is Global.
    reference: the query searches along at every step; it counts once while it is still inside the window.
    aggregate: "mean" or "min" of the members' distances to a remaining image. The report does not say which; its own
    order of variants came out with the mean. With one member they are the same.
    depth: how many images to retrieve by walking, None for all; the rest follow by their distance to the query.
    Returns (m, n) int64 gallery indices, nearest first, on the device of query_gallery; ties go to the lower index.

    Nothing drifts as the window slides, the order of members does not matter, and equal means are equal: the sum of two
    distances is rounded once, to float64, and sums of more are exact, of distances read on a grid of 2^-53 times
    (members x largest distance), fine enough to hold every float32 value down to about 2^-29 / members of the largest.
    Raises ValueError for a wrong shape, NaN, infinity, no images, or an option out of range.
    Source: Video Temporal Relationship Mining for Data-Efficient Person Re-identification, Algorithm 1 and section 3.2.
    """
    device = _check.device_of(query_gallery)
    query_gallery = _check.distances(query_gallery, "query_gallery")
    m, n = query_gallery.shape
    gallery_gallery = _check.distances(gallery_gallery, "gallery_gallery", (n, n))
    both = np.promote_types(query_gallery.dtype, gallery_gallery.dtype)
    query_gallery, gallery_gallery = query_gallery.astype(both, copy=False), gallery_gallery.astype(both, copy=False)
    window = n if window is None else min(n, _check.at_least(window, 1, "window"))
    depth = n if depth is None else min(n, _check.at_least(depth, 0, "depth"))
    _check.one_of(aggregate, ("mean", "min"), "aggregate")

    if aggregate == "min" and window < n or window == 1 and not reference:
        # the nearest of several is the nearest of one of them: sorted lists will do, if enough walks share them
        listed = min(n, depth, _LISTED) if m * depth > 4 * n else 0
        lists = [nearest(part, listed) for part in (query_gallery, gallery_gallery)]
        ranking = _walk_lists(query_gallery, gallery_gallery, *lists, window, reference, depth)
    else:
        anchor = _anchor(query_gallery, gallery_gallery, members=window + reference)
        ranking = walk_rows(query_gallery, gallery_gallery, window, reference, aggregate == "min", depth, anchor)
    if depth < n:
        _append_rest(ranking, depth, query_gallery)
    return torch.from_numpy(ranking).to(device)


def _anchor(query_gallery: np.ndarray, gallery_gallery: np.ndarray, members: int) -> float:
    """The a for which (d + a) - a puts a float64 d on a grid where the sum of so many distances is exact."""
    parts = query_gallery, gallery_gallery
    largest = max(abs(float(extreme)) for part in parts for extreme in (part.min(), part.max()))
    _, exponent = math.frexp(2 * max(2, members) * largest)  # sums stay below 2^exponent = 2^53 grid steps
    return math.ldexp(1.5, exponent - 1)


def _append_rest(ranking: np.ndarray, depth: int, query_gallery: np.ndarray) -> None:
    """Fill ranking (m, n) from column `depth` on with the images not yet in it, by their distance to the query."""
    for found, row in zip(ranking, query_gallery, strict=True):
        order = _order(row)
        left = np.ones(len(row), bool)
        left[found[:depth]] = False
        found[depth:] = order[left[order]]


def _order(row: np.ndarray) -> np.ndarray:
    """The stable order of distances (n,). float32: value and index sorted as one integer, with vector instructions."""
    if row.dtype != np.float32:
        return np.argsort(row, kind="stable")
    bits = (row + np.float32(0)).view(np.int32)  # + 0 makes -0.0 equal to 0.0 in bits, too
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) << 32  # now they sort as the values do
    keys |= np.arange(len(row))
    keys.sort()
    return keys & 0xFFFFFFFF


@njit(cache=True, parallel=True)
def _walk_lists(query_gallery, gallery_gallery, near_query, near_gallery, window, reference, depth):
    """Walk by the smallest distance of any member. near_*: (rows, listed) the nearest images of each row, sorted.

    Every member keeps its nearest image and goes to its next one only when that is taken and would have been chosen.
    """
    m, n = query_gallery.shape
    ranking = np.empty((m, n), np.int64)
    for i in prange(m):
        taken = np.zeros(n, np.bool_)
        left = np.arange(n)  # what is not taken, ascending, and some of what is
        left_count, open_count = n, n
        at = np.empty(depth, np.int64)  # by position in the sequence: place in its list,
        image = np.empty(depth, np.int64)  # its nearest image,
        distance = np.empty(depth, np.float64)  # and how far that is
        for step in range(depth):
            member = step  # the newest member has not looked yet
            at[member] = -1
            first = max(0, step + 1 - window)
            while True:
                row = query_gallery[i] if member == 0 else gallery_gallery[ranking[i, member - 1]]
                near = near_query[i] if member == 0 else near_gallery[ranking[i, member - 1]]
                at[member] += 1
                while at[member] < near.shape[0] and taken[near[at[member]]]:
                    at[member] += 1
                if at[member] < near.shape[0]:
                    image[member] = near[at[member]]
                    distance[member] = row[image[member]]
                else:  # the list is used up: look at all that is left
                    if 2 * open_count < left_count:
                        left_count = _drop_taken(left, left_count, taken)
                    distance[member] = np.inf
                    for k in range(left_count):
                        if not taken[left[k]] and row[left[k]] < distance[member]:
                            image[member] = left[k]
                            distance[member] = row[left[k]]
                member = 0 if reference else first
                for other in range(first, step + 1):
                    closer = distance[other] < distance[member]
                    tied = distance[other] == distance[member] and image[other] < image[member]
                    if closer or tied:
                        member = other
                if not taken[image[member]]:
                    break
            ranking[i, step] = image[member]
            taken[image[member]] = True
            open_count -= 1
    return ranking


@njit(cache=True)
def _drop_taken(left, count, taken):
    """Move what is not taken to the front of left[:count], in order; return how many that are."""
    kept = 0
    for k in range(count):
        if not taken[left[k]]:
            left[kept] = left[k]
            kept += 1
    return kept
