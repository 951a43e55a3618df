"""Report `along`'s table and claims: what each difference is a difference of, on results that are made up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reidlib.study import tricks
from reidlib.study.recipes import along
from reidlib.study.reports import report_table
from reidlib.study.store import Entry
from reidlib.study.tables import Result

WORTH = {trick: 0.01 * (number + 1) for number, trick in enumerate(along.TRICKS)}  # 1, 2, .. 9 points
CLASH = 0.03  # lost when the noise filter and the circle loss meet


def tricks_of(recipe, ranking, scene) -> set[str]:
    """Read off a setting what it was made of."""
    curation, training = recipe.curation, recipe.training
    has = {
        along.NOISE: bool(curation and curation.delete),
        along.HARD: bool(curation and curation.hard),
        along.AUGMENT: recipe.augmentation.erasing > 0 and recipe.augmentation.grey > 0,
        along.GEM: recipe.model_options["pooling"] == "gem",
        along.CIRCLE: training.classification == "circle" and recipe.model_options["cosine"],
        along.FLIP: scene.flip,
        along.RERANK: ranking.rerank and ranking.lambda_value == 0.1,
        along.AQE: ranking.expansion > 0,
        along.LARGE: recipe.height == 384,
    }
    return {trick for trick, there in has.items() if there}


def made_up(study, recipe, ranking, scene) -> Result:
    """Two seeds of three queries whose average precision is the worth of its tricks; kits add to re-ranking."""
    found = tricks_of(recipe, ranking, scene)
    precision = 0.3 + sum(WORTH[trick] for trick in found) - CLASH * ({along.NOISE, along.CIRCLE} <= found)
    if recipe == along.curations()["delete all that is occluded"]:
        precision = 0.25
    precision += 0.1 * dict(scene.knobs).get("kit_similarity", 0.0) * ranking.rerank
    spread = np.array([-0.01, 0.0, 0.01])
    records = [{"metrics": {"mAP": precision, "average_precision": list(precision + spread + s)}} for s in (0.0, 0.001)]
    return Result([Entry(Path(), record) for record in records])


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(tricks, "result", made_up)
    return tricks.Tricks(SimpleNamespace(data=SimpleNamespace(spec=object())))


def test_settings_have_the_tricks_they_name():
    assert tricks_of(*along.setting(())) == set()
    for count, setting in enumerate(along.table1().values()):
        assert tricks_of(*setting) == set(along.TRICKS[:count])
    for name in along.TRICKS:
        assert tricks_of(*along.alone()[name]) == {name}
        assert tricks_of(*along.left_out()[name]) == set(along.TRICKS) - {name}


def test_rows_are_the_reports():
    assert list(along.table1()) == [row["row"] for row in report_table("along", 1)["rows"]]
    assert set(tricks.SHORT) == set(along.TRICKS)


def test_gains_by_place(measured):
    """In order and last, the circle loss meets the noise filter; alone it does not. Points, every interval a point."""
    gains = measured.gains()
    for trick, worth in WORTH.items():
        lost_in_order = CLASH if trick == along.CIRCLE else 0
        lost_last = CLASH if trick in (along.CIRCLE, along.NOISE) else 0
        assert gains["in the table's order"][trick].mean == pytest.approx(100 * (worth - lost_in_order))
        assert gains["alone on the baseline"][trick].mean == pytest.approx(100 * worth)
        assert gains["added last, to all others"][trick].mean == pytest.approx(100 * (worth - lost_last))


def test_together_and_what_the_single_gains_promise_beyond(measured):
    together, surplus = measured.together()
    assert together.mean == pytest.approx(45 - 3)
    assert surplus.mean == pytest.approx(3)


def test_claims_are_positive_as_the_report_has_them(measured):
    found = {claim.letter: (claim.ours.mean, claim.verdict) for claim in measured.claims()}
    assert found["a"] == (pytest.approx(5), "reproduced")  # deleting all loses 0.05
    assert found["b"] == (pytest.approx(100 * WORTH[along.CIRCLE]), "reproduced")
    assert found["c"] == (pytest.approx(100 * (WORTH[along.RERANK] - WORTH[along.AQE])), "contradicted")
    assert found["d"] == (pytest.approx(10), "reproduced")  # 0.1 for kits that are all equal


def test_real_data_have_no_kits_to_change(monkeypatch):
    monkeypatch.setattr(tricks, "result", made_up)
    real = tricks.Tricks(SimpleNamespace(data=SimpleNamespace(spec=None)))
    assert [claim.letter for claim in real.claims()] == ["a", "b", "c"]


def test_every_record_that_was_asked_for_is_in_the_box(measured):
    measured.steps()
    measured.study.find_training = lambda recipe, seed: f"run of {recipe.row}, {seed}"
    measured.study.profile = SimpleNamespace(seeds=(0, 1))
    entries = measured.entries()
    assert sum(isinstance(entry, Entry) for entry in entries) == 2 * 10
    assert f"run of {along.BASELINE}, 1" in entries
