"""How many queries and seeds tell two rows of a table apart: variance components of a paired difference.

The difference of two rows in a query's average precision, d = a - b for S seeds and m queries, varies for three
reasons: runs of another seed, other queries, and what is left, the query in that run. Its mean over S seeds and m
queries has the variance seed / S + query / m + rest / (S m). What is estimated from one pair of rows with a few seeds
is rough, above all the seeds' part; the median over many pairs less so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

SIGNIFICANT, POWER = 0.05, 0.8  # two-sided; the chance to see a difference that is there
STEPS = float(norm.ppf(1 - SIGNIFICANT / 2) + norm.ppf(POWER))  # standard errors that such a difference has to be
DIFFERENCES = (0.5, 1.0, 2.0)  # points of mAP
SEEDS = (1, 3, 5, 10)
REPORTS_QUERIES = 50  # of SynergyReID's validation split


@dataclass(frozen=True)
class Components:
    """Variances of a difference in points squared, none below 0: of seeds, of queries, of a query in a run."""

    seed: float
    query: float
    rest: float

    def error(self, seeds: int, queries: int) -> float:
        """Standard error of the mean difference over so many seeds and queries."""
        return math.sqrt(self.seed / seeds + self.query / queries + self.rest / (seeds * queries))

    def detectable(self, seeds: int, queries: int) -> float:
        """The smallest true difference, in points, that is told from 0 with the chance POWER."""
        return STEPS * self.error(seeds, queries)

    def queries(self, difference: float, seeds: int) -> float:
        """How many queries tell a difference with so many seeds; infinite where the seeds alone are too uncertain."""
        left = (difference / STEPS) ** 2 - self.seed / seeds
        return math.ceil((self.query + self.rest / seeds) / left) if left > 0 else math.inf


def components(difference: ArrayLike) -> Components:
    """Two-way random-effects analysis of variance of one (S, m) difference, in points.

    Raises ValueError for fewer than 2 seeds or queries: one seed does not tell what another would give.
    """
    d = np.asarray(difference, dtype=float)
    if d.ndim != 2 or min(d.shape) < 2 or not np.isfinite(d).all():
        raise ValueError(f"difference: wants finite values of 2 or more seeds and queries, got shape {d.shape}")
    seeds, queries = d.shape
    by_seed, by_query, mean = d.mean(axis=1), d.mean(axis=0), d.mean()
    rest = ((d - by_seed[:, None] - by_query + mean) ** 2).sum() / ((seeds - 1) * (queries - 1))
    seed = by_seed.var(ddof=1) - rest / queries
    query = by_query.var(ddof=1) - rest / seeds
    return Components(max(0.0, float(seed)), max(0.0, float(query)), float(rest))


def median(of: Sequence[Components]) -> Components:
    """Each part's median over pairs of rows."""
    return Components(*(float(np.median([getattr(one, name) for one in of])) for name in ("seed", "query", "rest")))


def margin(of: Components, *, seeds: int = 1, queries: int = REPORTS_QUERIES) -> float:
    """What two rows of equal worth differ by, at most, in 95 of 100 tables of this size, in points."""
    return float(norm.ppf(1 - SIGNIFICANT / 2)) * of.error(seeds, queries)
