"""A full factorial's effects: what each step of the post-processing adds, and what two of them add beyond their sum.

Shapes: S seeds, m queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from reidlib.study.recipes.processing import STEPS, choices
from reidlib.study.statistics import Difference, paired_difference

Scores = Callable[[tuple[str, ...]], np.ndarray]  # steps taken -> (S, m) average precision in points


def with_step(taken: Sequence[str], *steps: str) -> tuple[str, ...]:
    """The choice with these steps too, in the order of STEPS."""
    return tuple(step for step in STEPS if step in {*taken, *steps})


def gain(scores: Scores, step: str) -> np.ndarray:
    """(S, m) points that a step adds, the mean over all choices of the others."""
    others = choices([other for other in STEPS if other != step])
    return np.mean([scores(with_step(taken, step)) - scores(taken) for taken in others], axis=0)


def surplus(scores: Scores, first: str, second: str) -> np.ndarray:
    """(S, m) points that two steps add beyond the sum of their single gains, the mean over all choices of the rest."""
    rest = choices([other for other in STEPS if other not in (first, second)])
    return np.mean(
        [
            scores(with_step(taken, first, second))
            - scores(with_step(taken, first))
            - scores(with_step(taken, second))
            + scores(taken)
            for taken in rest
        ],
        axis=0,
    )


def effects(scores: Scores) -> dict[tuple[str, ...], Difference]:
    """By (step,) its gain, by (step, step) their surplus, each with its interval."""
    found = {(step,): gain(scores, step) for step in STEPS}
    found |= {pair: surplus(scores, *pair) for pair in combinations(STEPS, 2)}
    return {name: paired_difference(points, np.zeros_like(points)) for name, points in found.items()}
