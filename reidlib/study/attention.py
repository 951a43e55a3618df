"""Report `attention`: its tables row by row, and what its text claims, measured on the models it trains.

What each claim is measured by was written down here before any of it was looked at.
Arrays: S seeds, m query tracklets, L training tracklets, T frames in a clip.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from reidlib.study.attending import FILE, attended
from reidlib.study.data import EVALUATED
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import attention
from reidlib.study.reports import reported
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference, Finding, bootstrap, paired_difference
from reidlib.study.tables import Result, Step, result

# The columns of Tables 1 and 2: the metric of a record over all queries, and of each query.
METRICS = {
    "mAP": ("mAP", "average_precision"),
    "CMC-1": ("cmc1", "rank1"),
    "CMC-5": ("cmc5", "rank5"),
    "CMC-20": ("cmc20", "rank20"),
}
JUDGED = (("mAP", False), ("mAP", True), ("CMC-1", False))  # metric, re-ranked: what verdicts are given on in Table 1
SHORT = {
    attention.TRICKS: "+ bag of tricks",
    attention.OSM: "+ OSM",
    attention.CENTERS: "+ CL Centers",
    attention.ATTENTION: "+ attention loss",
}
DIFFERS = 0.1  # by how much a person's visible fraction has to differ between the frames of a clip that is looked at


def of(study: Study, recipe: Recipe, *, protocol: str = "mars", rerank: bool = False) -> Result:
    """A recipe on its benchmark's evaluation split; protocol: of MARS, the official gallery or "mars-9330"."""
    ranking = attention.TWO_CAMERAS
    if recipe.benchmark == attention.MARS:
        ranking = replace(attention.OFFICIAL, protocol=protocol, rerank=rerank)
    return result(study, recipe, ranking, EVALUATED[recipe.benchmark])


def quoted(row: str, metric: str, rerank: bool = False) -> float:
    """A number of Table 1."""
    return reported("attention", 1, row, metric + " re-ranked" * rerank)


def steps(study: Study, protocol: str = "mars") -> dict[tuple[str, str, bool], Step]:
    """By (row, metric, re-ranked): every row of Table 1 against the row before it."""
    found = {}
    for (before, base), (row, recipe) in pairwise(attention.table1().items()):
        for metric, rerank in JUDGED:
            ours = of(study, recipe, protocol=protocol, rerank=rerank)
            difference = ours.minus(of(study, base, protocol=protocol, rerank=rerank), METRICS[metric][1])
            name = f"{SHORT[row]}, {metric}{' re-ranked' * rerank}"
            found[row, metric, rerank] = Step(
                name, difference, round(quoted(row, metric, rerank) - quoted(before, metric, rerank), 1)
            )
    return found


def pretraining(study: Study) -> Step:
    """Table 2: what the weights from MARS add to CMC-1 on PRID 2011; every seed is another split."""
    rows = attention.table2()
    scratch, pretrained = (of(study, rows[row]) for row in (attention.SCRATCH, attention.PRETRAINED))
    theirs = [reported("attention", 2, row, "CMC-1") for row in (attention.PRETRAINED, attention.SCRATCH)]
    name = "PRID 2011, pre-trained on MARS, CMC-1"
    return Step(name, pretrained.minus(scratch, "rank1"), round(theirs[0] - theirs[1], 1))


def looked_at(study: Study, recipe: Recipe) -> dict[str, np.ndarray]:
    """What `attending` measured of a recipe's runs, by name, the seeds first: (S, m, T) and the like."""
    found = [attended(study, recipe, seed).tensors(FILE) for seed in study.profile.seeds]
    same = [name for name in found[0] if name not in ("shown", "shown_pixels", "shown_erased")]
    return {name: np.stack([tensors[name].float().numpy() for tensors in found]).astype(float) for name in same}


def withdrawn(looked: dict[str, np.ndarray]) -> np.ndarray:
    """(S, m) how much less of a clip's weight a frame has after it lost a patch than before, in points of 100."""
    chosen = looked["chosen"].astype(int)[..., None]
    clean, erased = (np.take_along_axis(looked[f"{name}_weights"], chosen, 2)[..., 0] for name in ("clean", "erased"))
    return 100 * (clean - erased)


def seen_better(looked: dict[str, np.ndarray]) -> np.ndarray:
    """(S, clips) how much more of the person the weighted frames show than the frames alike, in points of 100.

    Of the clips in which the visible fraction differs by DIFFERS or more.
    """
    visible = looked["visible"]
    more = 100 * ((looked["clean_weights"] * visible).sum(axis=2) - visible.mean(axis=2))
    return more[:, np.ptp(visible[0], axis=1) >= DIFFERS]


def variation(looked: dict[str, np.ndarray]) -> Difference:
    """How much more clips' class-aware attention varies by centres than by classifier weights, in percent of its mean.

    The coefficient of variation over the training clips; both of the same model and the same clips.
    """
    rows = [looked[f"{kind}_clean"] for kind in ("centers", "classifier")]

    def differ(means: np.ndarray) -> np.ndarray:
        spread = [np.sqrt(np.maximum(means[:, i + 2] - means[:, i] ** 2, 0)) / means[:, i] for i in (0, 1)]
        return 100 * (spread[0] - spread[1])

    return bootstrap(differ, rows + [row**2 for row in rows])


def cropped_out(looked: dict[str, np.ndarray]) -> Difference:
    """Share of its class-aware attention that a clip loses with patches erased from all of its frames, in points.

    By centres minus by classifier weights, of the same model and the same clips.
    """
    rows = [looked[f"{kind}_{name}"] for kind in ("centers", "classifier") for name in ("clean", "erased")]
    return bootstrap(lambda means: 100 * (means[:, 3] / means[:, 2] - means[:, 1] / means[:, 0]), rows)


def uniform(looked: dict[str, np.ndarray]) -> tuple[float, float]:
    """Percent of clips whose scores are all 0, which weighs their frames alike; the mean of a clip's largest weight."""
    dead = (looked["clean_scores"] == 0).all(axis=2)
    return 100 * float(dead.mean()), 100 * float(looked["clean_weights"].max(axis=2).mean())


def findings(study: Study) -> list[Finding]:
    """The text's claims, each against what was measured; those about what is visible want a world."""
    recipes = attention.looked_at()
    without, with_it = (looked_at(study, recipes[name]) for name in (attention.WITHOUT, attention.WITH))
    gone = withdrawn(with_it), withdrawn(without)
    claims = [
        ("a", "with the attention loss, attention leaves a frame from which a patch is erased",
         "a frame's weight in its clip before, minus after", "points", _difference(gone[0])),
        ("b", "it is the attention loss that does this",
         "(a) with the attention loss, minus without", "points", _difference(*gone)),
    ]  # fmt: skip
    if "visible" in with_it:
        better = seen_better(with_it), seen_better(without)
        claims += [
            ("c", "attention is for the frames that show more of the person",
             f"visible fraction, weighted minus plain mean of the frames, of clips in which it differs by {DIFFERS:g}",
             "points", _difference(better[0])),
            ("d", "erasing stands in for occlusion: more so with the attention loss",
             "(c) with the attention loss, minus without", "points", _difference(*better)),
        ]  # fmt: skip
    table = attention.table1()
    best, tricks = of(study, table[attention.ATTENTION]), of(study, table[attention.TRICKS])
    untuned, bare = attention.untuned()["the code's defaults"], attention.without_neck()
    claims += [
        ("e", "CL Centers have greater variance than classifier weights",
         "coefficient of variation of the class-aware attention of training clips, centres minus weights",
         "percent of the mean", variation(without)),
        ("f", "and so crop out noisy frames",
         "share of it that clips lose when all their frames are erased from, centres minus weights",
         "points", cropped_out(without)),
        ("g", "the batch-normalised feature is more robust",
         "mAP of the bag of tricks with its BNNeck, minus without", "points", tricks.minus(of(study, bare))),
        ("h", "the hyperparameters that were searched for matter",
         "mAP of the last row with the published values, minus with the code's defaults", "points",
         best.minus(of(study, untuned))),
    ]  # fmt: skip
    return [Finding(letter, guess, measured, unit, ours) for letter, guess, measured, unit, ours in claims]


def _difference(a: np.ndarray, b: np.ndarray | None = None) -> Difference:
    """paired_difference to b or to 0; NaN of no clips, as in a world of a few."""
    if a.size == 0:
        return Difference(np.nan, np.nan, np.nan)
    return paired_difference(a, np.zeros_like(a) if b is None else b)
