"""Report `along`: Table 1 in its order, each trick alone and each left out, and what the text claims, measured.

What each claim is measured by was written down here before any of it was looked at.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from reidlib.study.data import VAL
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import along
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference, Finding, paired_difference
from reidlib.study.store import Entry
from reidlib.study.tables import Result, Step, result, steps

SHORT = {
    along.NOISE: "noise",
    along.HARD: "hard",
    along.AUGMENT: "erasing, LGT",
    along.GEM: "GeM",
    along.CIRCLE: "circle",
    along.FLIP: "flip",
    along.RERANK: "re-rank",
    along.AQE: "AQE",
    along.LARGE: "384×128",
}


class Tricks:
    """The results behind the chapter, computed when the store lacks them."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.shown: list[Result] = []  # whatever was asked for, for the box of facts
        self.recipes: list[Recipe] = []

    def of(self, recipe: Recipe, ranking: Ranking = Ranking(), scene=VAL) -> Result:  # noqa: B008  frozen
        """A recipe's result; plain distances on the validation split unless told otherwise."""
        found = result(self.study, recipe, ranking, scene)
        self.shown.append(found)
        self.recipes.append(recipe)
        return found

    @cached_property
    def table(self) -> dict[str, Result]:
        return {name: self.of(*setting) for name, setting in along.table1().items()}

    @cached_property
    def alone(self) -> dict[str, Result]:
        return {name: self.of(*setting) for name, setting in along.alone().items()}

    @cached_property
    def left_out(self) -> dict[str, Result]:
        return {name: self.of(*setting) for name, setting in along.left_out().items()}

    @property
    def baseline(self) -> Result:
        return self.table[along.BASELINE]

    @property
    def full(self) -> Result:
        return self.table[f"+ {along.TRICKS[-1]}"]

    def steps(self) -> dict[str, Step]:
        """Table 1's rows, each against the row before it."""
        found = steps("along", 1, {(row, "mAP"): ours for row, ours in self.table.items()})
        return {row: step for (row, _), step in found.items()}

    def gains(self) -> dict[str, dict[str, Difference]]:
        """What each trick adds: in the table's order, alone on the baseline, and to all the others."""
        in_order = self.steps()
        return {
            "in the table's order": {trick: in_order[f"+ {trick}"].ours for trick in along.TRICKS},
            "alone on the baseline": {trick: self.alone[trick].minus(self.baseline) for trick in along.TRICKS},
            "added last, to all others": {trick: self.full.minus(self.left_out[trick]) for trick in along.TRICKS},
        }

    def together(self) -> tuple[Difference, Difference]:
        """The full stack above the baseline; and the sum of what each trick adds alone, above that."""
        base, full = (100 * found.per_query() for found in (self.baseline, self.full))
        alone = sum(100 * found.per_query() - base for found in self.alone.values())
        return paired_difference(full, base), paired_difference(alone, full - base)

    def rerank_gain(self, recipe: Recipe, similarity: float) -> np.ndarray:
        """(S, m) points that re-ranking adds where the kits are alike to a degree."""
        plain, reranked = (self.of(recipe, ranking, along.kits(similarity)) for ranking in along.DISTANCES)
        return 100 * (reranked.per_query() - plain.per_query())

    def rerank_difference(self, recipe: Recipe, similarity: float) -> Difference:
        """The mean of `rerank_gain` with its interval."""
        gain = self.rerank_gain(recipe, similarity)
        return paired_difference(gain, np.zeros_like(gain))

    def claims(self) -> list[Finding]:
        """The claims that the data allow to be measured."""
        delete_all = self.of(along.curations()["delete all that is occluded"])
        table = [100 * found.per_query() for found in self.table.values()]
        names = list(self.table)
        reranking, expansion = (
            table[names.index(f"+ {trick}")] - table[names.index(f"+ {trick}") - 1]
            for trick in (along.RERANK, along.AQE)
        )
        found = [
            Finding(
                "a",
                "if all occlusion data are deleted, the results fall rather than rise",
                f"mAP of the baseline, minus that without the {along.FULL + along.PART:.0%} of images of highest loss",
                "points",
                self.baseline.minus(delete_all),
            ),
            Finding(
                "b",
                "circle loss performs better than cross-entropy",
                "mAP of the baseline with the class form, m = 0.3, minus the baseline",
                "points",
                self.alone[along.CIRCLE].minus(self.baseline),
            ),
            Finding(
                "c",
                "compared to re-ranking, the improvement of query expansion is not significant",
                "what re-ranking adds in the table's order, minus what AQE adds",
                "points",
                paired_difference(reranking, expansion),
            ),
        ]
        if self.study.data.spec is not None:
            alike, apart = (self.rerank_gain(along.baseline(), at) for at in (along.KITS[-1], along.KITS[0]))
            found.append(
                Finding(
                    "d",
                    "Jaccard distance is more suitable because many people dress in the same uniform",
                    "what re-ranking adds to the baseline where all kits are equal, minus where they are all different",
                    "points",
                    paired_difference(alike, apart),
                )
            )
        return found

    def entries(self) -> list[Entry]:
        """The records of everything asked for so far, and of the runs behind it."""
        runs = [self.study.find_training(recipe, seed) for recipe in self.recipes for seed in self.study.profile.seeds]
        return [*runs, *(entry for found in self.shown for entry in found.entries)]
