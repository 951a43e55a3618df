"""Variance components: recovered from differences whose components are known, and used as the formula says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlib.study import power
from reidlib.study.power import Components, components

TRUE = Components(seed=4.0, query=100.0, rest=225.0)


def drawn(of: Components, mean: float, seeds: int, queries: int, generator: np.random.Generator) -> np.ndarray:
    """(S, m) a difference made of its three parts."""
    return (
        mean
        + math.sqrt(of.seed) * generator.standard_normal((seeds, 1))
        + math.sqrt(of.query) * generator.standard_normal((1, queries))
        + math.sqrt(of.rest) * generator.standard_normal((seeds, queries))
    )


def test_components_are_recovered():
    generator = np.random.default_rng(0)
    found = [components(drawn(TRUE, 3.0, 8, 200, generator)) for _ in range(200)]
    for name in ("seed", "query", "rest"):
        assert np.mean([getattr(one, name) for one in found]) == pytest.approx(getattr(TRUE, name), rel=0.1), name


def test_components_of_a_table_by_hand():
    """Seeds differ by 2, queries by 4, nothing is left: 2 seeds have variance 2, 2 queries 8."""
    assert components([[0.0, 4.0], [2.0, 6.0]]) == Components(2.0, 8.0, 0.0)
    assert components([[1.0, -1.0], [-1.0, 1.0]]) == Components(0.0, 0.0, 4.0), "no component is below 0"


def test_the_error_is_that_of_many_tables():
    generator = np.random.default_rng(1)
    means = [drawn(TRUE, 0.0, 3, 50, generator).mean() for _ in range(4000)]
    assert np.std(means) == pytest.approx(TRUE.error(3, 50), rel=0.05)
    beyond = np.mean(np.abs(means) > power.margin(TRUE, seeds=3, queries=50))
    assert beyond == pytest.approx(power.SIGNIFICANT, abs=0.015)


def test_a_detectable_difference_is_seen_as_often_as_promised():
    generator = np.random.default_rng(2)
    difference = TRUE.detectable(3, 50)
    means = [drawn(TRUE, difference, 3, 50, generator).mean() for _ in range(4000)]
    assert np.mean(np.abs(means) > power.margin(TRUE, seeds=3, queries=50)) == pytest.approx(power.POWER, abs=0.02)


@given(
    st.builds(Components, *[st.floats(0, 400)] * 3),
    st.sampled_from(power.DIFFERENCES),
    st.integers(1, 20),
)
def test_queries_are_the_fewest_that_do(of, difference, seeds):
    queries = of.queries(difference, seeds)
    if math.isinf(queries):
        assert of.detectable(seeds, 10**9) >= difference * (1 - 1e-3), "the seeds alone are too uncertain"
        return
    assert of.detectable(seeds, max(1, queries)) <= difference * (1 + 1e-6)
    if queries > 1:
        assert of.detectable(seeds, queries - 1) > difference * (1 - 1e-6)


def test_median_is_taken_part_by_part():
    found = power.median([Components(0.0, 5.0, 7.0), Components(1.0, 3.0, 9.0), Components(9.0, 4.0, 8.0)])
    assert found == Components(1.0, 4.0, 8.0)


@pytest.mark.parametrize("difference", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0], [[1.0, np.nan], [1.0, 2.0]]])
def test_one_seed_or_query_is_refused(difference):
    with pytest.raises(ValueError, match="difference: wants finite values of 2 or more seeds and queries"):
        components(difference)
