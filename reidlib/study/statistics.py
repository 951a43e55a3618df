"""Intervals and verdicts: a paired bootstrap over queries and seeds, by a rule fixed before any result was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000


@dataclass(frozen=True)
class Difference:
    """The mean of a - b with its 95 % interval, in the unit of the values given."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def paired_difference(a: ArrayLike, b: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """Bootstrap of the mean difference between two rows of a table.

    a, b: (S, m) average precisions of the same S seeds and m queries. Each resample draws S seeds and m queries with
    replacement (both sources of variation, crossed) and averages a - b over them; the interval is the 2.5 and 97.5
    percentiles. With one seed the interval is over queries alone. With few seeds it is narrower than it should be:
    three seeds resampled can only repeat each other.
    Raises ValueError for different shapes or values that are not finite.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"a, b: want the same shape (seeds, queries), got {a.shape} and {b.shape}")
    difference = a - b  # (S, m)
    if not np.isfinite(difference).all():
        raise ValueError("a, b: want finite values")
    seeds, queries = difference.shape
    rng = np.random.default_rng(seed)
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds  # (R, S)
    query_weights = rng.multinomial(queries, np.full(queries, 1 / queries), size=resamples) / queries  # (R, m)
    means = np.einsum("rs,sm,rm->r", seed_weights, difference, query_weights, optimize=True)
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(float(difference.mean()), float(low), float(high))


def verdict(reported: float, ours: Difference) -> str:
    """The rule: the report's sign with an interval that excludes 0 is "reproduced", the other sign "contradicted".

    reported: the report's difference between the same two rows. Anything else is "not distinguishable".
    """
    if reported == 0 or not ours.excludes_zero:
        return "not distinguishable"
    return "reproduced" if (ours.mean > 0) == (reported > 0) else "contradicted"
