"""Voting against Algorithm 2 of the report, line by line with sets and dicts; sums against a loop."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.retrieval import fusion

both_ways = pytest.mark.parametrize("tied", ["min", "mean"])


def mean(values):
    return sum(map(Fraction, values)) / len(values)


def algorithm_2(rankings, distances, tied):
    """Lines 7 to 31, in exact arithmetic, with the readings of fusion.vote: distances of all proposing models, index.

    tied: "min" or "mean" of those distances.
    """
    together = {"min": min, "mean": mean}[tied]
    output = []
    for i in range(len(rankings[0])):
        fused = []
        for _ in range(len(rankings[0][0])):
            votes, proposed = {}, {}
            for ranking, distance in zip(rankings, distances, strict=True):
                c = next(image for image in ranking[i] if image not in fused)
                votes[c] = votes.get(c, 0) + 1
                proposed[c] = [*proposed.get(c, []), distance[i][c]]
            most = max(votes.values())
            candidates = [c for c in votes if votes[c] == most]
            fused.append(min(candidates, key=lambda c: (together(proposed[c]), c)))  # noqa: B023
        output.append(fused)
    return output


def test_by_hand():
    """One query: 2 wins by votes; then 0, 1 and 3 have one vote each and 3 is nearest; then 0 wins by votes."""
    rankings = np.array([[[2, 0, 1, 3]], [[2, 1, 0, 3]], [[3, 2, 0, 1]]])
    distances = np.array([[[0.4, 0.5, 0.1, 0.9]], [[0.6, 0.45, 0.2, 0.9]], [[0.7, 0.8, 0.3, 0.2]]])
    assert fusion.vote(rankings, distances).tolist() == [[2, 3, 0, 1]]


def test_two_readings_of_tied():
    """Two votes each: 1 is 0.1 or 0.8 from the query, 0.45 in the mean; 0 is 0.3 or 0.4, 0.35 in the mean.

    What a model thinks of an image that it does not propose (here 0) does not count.
    """
    rankings = np.array([[[0, 1]], [[1, 0]], [[0, 1]], [[1, 0]]])
    distances = np.array([[[0.3, 0.0]], [[0.0, 0.1]], [[0.4, 0.0]], [[0.0, 0.8]]])
    assert fusion.vote(rankings, distances).tolist() == [[1, 0]]
    assert fusion.vote(rankings, distances, tied="min").tolist() == [[1, 0]]
    assert fusion.vote(rankings, distances, tied="mean").tolist() == [[0, 1]]


@both_ways
@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 12), st.integers(0, 2**32 - 1), st.booleans())
def test_is_algorithm_2(tied, models, m, n, seed, ties):
    rng = np.random.default_rng(seed)
    rankings = rng.permuted(np.tile(np.arange(n), (models, m, 1)), axis=2)
    distances = rng.integers(0, 3, (models, m, n)).astype(float) if ties else rng.random((models, m, n))
    want = algorithm_2(rankings.tolist(), distances.tolist(), tied)
    assert fusion.vote(rankings, distances, tied=tied).tolist() == want


@both_ways
def test_one_model_and_equal_models_are_themselves(tied):
    rng = np.random.default_rng(0)
    ranking, distances = rng.permuted(np.tile(np.arange(9), (4, 1)), axis=1), rng.random((4, 9))
    for models in (1, 3):
        fused = fusion.vote(np.stack([ranking] * models), np.stack([distances] * models), tied=tied)
        assert fused.tolist() == ranking.tolist()


@both_ways
def test_order_of_models_does_not_matter(tied):
    rng = np.random.default_rng(1)
    rankings, distances = rng.permuted(np.tile(np.arange(20), (5, 3, 1)), axis=2), rng.random((5, 3, 20))
    fused, backwards = (fusion.vote(rankings[::s], distances[::s], tied=tied) for s in (1, -1))
    assert torch.equal(fused, backwards)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_sum(device, dtype):
    distances = torch.rand(3, 4, 5, dtype=torch.float64).to(dtype).to(device)
    fused = fusion.sum_distances(distances)
    assert fused.device == distances.device
    want = [[sum(float(distances[k, i, j]) for k in range(3)) for j in range(5)] for i in range(4)]
    assert torch.allclose(fused.double().cpu(), torch.tensor(want, dtype=torch.float64), atol=1e-6)


RANKINGS, DISTANCES = np.array([[[0, 1]], [[1, 0]]]), np.zeros((2, 1, 2))


@pytest.mark.parametrize(
    ("rankings", "distances", "message"),
    [
        (RANKINGS, np.zeros((2, 1, 3)), r"shape \(2, 1, 2\) wants distances of the same shape, got \(2, 1, 3\)"),
        (RANKINGS, np.full((2, 1, 2), np.nan), "distances: 4 of 4 values are NaN"),
        (RANKINGS[0], DISTANCES, "rankings: wants shape"),
        (np.array([[[0, 0]], [[1, 0]]]), DISTANCES, "rankings: every row wants each of the 2 gallery indices once"),
        (RANKINGS.astype(float), DISTANCES, "rankings: wants integers"),
        (RANKINGS[:0], DISTANCES[:0], "rankings: empty"),
        (RANKINGS, DISTANCES[0], "distances: wants shape"),
    ],
)
def test_bad_input(rankings, distances, message):
    with pytest.raises(ValueError, match=message):
        fusion.vote(rankings, distances)


def test_bad_option():
    with pytest.raises(ValueError, match="tied: 'max' is not one of 'min', 'mean'"):
        fusion.vote(RANKINGS, DISTANCES, tied="max")
