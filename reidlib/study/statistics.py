"""Intervals and verdicts: a paired bootstrap over queries and seeds, by a rule fixed before any result was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    if not np.isfinite(a - b).all():
        raise ValueError("a, b: want finite values")
    return bootstrap(lambda means: means[:, 0], [a - b], resamples=resamples, seed=seed)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    rows: Sequence[ArrayLike],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """A statistic of several rows' means with its interval, seeds and queries drawn as in `paired_difference`.

    rows: V arrays (S, m) of the same seeds and queries. statistic: (R, V) means of R resamples -> (R,); a ratio of two
    sums is a ratio of two means. Resamples in which it is not finite are left out; where the rows themselves do not
    define it (nobody is hidden, no walk goes wrong), all of the difference is NaN.
    Raises ValueError for different shapes or values that are not finite.
    """
    stack = np.stack([np.asarray(row, dtype=float) for row in rows])  # (V, S, m)
    if stack.ndim != 3 or not np.isfinite(stack).all():
        raise ValueError(f"rows: want finite values of one shape (seeds, queries), got {stack.shape}")
    _, seeds, queries = stack.shape
    rng = np.random.default_rng(seed)
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds  # (R, S)
    query_weights = rng.multinomial(queries, np.full(queries, 1 / queries), size=resamples) / queries  # (R, m)
    means = np.einsum("rs,vsm,rm->rv", seed_weights, stack, query_weights, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found, values = float(statistic(stack.mean(axis=(1, 2))[None])[0]), statistic(means)
    if not np.isfinite(found):
        return Difference(np.nan, np.nan, np.nan)
    low, high = np.percentile(values[np.isfinite(values)], (2.5, 97.5))
    return Difference(found, float(low), float(high))


def order_agreement(means: np.ndarray, reported: Sequence[float]) -> np.ndarray:
    """Kendall's tau-b between the order of V rows and the report's: (R, V) means, V reported values -> (R,)."""
    i, j = np.triu_indices(len(reported), 1)
    theirs = np.sign(np.subtract(np.asarray(reported)[i], np.asarray(reported)[j]))  # (P,)
    ours = np.sign(means[:, i] - means[:, j])  # (R, P)
    return (ours @ theirs) / np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum())


CLAIMED = 1.0  # "reported" of a gain that a report claims without a number: only the sign counts


def verdict(reported: float, ours: Difference) -> str:
    """The rule: the report's sign with an interval that excludes 0 is "reproduced", the other sign "contradicted".

    reported: the report's difference between the same two rows. Anything else is "not distinguishable".
    """
    if reported == 0 or not ours.excludes_zero:
        return "not distinguishable"
    return "reproduced" if (ours.mean > 0) == (reported > 0) else "contradicted"


@dataclass(frozen=True)
class Finding:
    """What a report guesses or claims without a number, what was measured for it, and what came out.

    ours: in the unit named, positive as the report has it. none: the report claims that there is no difference.
    """

    letter: str
    guess: str
    measured: str
    unit: str
    ours: Difference
    none: bool = False

    @property
    def verdict(self) -> str:
        if self.none:
            return "contradicted" if self.ours.excludes_zero else "not distinguishable"
        return verdict(CLAIMED, self.ours)
