"""Which recipe to take with a minute, an hour, or all the time there is: a rule, fixed before any was looked at.

Candidates are the cells of the post-processing: each of the synthesis' models alone and the members fused, under every
choice of steps. Time is that of one seed on one thread of a CPU, from images to rankings: training every model and what
its curation reads, features of the validation images, ranking. Of the candidates within a budget, those whose mean mAP
over the seeds is within TIE of the best are taken for equal, and of these the cheapest is recommended. What the test
split says of it is asked once, afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reidlib.study.costs import CostNeed, cost, training_seconds, with_first_models
from reidlib.study.factorial import FactorialNeed, factorial
from reidlib.study.recipes import processing, synthesis
from reidlib.study.recipes.processing import Cell
from reidlib.study.runner import Study

BUDGETS = {"one minute": 60.0, "one hour": 3600.0, "unlimited": math.inf}
TIE = 0.1  # points of mAP


@dataclass(frozen=True)
class Candidate:
    """A cell, its validation mAP in percent (mean over seeds), its cost in seconds: training, features, ranking."""

    cell: Cell
    mAP: float
    training: float
    features: float
    ranking: float

    @property
    def seconds(self) -> float:
        return self.training + self.features + self.ranking


def choose(candidates: Sequence[Candidate], budget: float) -> Candidate | None:
    """The rule: of all within the budget (s), the cheapest of those within TIE of the best; None if nothing is."""
    affordable = [candidate for candidate in candidates if candidate.seconds <= budget]
    best = max((candidate.mAP for candidate in affordable), default=0.0)
    equal = [candidate for candidate in affordable if candidate.mAP >= best - TIE]
    return min(equal, key=lambda candidate: (candidate.seconds, -candidate.mAP, candidate.cell.name), default=None)


def ready(study: Study) -> bool:
    """Whether the store has all that the choice is made of."""
    first = study.profile.seeds[:1]
    costs = [CostNeed(recipe, first) for recipe in synthesis.models().values()]
    recipes = with_first_models(list(synthesis.models().values()))
    runs = [study.train_key(recipe, seed) for recipe in recipes for seed in first]
    return (
        all(FactorialNeed().find(study, seed) for seed in study.profile.seeds)
        and all(need.find(study, seed) for need in costs for seed in first)
        and all(study.store.find("train", key) for key in runs)
    )


def candidates(study: Study) -> list[Candidate]:
    """Every cell with what it gains and costs, in the order of `processing.cells`."""
    seed, models = study.profile.seeds[0], synthesis.models()
    records = [factorial(study, seed).record for seed in study.profile.seeds]
    images = records[0]["images"]
    features = {name: images * cost(study, recipe).record["image"] for name, recipe in models.items()}
    training = {
        names: training_seconds(study, [models[name] for name in names], seed)
        for names in {cell.models for cell in processing.cells()}  # once each, not once a cell
    }
    found = []
    for number, cell in enumerate(processing.cells()):
        of = [record["cells"][number] for record in records]
        found.append(
            Candidate(
                cell,
                100 * float(np.mean([one["mAP"] for one in of])),
                training[cell.models],
                (2 if "flip" in cell.steps else 1) * sum(features[name] for name in cell.models),
                float(np.median([one["seconds"] for one in of])),
            )
        )
    return found


def recommended(study: Study) -> dict[str, Candidate | None]:
    """By budget."""
    found = candidates(study)
    return {name: choose(found, budget) for name, budget in BUDGETS.items()}
