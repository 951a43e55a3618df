"""Slow, obvious versions of the retrieval methods, written from the papers and the reports."""

from fractions import Fraction

import numpy as np


def euclidean(x, y):
    """Distances (m, n) of rows, one pair at a time, in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return np.array([[np.sqrt(((a - b) ** 2).sum()) for b in y] for a in x])


def k_reciprocal(distances, queries, k1, k2, lambda_value):
    """Zhong et al. (CVPR 2017), dense, step by step.

    distances: (N, N) over queries and gallery, the queries first. Returns the gallery's columns of all N rows.
    """
    distances = np.asarray(distances, np.float64)
    count = len(distances)
    largest = distances.max(axis=1, keepdims=True)
    normalised = distances / np.where(largest > 0, largest, 1)
    order = np.argsort(distances, axis=1, kind="stable")

    def reciprocal(i, k):
        """Images j among i's k + 1 nearest that have i among their own k + 1 nearest."""
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    half = int(np.around(k1 / 2))
    v = np.zeros((count, count))
    for i in range(count):
        own = reciprocal(i, k1)
        expanded = set(own)
        for j in own:
            candidate = reciprocal(j, half)
            if len(candidate & own) > Fraction(2, 3) * len(candidate):
                expanded |= candidate
        members = sorted(expanded)
        if members:
            weight = np.exp(-normalised[i, members])
            v[i, members] = weight / weight.sum()
    if k2 != 1:
        v = np.array([v[order[i, :k2]].mean(axis=0) for i in range(count)])

    jaccard = np.zeros((count, count))
    for i in range(count):
        smaller = np.minimum(v[i], v).sum(axis=1)
        jaccard[i] = 1 - smaller / (2 - smaller)
    return (jaccard * (1 - lambda_value) + normalised * lambda_value)[:, queries:]


def k_reciprocal_fastreid(features, queries, k1, k2, lambda_value):
    """FastReID's re-ranking with its cosine metric, dense, step by step.

    features: (N, D) of unit length, the queries first. Returns the gallery's columns of all N rows.
    """
    features = np.asarray(features, np.float64)
    count = len(features)
    squared = euclidean(features, features) ** 2
    found = [list(np.argsort(row, kind="stable")[:k1]) for row in squared]  # what the search returns, itself included

    def reciprocal(i, size):
        return {j for j in found[i][:size] if i in found[j][:size]}

    v = np.zeros((count, count))
    for i in range(count):
        own = reciprocal(i, k1)
        expanded = set(own)
        for j in own:
            candidate = reciprocal(j, int(np.around(k1 / 2)) + 1)
            if len(candidate & own) > Fraction(2, 3) * len(candidate):
                expanded |= candidate
        total = sum(np.exp(-squared[i, j]) for j in expanded)
        for j in expanded:
            v[i, j] = np.exp(-squared[i, j]) / total
    if k2 != 1:
        v = np.array([v[found[i][:k2]].mean(axis=0) for i in range(count)])

    out = np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            smaller = np.minimum(v[i], v[j]).sum()
            out[i, j] = (1 - lambda_value) * (1 - smaller / (2 - smaller))
            out[i, j] += lambda_value * (1 - features[i] @ features[j])
    return out[:, queries:]


def mine(query_gallery, gallery_gallery, window=1, reference=False, aggregate="mean", depth=None):
    """Algorithm 1 of report `vtrm` and its variants (section 3.2), one image at a time, in exact arithmetic."""
    whole = np.issubdtype(np.asarray(query_gallery).dtype, np.integer)
    exact = int if whole else lambda value: Fraction(float(value))
    to_gallery = [[exact(d) for d in row] for row in gallery_gallery]
    n = len(to_gallery)
    rankings = []
    for query_row in query_gallery:
        of_query = [exact(d) for d in query_row]
        sequence = ["query"]
        remaining = list(range(n))
        for _ in range(n if depth is None else min(depth, n)):
            members = sequence if window is None else sequence[-window:]
            if reference and "query" not in members:
                members = ["query", *members]
            rows = [of_query if member == "query" else to_gallery[member] for member in members]
            together = min if aggregate == "min" else sum  # as many members for every image: the sum is the mean
            chosen = min(remaining, key=lambda g: (together(row[g] for row in rows), g))  # noqa: B023
            sequence.append(chosen)
            remaining.remove(chosen)
        rest = sorted(remaining, key=lambda g: (of_query[g], g))  # noqa: B023
        rankings.append(sequence[1:] + rest)
    return np.array(rankings)


def average_precision_of_groups(matches, distances):
    """Sum over distinct distances of (recall there - recall before) * precision there, as scikit-learn defines AP."""
    matches, distances = np.asarray(matches), np.asarray(distances)
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(distances)):
        retrieved = matches[distances <= threshold]
        recall = retrieved.sum() / matches.sum()
        total += (recall - recall_before) * retrieved.mean()
        recall_before = recall
    return total


def evaluate(distances, query, gallery, protocol):
    """(average precision of each query, CMC, mINP), one query at a time, by sorting; None where there is no match.

    query, gallery: dictionaries of person, camera and sequence.
    """
    precisions, firsts, penalties = [], [], []
    for i, row in enumerate(np.asarray(distances, np.float64)):
        ranking, matches = [], []
        for g in np.argsort(row, kind="stable"):
            same = gallery["person"][g] == query["person"][i]
            same_camera = gallery["camera"][g] == query["camera"][i]
            if protocol != "synergyreid" and (gallery["person"][g] == -1 or same and same_camera):
                continue
            if protocol == "mars-9330" and gallery["sequence"][g] in query["sequence"]:
                continue
            ranking.append(g)
            matches.append(bool(same))
        if not any(matches):
            precisions.append(None)
            continue
        if protocol == "synergyreid":
            precision = average_precision_of_groups(matches, row[ranking])
        else:
            parts, before = [], 1.0  # the official program of MARS starts from a precision of 1
            for position, same in enumerate(matches, start=1):
                here = sum(matches[:position]) / position
                if same:
                    parts.append((before + here) / 2 if protocol == "mars" else here)
                before = here
            precision = sum(parts) / len(parts)
        precisions.append(precision)
        positions = [position for position, same in enumerate(matches, start=1) if same]
        firsts.append(positions[0])
        penalties.append(len(positions) / positions[-1])
    if not firsts:
        return precisions, None, None
    cmc = [np.mean([first <= k for first in firsts]) for k in range(1, len(gallery["person"]) + 1)]
    return precisions, cmc, np.mean(penalties)
