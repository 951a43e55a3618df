"""Report `ica`: its tables, each row against the row that it claims to improve, and what its text claims, measured.

What each claim is measured by was written down here before any of it was looked at.
Arrays: S seeds, m queries, L clips.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from reidlib.study.data import Scene
from reidlib.study.examining import FILE, SHOWN, examined
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import ica
from reidlib.study.reports import reported
from reidlib.study.runner import Study
from reidlib.study.scatter import ASYNCHRONOUS, SYNCHRONOUS
from reidlib.study.statistics import Difference, Finding, paired_difference
from reidlib.study.store import Entry
from reidlib.study.tables import Result, Step, result

# The columns of Tables 1 to 4: the metric of a record over all queries, and of each query.
METRICS = {
    "Rank-1": ("cmc1", "rank1"),
    "Rank-5": ("cmc5", "rank5"),
    "Rank-20": ("cmc20", "rank20"),
    "mAP": ("mAP", "average_precision"),
}
NAMES = {ica.ILIDS: "ILIDS-VID", ica.MARS: "MARS", ica.PRID: "PRID 2011"}  # as the report's tables spell them
JUDGED = ((ica.ILIDS, "Rank-1"), (ica.MARS, "Rank-1"), (ica.MARS, "mAP"))  # what verdicts are given on
ABOVE = {ica.BASELINE_SDA: ica.BASELINE, ica.ICA: ica.BASELINE, ica.BOTH: ica.ICA}  # which row a row is to improve


def columns(benchmark: str) -> list[str]:
    """The metrics that the report gives: of two cameras, where a query has one match, no mAP."""
    return [name for name in METRICS if name != "mAP" or benchmark == ica.MARS]


class Aggregation:
    """The results behind the chapter, computed when the store lacks them."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.shown: list[Result] = []  # whatever was asked for, for the box of facts
        self.recipes: list[Recipe] = []
        self.looked: list[Entry] = []

    def of(self, recipe: Recipe, way: tuple[Ranking, Scene] | None = None) -> Result:
        """A recipe's result on its own benchmark, or ranked in another way."""
        found = result(self.study, recipe, *(way or ica.own(recipe.benchmark)))
        self.shown.append(found)
        self.recipes.append(recipe)
        return found

    def table(self, benchmark: str) -> dict[str, Result]:
        """Models 1 to 4."""
        return {name: self.of(recipe) for name, recipe in ica.table1(benchmark).items()}

    def steps(self) -> dict[tuple[str, str, str], Step]:
        """Table 1 by (benchmark, metric, row): what SDA adds, what ICA adds, and SDA to ICA."""
        found = {}
        for benchmark, metric in JUDGED:
            ours = self.table(benchmark)
            column = f"{NAMES[benchmark]} {metric}"
            for row, base in ABOVE.items():
                quoted = reported("ica", 1, row, column) - reported("ica", 1, base, column)
                difference = ours[row].minus(ours[base], METRICS[metric][1])
                found[benchmark, metric, row] = Step(f"{row} above {base}, {column}", difference, quoted)
        return found

    def backbones(self) -> dict[tuple[str, str, str], Step]:
        """Table 2 by (benchmark, metric, backbone): what ICA adds to a baseline with SDA."""
        found = {}
        for benchmark, metric in JUDGED:
            recipes, column = ica.table2(benchmark), f"{NAMES[benchmark]} {metric}"
            for backbone in ica.BACKBONES:
                base, best = (self.of(recipes[name, backbone]) for name in (ica.BASELINE_SDA, ica.BOTH))
                rows = [reported("ica", 2, f"{name}, {backbone}", column) for name in (ica.BASELINE_SDA, ica.BOTH)]
                difference = best.minus(base, METRICS[metric][1])
                found[benchmark, metric, backbone] = Step(f"ICA on {backbone}, {column}", difference, rows[1] - rows[0])
        return found

    def neck(self, benchmark: str, metric: str) -> dict[str, Difference]:
        """Where ICA's gain comes from, in points: the baseline's feature behind a BN, then the module in its place."""
        base, neck, best = (self.of(ica.model(benchmark, name)) for name in (ica.BASELINE_SDA, ica.NECK, ica.BOTH))
        each = METRICS[metric][1]
        return {"BN alone": neck.minus(base, each), "ICA above BN alone": best.minus(neck, each)}

    def gain_of_sda(self, strength: str) -> np.ndarray:
        """(S, m) points of mAP that synchronous augmentation adds to asynchronous, on MARS."""
        recipes = ica.strengths()
        base, synchronous = (self.of(recipes[strength, name]) for name in (ica.BASELINE, ica.BASELINE_SDA))
        return 100 * (synchronous.per_query() - base.per_query())

    def looked_at(self, recipe: Recipe, name: str) -> np.ndarray:
        """(S, ...) what `examining.examined` has under a name, of each seed."""
        found = [examined(self.study, recipe, seed) for seed in self.study.profile.seeds]
        self.looked += found
        return np.stack([entry.tensors(FILE)[name].float().numpy() for entry in found])

    def of_clips(self, mode: str, name: str = "ratio") -> np.ndarray:
        """(S, L) of Model 1's frame features on iLIDS-VID under an augmentation, the mean over its draws."""
        return self.looked_at(ica.model(ica.ILIDS, ica.BASELINE), f"{mode}_{name}").mean(axis=1)

    def of_maps(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(S, m) each, of Models 2 and 4 on MARS, of the queries whose maps are not empty in either."""
        pair = [self.looked_at(ica.model(ica.MARS, row), f"cam_{name}") for row in (ica.BASELINE_SDA, ica.BOTH)]
        known = ~np.isnan(pair).any(axis=(0, 1))
        return pair[0][:, known], pair[1][:, known]

    def maps(self, count: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Figure 1: the maps of Models 2 and 4 on MARS over the pixels of some clips, with the first seed.

        Raises ValueError for more clips than are kept, or none.
        """
        if not 1 <= count <= SHOWN:
            raise ValueError(f"clips_shown: wants 1 to {SHOWN}, which are kept with a run, got {count}")
        found = {}
        for name, row in (("TAP", ica.BASELINE_SDA), ("ICA", ica.BOTH)):
            tensors = examined(self.study, ica.model(ica.MARS, row), self.study.profile.seeds[0]).tensors(FILE)
            found[name] = tensors["cam_maps"][:count], tensors["cam_pixels"][:count]
        return found

    def claims(self) -> list[Finding]:
        """The text's claims, and the question of the neck that the report does not ask."""
        weak, strong = (self.gain_of_sda(strength) for strength in ica.STRENGTHS)
        across = [self.of(ica.model(ica.ILIDS, name), ica.across()) for name in (ica.BASELINE, ica.BOTH)]
        found = [
            Finding(
                "a",
                "asynchronous augmentation scatters the frames of a clip and mixes them with other clips",
                "distance of frames to their clip's mean over that between clips' means, asynchronous minus "
                "synchronous: frame features of Model 1, test clips of iLIDS-VID",
                "ratio",
                paired_difference(self.of_clips(ASYNCHRONOUS), self.of_clips(SYNCHRONOUS)),
            ),
            Finding(
                "b",
                "erasing frames one by one causes too much loss, so that more of it is worse",
                "what SDA adds to the baseline's mAP on MARS with twice the augmentation, minus what it adds with the "
                "report's",
                "points",
                paired_difference(strong, weak),
            ),
        ]
        for benchmark, metric in ((ica.MARS, "mAP"), (ica.ILIDS, "Rank-1")):
            found.append(
                Finding(
                    f"c ({ica.TITLES[benchmark]})",
                    "it is the module that integrates a clip's features (and not its batch normalisation)",
                    f"{metric} on {NAMES[benchmark]} of {ica.BOTH}, minus that of {ica.NECK}",
                    "points",
                    self.neck(benchmark, metric)["ICA above BN alone"],
                )
            )
        entropy = self.of_maps("entropy")
        return [
            *found,
            Finding(
                "d",
                "with ICA the activated maps are more concentrated",
                "entropy of the Grad-CAM maps of MARS's queries, Model 2 minus Model 4",
                "bits",
                paired_difference(*entropy),
            ),
            Finding(
                "e",
                "the result across data sets shows the generality of the method",
                "rank-1 on PRID 2011 after training on iLIDS-VID, Model 4 minus Model 1",
                "points",
                across[1].minus(across[0], "rank1"),
            ),
        ]

    def entries(self) -> list[Entry]:
        """The records of everything asked for so far, and of the runs behind it."""
        seeds: Iterable[int] = self.study.profile.seeds
        runs = [self.study.find_training(recipe, seed) for recipe in self.recipes for seed in seeds]
        return [*runs, *self.looked, *(entry for found in self.shown for entry in found.entries)]
