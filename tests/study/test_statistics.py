"""The paired bootstrap and the verdict rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from reidlib.study.statistics import Difference, bootstrap, order_agreement, paired_difference, verdict


def slow_bootstrap(a, b, resamples, rng):
    """Draw seeds, draw queries, average: one loop a resample."""
    d, means = np.asarray(a) - np.asarray(b), []
    for _ in range(resamples):
        seeds = rng.integers(0, d.shape[0], d.shape[0])
        queries = rng.integers(0, d.shape[1], d.shape[1])
        means.append(np.mean([d[s, q] for s in seeds for q in queries]))
    return np.percentile(means, (2.5, 97.5))


def test_agrees_with_the_slow_bootstrap():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1.0, 1.0, (3, 20)), rng.normal(0.0, 1.0, (3, 20))
    fast = paired_difference(a, b, resamples=20_000)
    low, high = slow_bootstrap(a, b, 3_000, rng)
    assert fast.mean == pytest.approx((a - b).mean())
    assert (fast.low, fast.high) == (pytest.approx(low, abs=0.06), pytest.approx(high, abs=0.06))


def test_covers_the_truth_about_as_often_as_it_says():
    """With many seeds: 95 % intervals of a difference of 0.5 hold it in most of 200 repetitions."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        d = 0.5 + rng.normal(0, 0.5, (12, 1)) + rng.normal(0, 1.0, (1, 60)) + rng.normal(0, 0.3, (12, 60))
        found = paired_difference(d, np.zeros_like(d), resamples=600)
        hits += found.low <= 0.5 <= found.high
    assert 170 <= hits <= 199


def test_one_seed_and_sign():
    d = paired_difference(np.full((1, 5), 2.0), np.full((1, 5), 3.0))
    assert (d.mean, d.low, d.high) == (-1.0, -1.0, -1.0)


@pytest.mark.parametrize(
    ("reported", "ours", "expected"),
    [
        (2.0, Difference(1.0, 0.2, 1.8), "reproduced"),
        (-0.3, Difference(-1.0, -1.8, -0.2), "reproduced"),
        (2.0, Difference(-1.0, -1.8, -0.2), "contradicted"),
        (2.0, Difference(1.0, -0.2, 1.8), "not distinguishable"),
        (0.0, Difference(1.0, 0.2, 1.8), "not distinguishable"),
    ],
)
def test_verdict(reported, ours, expected):
    assert verdict(reported, ours) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [(np.ones((2, 3)), np.ones((2, 4))), (np.ones(3), np.ones(3)), (np.full((1, 2), np.nan), np.ones((1, 2)))],
)
def test_bad_input(a, b):
    with pytest.raises(ValueError, match="a, b"):
        paired_difference(a, b)


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios():
    wrong, steps = np.array([[1.0, 0.0, 1.0]]), np.array([[2.0, 19.0, 5.0]])
    found = bootstrap(lambda mean: mean[:, 0] / mean[:, 1], [wrong, steps], resamples=4_000)
    assert found.mean == pytest.approx(2 / 26)
    rng, values = np.random.default_rng(3), []
    for _ in range(4_000):
        drawn = rng.integers(0, 3, 3)
        values.append(wrong[0, drawn].sum() / steps[0, drawn].sum())
    low, high = np.percentile(values, (2.5, 97.5))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.05))


def test_resamples_without_the_rare_event_are_left_out():
    rare, gain = np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[3.0, 9.0, 9.0, 9.0]])
    found = bootstrap(lambda mean: mean[:, 0] / mean[:, 1], [gain * rare, rare])
    assert (found.mean, found.low, found.high) == (3.0, 3.0, 3.0)
    undefined = bootstrap(lambda mean: mean[:, 0] / mean[:, 1], [gain, 0 * rare])
    assert np.isnan(undefined.mean) and verdict(1.0, undefined) == "not distinguishable"


def test_rows_of_different_queries_are_refused():
    with pytest.raises(ValueError):
        bootstrap(lambda mean: mean[:, 0], [np.ones((2, 3)), np.ones((2, 4))])


def test_order_agreement_is_kendalls_tau_b():
    rng = np.random.default_rng(5)
    means, reported = rng.integers(0, 9, (20, 7)).astype(float), [94.3, 97.1, 95.8, 95.8, 96.0, 93.9, 95.8]
    wanted = [kendalltau(row, reported).statistic for row in means]
    assert order_agreement(means, reported) == pytest.approx(wanted)
