"""What the package is compared with: each method as its paper or report writes it down, in straightforward numpy.

Dense matrices, one step after the other. m queries, n gallery images, N = m + n with the queries first.
"""

from __future__ import annotations

import numpy as np


def k_reciprocal(distances: np.ndarray, queries: int, k1: int = 20, k2: int = 6, lambda_value: float = 0.3):
    """(m, n) re-ranked distances from (N, N) squared ones. Zhong et al. (CVPR 2017), sections 3.2 to 3.4, float32."""
    count = len(distances)
    original = distances / distances.max(axis=1, keepdims=True)
    rank = np.argsort(distances, axis=1, kind="stable")
    listed = np.zeros((count, count), bool)
    half = np.zeros((count, count), bool)
    np.put_along_axis(listed, rank[:, : k1 + 1], True, axis=1)
    np.put_along_axis(half, rank[:, : round(k1 / 2) + 1], True, axis=1)
    listed &= listed.T
    half &= half.T

    encoding = np.zeros((count, count), np.float32)
    for i in range(count):
        members = listed[i].copy()
        for j in np.flatnonzero(listed[i]):
            if 3 * np.count_nonzero(half[j] & listed[i]) > 2 * np.count_nonzero(half[j]):
                members |= half[j]
        weight = np.exp(-original[i, members])
        encoding[i, members] = weight / weight.sum()
    if k2 > 1:
        encoding = np.stack([encoding[rank[i, :k2]].mean(axis=0) for i in range(count)])

    out = np.empty((queries, count - queries), np.float32)
    for i in range(queries):
        smaller = np.minimum(encoding[i], encoding[queries:]).sum(axis=1)
        out[i] = (1 - lambda_value) * (1 - smaller / (2 - smaller)) + lambda_value * original[i, queries:]
    return out


def mine(query_gallery, gallery_gallery, window=1, reference=False, aggregate="mean"):
    """(m, n) rankings. Report `vtrm`, Algorithm 1 and section 3.2, one step after the other.

    Global keeps the sum (or the smallest) over the sequence from step to step, for otherwise it would never end.
    """
    m, n = query_gallery.shape
    ranking = np.empty((m, n), np.int64)
    for i in range(m):
        remaining = np.ones(n, bool)
        sequence = []  # what was retrieved; the query stands before it
        whole = query_gallery[i].astype(np.float64)
        for step in range(n):
            if window is None:
                score = whole.copy()
            else:
                members = [gallery_gallery[g] for g in sequence[-window:]]
                if len(sequence) < window or reference:
                    members.append(query_gallery[i])
                score = np.min(members, axis=0) if aggregate == "min" else np.mean(members, axis=0, dtype=np.float64)
            score[~remaining] = np.inf
            chosen = int(np.argmin(score))
            if window is None:
                combine = np.minimum if aggregate == "min" else np.add
                whole = combine(whole, gallery_gallery[chosen])
            sequence.append(chosen)
            remaining[chosen] = False
            ranking[i, step] = chosen
    return ranking


def vote(rankings: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(m, n) fused rankings of (K, m, n). Report `vtrm`, Algorithm 2, in plain Python: lists and dictionaries."""
    models, queries, gallery = rankings.shape
    fused = []
    for i in range(queries):
        lists = [rankings[k, i].tolist() for k in range(models)]
        distance_of = [distances[k, i].tolist() for k in range(models)]
        taken, order = set(), []
        at = [0] * models
        for _ in range(gallery):
            votes: dict[int, list[int]] = {}
            for k in range(models):
                while lists[k][at[k]] in taken:
                    at[k] += 1
                votes.setdefault(lists[k][at[k]], []).append(k)
            best = min(votes, key=lambda image: (
                -len(votes[image]), min(distance_of[k][image] for k in votes[image]), image))  # noqa: B023
            taken.add(best)
            order.append(best)
        fused.append(order)
    return np.array(fused)


def evaluate(distances: np.ndarray, query, gallery) -> tuple[np.ndarray, float, float]:
    """CMC (n,), mAP and mINP by Market-1501's protocol, by sorting every row. query, gallery: Labels."""
    firsts, precisions, penalties = [], [], []
    for i, row in enumerate(distances):
        order = np.argsort(row, kind="stable")
        same = gallery.person[order] == query.person[i]
        kept = (gallery.person[order] != -1) & ~(same & (gallery.camera[order] == query.camera[i]))
        ranks = np.flatnonzero(same[kept]) + 1
        if len(ranks):
            firsts.append(ranks[0])
            precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
            penalties.append(len(ranks) / ranks[-1])
    cmc = [(np.array(firsts) <= k).mean() for k in range(1, distances.shape[1] + 1)]
    return np.array(cmc), float(np.mean(precisions)), float(np.mean(penalties))
