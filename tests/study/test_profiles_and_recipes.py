"""Profiles refuse what they do not know; recipes carry the report's numbers and scale in one place."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import yaml

from reidlib.study.profile import PARAMS, Profile, load_profile, profile_from
from reidlib.study.recipes import vtrm

NAMES = sorted(path.stem for path in PARAMS.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_loads(name):
    assert load_profile(name).profile == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windw": 2}, "laptop.yaml: unknown key 'windw'"),
        ({"epoch_scal": 0.1}, "did you mean 'epoch_scale'?"),
        ({"seeds": 3}, "seeds wants a list of integers"),
        ({"seeds": []}, "seeds: wants one or more"),
        ({"image_scale": 2.0}, r"image_scale: wants a factor in \(0, 1\]"),
        ({"train_ids": "many"}, "train_ids wants int, got 'many'"),
        ({"train_ids": True}, "train_ids wants int"),
        ({"device": "tpu"}, "device: wants one of auto, cpu, cuda"),
    ],
)
def test_bad_profiles(change, message):
    values = yaml.safe_load((PARAMS / "laptop.yaml").read_text()) | change
    with pytest.raises(ValueError, match=message):
        profile_from(values, "laptop.yaml")


def test_missing_key_and_missing_file():
    values = yaml.safe_load((PARAMS / "laptop.yaml").read_text())
    del values["seeds"]
    with pytest.raises(ValueError, match="lacks seeds"):
        profile_from(values, "x.yaml")
    with pytest.raises(ValueError, match="no file fast.yaml; there are .*laptop"):
        load_profile("fast")


def test_paper_profile_changes_nothing_but_precision():
    for recipe in vtrm.table1().values():
        changes = recipe.changes(recipe.scaled(load_profile("paper")))
        assert {name for name, *_ in changes} <= {"training.precision"}


def test_recipes_are_the_reports():
    rows = vtrm.table1()
    assert list(rows) == ["MGN", "+ Part-4 Branch", "+ 6x Schedule"]
    assert rows["MGN"].model_options["parts"] == (1, 2, 3)
    assert rows["+ Part-4 Branch"].model_options["parts"] == (1, 2, 3, 4)
    assert [recipe.training.epochs for recipe in rows.values()] == [120, 120, 720]
    for recipe in rows.values():
        assert recipe.training.persons * recipe.training.images == 128
        assert (recipe.height, recipe.width) == (384, 128)
        assert recipe.training.weight_decay == 5e-4


def test_scaling_keeps_proportions():
    profile = replace(load_profile("laptop"), epoch_scale=0.1, batch_scale=0.5, image_scale=0.25)
    scaled = vtrm.six_times().scaled(profile)
    assert scaled.training.epochs == 72
    assert scaled.training.milestones == pytest.approx((24, 48))
    assert scaled.training.freeze_epochs == pytest.approx(100 / 66)
    assert (scaled.height, scaled.width) == (96, 32)
    assert scaled.training.persons == 16
    assert scaled.training.learning_rate == 3.5e-4
    assert scaled.training.triplet_shard == 32


def test_scaled_recipe_is_json_and_equal_for_equal_profiles():
    recipe, profile = vtrm.mgn(), load_profile("quick")
    assert asdict(recipe.scaled(profile)) == asdict(recipe.scaled(Profile(**asdict(profile))))
