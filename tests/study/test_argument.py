"""Report `stronger`'s argument: what each number is a number of, on results that are made up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from reidlib.study import argument
from reidlib.study.recipes import stronger
from reidlib.study.statistics import Difference, Finding
from reidlib.study.store import Entry
from reidlib.study.tables import Result

AFTER, UNIT, BOTH, CENTER = 0.02, 0.05, 0.01, -0.03  # of average precision


def precision_of(recipe) -> float:
    after, normalised = recipe.model_options["metric_feature"] == "after", recipe.training.triplet_normalise
    worth = AFTER * after + UNIT * normalised + BOTH * (after and normalised)
    return 0.5 + worth + CENTER * bool(recipe.training.center_weight)


def made_up(study, recipe, ranking, scene) -> Result:
    """Two seeds of three queries."""
    assert (ranking.protocol, scene.split) in {("market1501", "test"), ("synergyreid", "val")}
    assert ranking.protocol == recipe.benchmark
    rows = [precision_of(recipe) + seed + np.array([-0.1, 0.0, 0.1]) for seed in (0.0, 0.02)]
    right = [list((row > 0.5).astype(float)) for row in rows]
    metrics = [
        {"mAP": row.mean(), "average_precision": list(row), "rank1": first, "cmc1": np.mean(first)}
        for row, first in zip(rows, right, strict=True)
    ]
    return Result([Entry(None, {"metrics": found}) for found in metrics])


def curve_of(recipe) -> list[dict]:
    """Three epochs of two batches (the cosine: three): -0.4 in the Strong Baseline, 0.2 elsewhere, None: unknown."""
    strong = recipe == stronger.strong(recipe.benchmark)
    # a third batch without active triplets in the Strong Baseline alone: what is compared is what both have
    cosines = [[-0.5, None, None], [-0.3, -0.4, None], [None] * 3] if strong else [[0.2, 0.2, 0.9]] * 3
    return [
        {
            "epoch": 3 * (epoch + 1),
            "mAP": precision_of(recipe) * epoch / 2,
            "mAP_of_groups": [precision_of(recipe) * epoch / 2] * 2,
            "probe": {
                "gradient_cosine": cosines[epoch],
                "hardest_positive_before": [0.3, 0.4],
                "hardest_positive_after": [0.1, 0.2],
                "hardest_negative_before": [0.1, 0.1],
                "hardest_negative_after": [0.1, 0.3],
            },
        }
        for epoch in range(3)
    ] + [{"epoch": 10}]


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr(argument, "result", made_up)
    found = lambda recipe, seed: SimpleNamespace(record={"curve": curve_of(recipe)})  # noqa: E731
    return SimpleNamespace(profile=SimpleNamespace(seeds=(0, 1), data="worlds"), find_training=found)


def test_tables_compare_both_baselines_as_the_report_does(study):
    found = argument.controlled(study)
    assert list(found) == [("market1501", "mAP"), ("market1501", "Rank-1"), ("synergyreid", "mAP")]
    for (benchmark, metric), (strong, best, step) in found.items():
        first, second = strong.values(), best.values()
        wanted = 100 * (AFTER + UNIT + BOTH)
        if metric == "Rank-1":
            first, second = strong.values("cmc1"), best.values("cmc1")
            wanted = 100 * 0.5 * (2 / 3 - 1 / 3)  # a query of the first seed passes 0.5; in the second it had before
        assert step.ours.mean == pytest.approx(wanted) == pytest.approx((second - first).mean())
        reported = {("market1501", "mAP"): 2.03, ("market1501", "Rank-1"): 0.72, ("synergyreid", "mAP"): 1.89}
        assert step.reported == pytest.approx(reported[benchmark, metric])


@pytest.mark.parametrize("benchmark", ["market1501", "synergyreid"])
def test_findings_are_what_they_say(study, benchmark):
    found = argument.findings(study, benchmark)
    wanted = [
        20.0,  # hardest positives: 35 % before, 15 % after
        -10.0,  # hardest negatives
        0.4,  # the conflict
        0.6,  # what is left of it
        100 * (UNIT - AFTER),  # L2's effect minus that of the place: both contain half of the interaction
        100 * CENTER,
        100 * CENTER,
    ]
    assert [finding.ours.mean for finding in found] == pytest.approx(wanted)
    verdicts = [finding.verdict for finding in found]
    assert verdicts[:5] == ["reproduced", "not distinguishable", "reproduced", "reproduced", "reproduced"]
    assert verdicts[5:] == ["contradicted"] * 2, "no influence was claimed, and there is some"


def test_effects_are_those_of_a_two_by_two_design(study):
    recipes = stronger.combinations("market1501")
    found = argument.effects({pair: argument.of(study, recipe) for pair, recipe in recipes.items()})
    assert found["after the BNNeck"].mean == pytest.approx(100 * (AFTER + BOTH / 2))
    assert found["L2"].mean == pytest.approx(100 * (UNIT + BOTH / 2))
    assert found["interaction"].mean == pytest.approx(100 * BOTH)


def test_convergence_is_the_mean_over_the_epochs(study):
    recipes = stronger.combinations("synergyreid")
    found = argument.convergence(study, recipes[True, True], recipes[False, False])
    assert found.mean == pytest.approx(100 * (AFTER + UNIT + BOTH) * (0 + 0.5 + 1) / 3)
    assert argument.curve(study, recipes[True, True], "mAP").shape == (2, 3)
    cosines = argument.curve(study, recipes[False, False], "gradient_cosine")
    assert argument.epochs(study, recipes[False, False]) == [3, 6, 9]
    np.testing.assert_allclose(cosines, [[-0.5, -0.35, np.nan]] * 2)


def test_a_claim_of_no_difference_is_never_reproduced():
    finding = Finding("d", "", "", "points", Difference(0.1, -0.2, 0.4), none=True)
    assert finding.verdict == "not distinguishable"
