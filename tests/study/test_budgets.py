"""The budgets' rule: what it may choose from, and that the cheapest of equals is taken."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reidlib.study import budgets
from reidlib.study.budgets import TIE, Candidate, choose
from reidlib.study.recipes.processing import Cell, choices

CELLS = [Cell((model,), taken) for model in "ab" for taken in choices()]
drawn = st.lists(
    st.tuples(st.sampled_from(CELLS), st.floats(0, 100), st.floats(0, 5000), st.floats(0, 10), st.floats(0, 10)),
    max_size=12,
    unique_by=lambda values: values[0],
).map(lambda rows: [Candidate(*row) for row in rows])


@given(drawn, st.floats(0, 6000))
def test_the_cheapest_of_the_best_within_the_budget(candidates, budget):
    chosen = choose(candidates, budget)
    affordable = [c for c in candidates if c.training + c.features + c.ranking <= budget]
    if not affordable:
        assert chosen is None
        return
    assert chosen in affordable
    best = max(c.mAP for c in affordable)
    assert chosen.mAP >= best - TIE
    for other in affordable:
        assert other.mAP < best - TIE or other.seconds >= chosen.seconds


@given(drawn, st.randoms())
def test_the_order_of_the_candidates_does_not_matter(candidates, random):
    shuffled = random.sample(candidates, len(candidates))
    assert choose(shuffled, 3000.0) == choose(candidates, 3000.0)


def test_a_larger_budget_buys_no_worse():
    first = Candidate(CELLS[0], 80.0, 50.0, 1.0, 1.0)
    others = [first, replace(first, cell=CELLS[1], mAP=90.0, training=3000.0), replace(first, cell=CELLS[2], mAP=90.05)]
    found = {name: choose(others, seconds) for name, seconds in budgets.BUDGETS.items()}
    assert [candidate.cell for candidate in found.values()] == [CELLS[2]] * 3, "the dear one is equal"
    dear = [first, replace(others[1], mAP=90.2)]
    assert [choose(dear, seconds).mAP for seconds in (60.0, 3600.0, math.inf)] == [80.0, 90.2, 90.2]
    assert choose([first], 51.9) is None, "features and ranking count"
