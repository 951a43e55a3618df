"""Fusing several models: votes over their rankings (report `vtrm`, Algorithm 2) or the sum of their distances.

K models, m queries, n gallery images.
"""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from reidlib.retrieval import _check


def vote(rankings, distances, *, tied: str = "min") -> Tensor:
    """Rank by vote: at every step each model proposes its first image that is not yet taken; most votes win.

    rankings: (K, m, n) integers, each model's gallery indices, nearest first. distances: (K, m, n), each model's
    distances between queries and gallery, which decide ties: "the image with the closest distance to the original
    query from the tie candidates". After that the lower index wins.
    tied: which distance counts for an image that several models propose, and that so has several: "min", the smallest
    of the proposing models', or "mean", their mean. An option because the report leaves it open.
    Returns (m, n) int64 gallery indices on the device of rankings.
    Raises ValueError for other shapes, rankings that are not permutations, NaN, infinity, empty arguments or another
    tied.
    Source: Video Temporal Relationship Mining for Data-Efficient Person Re-identification, Algorithm 2 and section 3.3.
    """
    device = _check.device_of(rankings)
    _check.one_of(tied, ("min", "mean"), "tied")
    rankings = _check.integers(rankings, "rankings", (None, None, None))
    if rankings.size == 0:
        raise ValueError(f"rankings: empty, shape {rankings.shape}")
    if not _permutations(rankings.reshape(-1, rankings.shape[2])).all():
        raise ValueError(f"rankings: every row wants each of the {rankings.shape[2]} gallery indices once")
    distances = _stack(distances)
    if distances.shape != rankings.shape:
        raise ValueError(
            f"rankings: shape {rankings.shape} wants distances of the same shape, got {tuple(distances.shape)}"
        )
    return torch.from_numpy(_vote(rankings, distances.cpu().numpy(), tied == "mean")).to(device)


def sum_distances(distances) -> Tensor:
    """(K, m, n) distances of K models -> (m, n) their sum, in float64 inside, on the same device.

    Plain, as report `along` has it; models of unlike scale want their distances scaled first.
    Raises ValueError for another shape, NaN, infinity or an empty argument.
    Source: A Technical Report for ICCV 2021 VIPriors Re-identification Challenge, section 3.3.
    """
    distances = _stack(distances)
    return distances.sum(dim=0, dtype=torch.float64).to(distances.dtype)


def _stack(distances) -> Tensor:
    """A finite (K, m, n) tensor, checked by `_check.matrix` as K matrices on top of each other."""
    shape = tuple(np.shape(distances))
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"distances: wants shape (models, queries, gallery), none of them 0, got {shape}")
    flat = distances.reshape(-1, shape[2]) if isinstance(distances, Tensor) else np.reshape(distances, (-1, shape[2]))
    return _check.matrix(flat, "distances").reshape(shape).contiguous()


@njit(cache=True, parallel=True)
def _permutations(rows):
    """(N,) bool: which of the rows (N, n) hold every index from 0 to n - 1 once."""
    count, n = rows.shape
    good = np.empty(count, np.bool_)
    for i in prange(count):
        seen = np.zeros(n, np.bool_)
        for image in rows[i]:
            if image < 0 or image >= n or seen[image]:
                break
            seen[image] = True
        good[i] = seen.all()
    return good


@njit(cache=True, parallel=True)
def _vote(rankings, distances, mean):
    models, m, n = rankings.shape
    fused = np.empty((m, n), np.int64)
    for i in prange(m):
        taken = np.zeros(n, np.bool_)
        at = np.zeros(models, np.int64)  # how far each model's ranking is read
        proposed = np.empty(models, np.int64)
        far = np.empty(models, np.float64)  # from the query to what each model proposes, by that model
        best = -1
        for step in range(n):
            for k in range(models):
                if step and proposed[k] != best:  # still free
                    continue
                while taken[rankings[k, i, at[k]]]:
                    at[k] += 1
                proposed[k] = rankings[k, i, at[k]]
                far[k] = distances[k, i, proposed[k]]
            best, best_votes, best_distance = -1, 0, np.inf
            for k in range(models):
                image, votes, distance = proposed[k], 0, 0.0 if mean else np.inf
                for other in range(k, models):  # who repeats an earlier proposal counts fewer votes, and loses to it
                    if proposed[other] == image:
                        votes += 1
                        if mean:  # by the float64 sum: whoever ties has as many votes, so it is the mean times that
                            distance += far[other]
                        else:
                            distance = min(distance, far[other])
                nearer = distance < best_distance or (distance == best_distance and image < best)
                if votes > best_votes or (votes == best_votes and nearer):
                    best, best_votes, best_distance = image, votes, distance
            fused[i, step] = best
            taken[best] = True
    return fused
