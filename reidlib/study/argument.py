"""Report `stronger` argues by drawings; what its runs say, epoch by epoch and in the end.

Arrays: S seeds, E epochs after which a run was looked at, P probed batches, G groups of persons, m queries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reidlib.study.data import EVALUATED
from reidlib.study.page import data_name
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import stronger
from reidlib.study.reports import reported
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference, Finding, bootstrap, paired_difference
from reidlib.study.tables import Result, Step, result


def curve(study: Study, recipe: Recipe, name: str) -> np.ndarray:
    """(S, E) what followed runs have under a name: "mAP" in percent, or the mean of a probe over its batches."""
    if name == "mAP":
        return 100 * np.array([[point["mAP"] for point in points] for points in _curves(study, recipe)])
    return _mean(probed(study, recipe, name), axis=2)


def probed(study: Study, recipe: Recipe, name: str) -> np.ndarray:
    """(S, E, P) a probe of `reidlib.probes`, NaN where a batch has no value."""
    return np.array([[point["probe"][name] for point in points] for points in _curves(study, recipe)], dtype=float)


def epochs(study: Study, recipe: Recipe) -> list[int]:
    """(E,) after which epochs its runs were looked at."""
    return [point["epoch"] for point in _curves(study, recipe)[0]]


def _curves(study: Study, recipe: Recipe) -> list[list[dict]]:
    curves = (study.find_training(recipe, seed).record["curve"] for seed in study.profile.seeds)
    return [[point for point in curve if "probe" in point] for curve in curves]


def convergence(study: Study, recipe: Recipe, base: Recipe) -> Difference:
    """How much higher the curve of mAP lies than another's, the mean over the epochs looked at, in points.

    Its interval is over seeds and G groups of persons: faster convergence and a higher end both count.
    """
    areas = [
        [np.mean([point["mAP_of_groups"] for point in points], axis=0) for points in _curves(study, one)]
        for one in (recipe, base)
    ]
    return paired_difference(100 * np.array(areas[0]), 100 * np.array(areas[1]))


def controlled(study: Study) -> dict[tuple[str, str], tuple[Result, Result, Step]]:
    """Tables 1 and 2: by (benchmark, metric) both baselines and the second above the first."""
    found = {}
    for benchmark, table, row, metric in (
        (stronger.MARKET, 1, "mAP", "average_precision"),
        (stronger.MARKET, 1, "Rank-1", "rank1"),
        (stronger.SYNERGY, 2, "mAP", "average_precision"),
    ):
        strong, best = (of(study, make(benchmark)) for make in (stronger.strong, stronger.stronger))
        quoted = [reported("stronger", table, row, name) for name in (stronger.STRONG, stronger.STRONGER)]
        name = f"{row} on {data_name(study, benchmark)}"
        found[benchmark, row] = strong, best, Step(name, best.minus(strong, metric), quoted[1] - quoted[0])
    return found


def effects(results: dict[tuple[bool, bool], Result]) -> dict[str, Difference]:
    """Main effects on mAP, in points, of results by (after, normalised): where the triplet loss sits, and of L2.

    Besides: their interaction, what both do beyond the sum of each alone; and L2's effect minus that of the place.
    """
    order = [(False, False), (False, True), (True, False), (True, True)]
    rows = [100 * results[pair].per_query() for pair in order]
    weights = {
        "after the BNNeck": (-0.5, -0.5, 0.5, 0.5),
        "L2": (-0.5, 0.5, -0.5, 0.5),
        "interaction": (1.0, -1.0, -1.0, 1.0),
        "L2 minus after": (0.0, 1.0, -1.0, 0.0),
    }
    return {name: bootstrap(_weighted(w), rows) for name, w in weights.items()}


def _weighted(weights: tuple[float, ...]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda means: means @ np.array(weights)


def findings(study: Study, benchmark: str) -> list[Finding]:
    """The argument's claims, each against what was measured on a benchmark; fixed before any of it was looked at."""
    recipes = stronger.combinations(benchmark)
    strong, best = recipes[False, False], recipes[True, True]
    found = {pair: of(study, recipe) for pair, recipe in recipes.items()}
    claims = [_hardest(study, strong, kind) for kind in ("positive", "negative")]
    pull, pulls = _over_training(study, (strong, "gradient_cosine"), (best, "gradient_cosine"))
    claims.append(
        Finding(
            "b",
            "cross-entropy and triplet loss pull the shared feature in conflicting directions",
            "the cosine of their gradients in the Strong Baseline, sign turned, mean over training",
            "cosine",
            paired_difference(-pull, np.zeros_like(pull)),
        )
    )
    claims.append(
        Finding(
            "b",
            "after BN and L2 they pull the same way",
            "the same cosine in the Stronger Baseline, minus that in the Strong Baseline",
            "cosine",
            paired_difference(pulls, pull),
        )
    )
    claims.append(
        Finding(
            "c",
            "the BNNeck is not the critical factor",
            "the effect of L2 on mAP minus that of the triplet loss's place after the BNNeck",
            "points",
            effects(found)["L2 minus after"],
        )
    )
    for recipe, name in ((strong, stronger.STRONG), (best, stronger.STRONGER)):
        difference = of(study, stronger.with_center(recipe)).minus(of(study, recipe))
        claims.append(
            Finding(
                "d",
                "the center loss has limited influence",
                f"mAP of the {name} with it, minus without",
                "points",
                difference,
                none=True,
            )
        )
    return claims


def of(study: Study, recipe: Recipe) -> Result:
    """A recipe by plain distances on its benchmark's evaluation split."""
    return result(study, recipe, Ranking(protocol=recipe.benchmark), EVALUATED[recipe.benchmark])


def _hardest(study: Study, recipe: Recipe, kind: str) -> Finding:
    shares = _over_training(study, *((recipe, f"hardest_{kind}_{place}") for place in ("before", "after")))
    return Finding(
        "a",
        f"BN makes angle and distance agree on the hardest {kind}",
        "share of anchors for which they differ before the BNNeck minus the share after it, mean over training",
        "percent of the anchors",
        paired_difference(100 * shares[0], 100 * shares[1]),
    )


def _over_training(study: Study, *probes: tuple[Recipe, str]) -> np.ndarray:
    """(probes, S, P) the mean over the epochs of each, without batches on which one of them never has a value."""
    values = np.stack([_mean(probed(study, recipe, name), axis=1) for recipe, name in probes])
    return values[:, :, ~np.isnan(values).any(axis=(0, 1))]


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of what is not NaN, NaN where nothing is."""
    return np.ma.masked_invalid(values).mean(axis=axis).filled(np.nan)
