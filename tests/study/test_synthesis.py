"""The synthesis: what its recipes are made of and share with the reports' chapters; what is a difference of what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reidlib.study import costs
from reidlib.study import synthesis as synthesising
from reidlib.study.data import VAL
from reidlib.study.needs import CHAPTERS, JOINT
from reidlib.study.profile import load_profile
from reidlib.study.recipes import along, attention, stronger, synthesis
from reidlib.study.recipes.synthesis import FULL, PARTS
from reidlib.study.runner import Study
from reidlib.study.store import Entry, Store
from reidlib.study.synthesis import Synthesis
from reidlib.study.tables import Result


@pytest.fixture
def study(tmp_path) -> Study:
    """The smoke profile on an empty store; nothing is rendered: keys are those of the frozen world."""
    return Study(load_profile("smoke"), Store(tmp_path))


def parts_of(recipe) -> set[str]:
    """Read off a recipe what it was made of."""
    options, training = recipe.model_options, recipe.training
    has = {
        synthesis.BRANCHES: recipe.model == "mgn" and options["parts"] == (1, 2, 3, 4),
        synthesis.IBN: options["backbone"] == "resnet50_ibn",
        synthesis.UNIT: training.triplet_normalise and options["metric_feature"] == "after",
        synthesis.CURATION: bool(recipe.curation and recipe.curation.delete and recipe.curation.hard),
        synthesis.AUGMENT: recipe.augmentation.erasing > 0 and recipe.augmentation.grey > 0,
        synthesis.GEM: options["pooling"] == "gem",
        synthesis.CIRCLE: training.classification == "circle" and options["cosine"],
        synthesis.LARGE: recipe.height == 384,
    }
    return {part for part, there in has.items() if there}


def test_recipes_have_the_parts_they_name():
    assert parts_of(synthesis.base()) == set() and parts_of(synthesis.full()) == set(PARTS)
    for part in PARTS:
        assert parts_of(synthesis.added()[part]) == {part}
        assert parts_of(synthesis.left_out()[part]) == set(PARTS) - {part}
    with pytest.raises(ValueError, match="parts: want some of MGN with Part-4.*got GEM"):
        synthesis.stack(["GEM"])


def test_one_schedule_for_all():
    trained = {(r.training.epochs, r.training.learning_rate, r.training.persons) for r in synthesis.added().values()}
    assert trained == {(180, 5e-3, 16)}
    assert {r.training.milestones for r in synthesis.left_out().values()} == {()}


def test_rows_of_the_winners_chapter_are_not_trained_again(study):
    shared = {
        synthesis.CURATION: along.table1()[f"+ {along.HARD}"].recipe,
        synthesis.AUGMENT: along.alone()[along.AUGMENT].recipe,
        synthesis.GEM: along.alone()[along.GEM].recipe,
        synthesis.CIRCLE: along.alone()[along.CIRCLE].recipe,
        synthesis.LARGE: along.alone()[along.LARGE].recipe,
    }
    for part, recipe in shared.items():
        assert study.train_key(synthesis.added()[part], 0) == study.train_key(recipe, 0), part
    assert study.train_key(synthesis.base(), 0) == study.train_key(along.baseline(), 0)
    assert study.train_key(synthesis.full().first_model, 0) == study.train_key(along.baseline(), 0)


def test_the_needs_train_no_more_than_was_planned(study):
    """Each row is three runs on two cores: a change of what is trained shall be seen."""
    needs = CHAPTERS["synthesis"](study)
    recipes = [need.recipe for need in needs if not isinstance(need, JOINT)]
    recipes += [recipe for need in needs if isinstance(need, JOINT) for recipe in need.recipes]
    elsewhere = {
        study.train_key(need.recipe, 0)
        for chapter in ("mgn", "along", "stronger", "ica", "attention")
        for need in CHAPTERS[chapter](study)
    }
    new = {study.train_key(recipe, 0): recipe for recipe in recipes}
    new = [recipe for key, recipe in new.items() if key not in elsewhere]
    at_home = [recipe for recipe in new if recipe.benchmark == "synergyreid" and not recipe.knobs]
    assert len(at_home) == 3 + 8 + 1 + 1, "added, left out, full, a third"
    assert len([recipe for recipe in new if recipe.benchmark == "mars"]) == 4
    assert len([recipe for recipe in new if recipe.benchmark == stronger.MARKET]) == 2
    assert len(new) <= 13 + 4 + 2 + 2 * 5


def test_sizes_are_the_data_sets_and_smaller_in_a_small_profile():
    assert list(synthesis.sized(load_profile("laptop"))) == [50, 100, 160, 436]
    assert list(synthesis.sized(load_profile("gpu"))) == [50, 100, 160, 436]
    small = synthesis.sized(load_profile("smoke"))
    assert list(small) == [10, 12] and not small[10][0].knobs and small[12][1].knobs == (("train_ids", 12),)
    assert small[12][1].first_model.knobs == small[12][1].knobs, "the curation reads a model of the same images"
    assert list(synthesis.sized(load_profile("quick"))) == [19, 60], "two points for a first look"
    longer = replace(load_profile("quick"), epoch_scale=0.1)
    assert list(synthesis.sized(longer)) == [19, 38, 60, 164]


def test_fewer_people_are_the_first_of_them(study):
    spec = study.data.training_spec((("train_ids", 7),))
    assert (spec.train_ids, spec.val_ids, spec.test_ids) == (7, study.profile.val_ids, 0)
    assert spec.label_noise == study.data.training_spec(()).label_noise


def test_a_shift_is_home_at_the_worlds_own_value():
    for knob, values in synthesis.SHIFTS.items():
        assert synthesis.shifted(knob, values[0]) == VAL
        assert synthesis.shifted(knob, values[-1]).knobs == ((knob, values[-1]),)


def test_clips_have_what_they_name():
    rows = synthesis.clips()
    for name, recipe in rows.items():
        names = name.split(", ")
        assert ("SDA" in names) == (recipe.augmentation.frames == recipe.clip_frames), name
        assert ("OSM" in names) == (recipe.training.osm == "centers"), name
        assert ("its loss" in names) == (recipe.training.attention_weight > 0), name
        assert recipe.model_options["temporal"] == ("ica" if "ICA" in names else "attention"), name
    same = {(r.training.epochs, r.height, r.model_options["last_stride"]) for r in rows.values()}
    assert len(same) == 1, "one network and schedule"
    assert rows["attention"].config() == attention.table1()[attention.TRICKS].config()


WORTH = {part: 0.01 * (number + 1) for number, part in enumerate(PARTS)}


def made_up(study, recipe, ranking, scene) -> Result:
    """Two seeds of three queries: the worth of the parts, less 0.05 where branches meet the circle loss."""
    parts = parts_of(recipe)
    precision = 0.3 + sum(WORTH[part] for part in parts) - 0.05 * ({synthesis.BRANCHES, synthesis.CIRCLE} <= parts)
    spread = np.array([-0.01, 0.0, 0.01])
    records = [{"metrics": {"mAP": precision, "average_precision": list(precision + spread + s)}} for s in (0.0, 0.001)]
    return Result([Entry(Path(), record) for record in records])


def test_gains_of_made_up_parts(monkeypatch):
    monkeypatch.setattr(synthesising, "result", made_up)
    found = Synthesis(SimpleNamespace())
    alone, last = found.gains().values()
    for part, worth in WORTH.items():
        lost = 0.05 * (part in (synthesis.BRANCHES, synthesis.CIRCLE))
        assert alone[part].mean == pytest.approx(100 * worth)
        assert last[part].mean == pytest.approx(100 * (worth - lost))
    together, surplus = found.together()
    assert together.mean == pytest.approx(100 * (sum(WORTH.values()) - 0.05))
    assert surplus.mean == pytest.approx(-5)


def test_a_first_model_is_paid_for_once(study, monkeypatch):
    """Iterations of a made-up cost: the full stack and its first model, then the baseline that is this first model."""
    monkeypatch.setattr(Study, "find_training", lambda *_: Entry(Path(), {"images": 200}))
    monkeypatch.setattr(
        costs, "cost", lambda study, recipe: Entry(Path(), {"iteration": 10.0 if recipe.model == "mgn" else 1.0})
    )
    options = synthesis.base().scaled(study.profile).training
    iterations = options.epochs * (200 // (options.persons * options.images))
    base, full = synthesis.base(), synthesis.models()[FULL]
    assert costs.training_seconds(study, [base], 0) == iterations
    assert costs.training_seconds(study, [full], 0) == 11 * iterations
    assert costs.training_seconds(study, [full, base], 0) == 11 * iterations


def test_a_cost_is_measured_and_kept(study, monkeypatch):
    monkeypatch.setattr(costs, "FIRST_TIMED", 4)
    monkeypatch.setattr(costs, "EXTRACTED", 8)
    record = costs.cost(study, synthesis.third()).record
    assert record["iteration"] > 0 and record["image"] > 0 and record["threads"] == 1
    assert min(record["rounds"]) <= record["iteration"] <= max(record["rounds"])
    again = costs.cost(study, synthesis.third()).record
    assert (again["iteration"], again["image"]) == (record["iteration"], record["image"]), "looked up"
