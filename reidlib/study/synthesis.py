"""The synthesis: what the reports' parts add together, how their post-processing interacts, and what carries.

Shapes: S seeds, m queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from reidlib.study import budgets, interactions
from reidlib.study.budgets import Candidate
from reidlib.study.data import TEST, VAL, Scene
from reidlib.study.factorial import FILE, factorial
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import along, ica, processing, stronger, synthesis
from reidlib.study.recipes.processing import ALONE, EARLY, SUM, VOTE, Cell, choices
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference, paired_difference
from reidlib.study.tables import Result, fused, result

MARKET = Ranking(protocol=stronger.MARKET)


class Synthesis:
    """The results behind the chapter, computed when the store lacks them."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def of(self, recipe: Recipe, ranking: Ranking = Ranking(), scene: Scene = VAL) -> Result:  # noqa: B008  frozen
        """A recipe's result; plain distances on the validation split unless told otherwise."""
        return result(self.study, recipe, ranking, scene)

    @cached_property
    def base(self) -> Result:
        return self.of(synthesis.base())

    @cached_property
    def full(self) -> Result:
        return self.of(synthesis.full())

    @cached_property
    def added(self) -> dict[str, Result]:
        return {part: self.of(recipe) for part, recipe in synthesis.added().items()}

    @cached_property
    def left_out(self) -> dict[str, Result]:
        return {part: self.of(recipe) for part, recipe in synthesis.left_out().items()}

    def gains(self) -> dict[str, dict[str, Difference]]:
        """What each part adds to the baseline, and to all the others."""
        return {
            "added to the baseline": {part: found.minus(self.base) for part, found in self.added.items()},
            "added to all others": {part: self.full.minus(found) for part, found in self.left_out.items()},
        }

    def together(self) -> tuple[Difference, Difference]:
        """The full stack above the baseline; and that above the sum of what each part adds alone."""
        base, full = (100 * found.per_query() for found in (self.base, self.full))
        alone = sum(100 * found.per_query() - base for found in self.added.values())
        return paired_difference(full, base), paired_difference(full - base, alone)

    @cached_property
    def _scores(self) -> dict[Cell, np.ndarray]:
        """(S, m) average precision of every cell, in points, without queries that have none."""
        found = np.stack(
            [
                factorial(self.study, seed).tensors(FILE)["average_precision"].numpy()
                for seed in self.study.profile.seeds
            ],
            axis=1,
        )  # (C, S, m)
        known = ~np.isnan(found).any(axis=(0, 1))
        return dict(zip(processing.cells(), 100 * found[:, :, known], strict=True))

    def scores(self, models: tuple[str, ...], fusion: str = ALONE) -> interactions.Scores:
        """(S, m) points by the steps taken, of a model or of the members fused."""
        return lambda steps: self._scores[Cell(models, steps, fusion)]

    def effects(self, models: tuple[str, ...], fusion: str = ALONE) -> dict[tuple[str, ...], Difference]:
        """What the steps add and how they interact, see `interactions.effects`."""
        return interactions.effects(self.scores(models, fusion))

    def fusions(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(S, m) points each, with and without, the mean over all choices that both allow, of every way to fuse."""
        members = synthesis.MEMBERS
        everywhere = choices()
        early = [taken for taken in everywhere if Cell(members, taken, EARLY) in self._scores]
        comparisons = {
            "sum above the full stack alone": (SUM, ALONE, everywhere),
            "vote above the sum": (VOTE, SUM, everywhere),
            "sum before re-ranking above sum after it": (EARLY, SUM, early),
        }
        found = {}
        for name, (one, other, where) in comparisons.items():
            pair = []
            for fusion in (one, other):
                models = (synthesis.FULL,) if fusion == ALONE else members
                pair.append(np.mean([self._scores[Cell(models, taken, fusion)] for taken in where], axis=0))
            found[name] = pair[0], pair[1]
        return found

    @cached_property
    def candidates(self) -> list[Candidate]:
        return budgets.candidates(self.study)

    def candidate(self, cell: Cell) -> Candidate:
        return self.candidates[processing.cells().index(cell)]

    @cached_property
    def recommended(self) -> dict[str, Candidate | None]:
        return {name: budgets.choose(self.candidates, seconds) for name, seconds in budgets.BUDGETS.items()}

    def asked(self, cell: Cell, scene: Scene = TEST) -> Result:
        """A recommended cell on the test split, or in another scene."""
        recipes = [synthesis.models()[name] for name in cell.models]
        if cell.fused:
            return fused(self.study, recipes, cell.fused, cell.scene(scene))
        return self.of(recipes[0], cell.ranking, cell.scene(scene))

    def recommended_shifted(self, knob: str) -> dict[float, Result]:
        """What is recommended without limit under a knob's values, which takes no training."""
        best = self.recommended["unlimited"]
        return {value: self.asked(best.cell, synthesis.shifted(knob, value)) for value in synthesis.SHIFTS[knob]}

    def winner_on_test(self) -> Result:
        """Report `along`'s own full row on the test split, ranked as its report does."""
        recipe, ranking, scene = along.setting(along.TRICKS)
        return self.of(recipe, ranking, replace(scene, split="test"))

    def shifted(self, knob: str, processed: bool) -> dict[str, dict[float, Result]]:
        """The full stack and each report's own model under a knob's values, by plain distances or as its own report."""
        found: dict[str, dict[float, Result]] = {}
        for name, (recipe, ranking, flip) in synthesis.carried().items():
            for value in synthesis.SHIFTS[knob]:
                scene = synthesis.shifted(knob, value)
                way = (ranking, replace(scene, flip=flip)) if processed else (Ranking(), scene)
                found.setdefault(name, {})[value] = self.of(recipe, *way)
        return found

    def trained(self, pairs: Mapping) -> dict:
        """(baseline, full stack) results by what they were trained on."""
        return {value: tuple(self.of(recipe) for recipe in pair) for value, pair in pairs.items()}

    @cached_property
    def pedestrians(self) -> dict[str, Result]:
        """On Market-1501, report `stronger`'s two rows last."""
        rows = synthesis.pedestrians() | {
            stronger.STRONG: stronger.strong(stronger.MARKET),
            stronger.STRONGER: stronger.stronger(stronger.MARKET),
        }
        return {name: self.of(recipe, MARKET, TEST) for name, recipe in rows.items()}

    @cached_property
    def clips(self) -> dict[str, Result]:
        """On MARS; each report's own last row under the report's name."""
        own = {f"report {report}": recipe for report, recipe in synthesis.own_clips().items()}
        return {name: self.of(recipe, *ica.own(ica.MARS)) for name, recipe in (synthesis.clips() | own).items()}
