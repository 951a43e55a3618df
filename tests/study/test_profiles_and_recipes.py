"""Profiles refuse what they do not know; recipes carry the report's numbers and scale in one place."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import yaml

from reidlib.study.profile import PARAMS, Profile, load_profile, profile_from
from reidlib.study.recipes import stronger, vtrm
from reidlib.study.reports import report_table
from reidlib.study.store import key_of

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
        ({"backbones": "resnet18"}, "backbones wants names for names.*got 'resnet18'"),
        ({"backbones": {"resnet50": 18}}, "backbones wants names for names"),
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


def test_stand_ins_keep_what_tells_the_five_models_apart():
    models = vtrm.table3()
    assert list(models) == [row["row"] for row in report_table("vtrm", 3)["rows"]][:5]
    own = [recipe.model_options["backbone"] for recipe in models.values()]
    assert own == ["resnet50_ibn", "resnet50_ibn", "se_resnet50_ibn", "resnet101_ibn", "se_resnet101_ibn"]
    light = [recipe.scaled(load_profile("laptop")).model_options["backbone"] for recipe in models.values()]
    assert light == ["resnet18_ibn", "resnet18_ibn", "se_resnet18_ibn", "resnet34_ibn", "se_resnet34_ibn"]
    assert [recipe.training.epochs for recipe in models.values()] == [120, 720, 720, 720, 720]


def test_table_4_is_cumulative():
    found = {
        row: (recipe.training.epochs, len(recipe.model_options["parts"]), ranking.vtrm)
        for row, (recipe, ranking) in vtrm.table4().items()
    }
    assert list(found.values()) == [(120, 3, False), (120, 4, False), (120, 4, True), (720, 4, True)]
    assert [*found, "+ 5-Model Ensemble"] == [row["row"] for row in report_table("vtrm", 4)["rows"]]


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


def test_key_does_not_change_with_a_field_that_came_later():
    """The key of a run that is published, as it was recorded before the field was there."""
    recipe, data = vtrm.mgn().scaled(load_profile("laptop")), "0" * 64
    config = {"recipe": recipe.config(), "seed": 0, "data": data}
    assert key_of("train", 1, config) == "27d399bf4bd7dc25a61e2641613877e1fa971b63e557b6c7923c900e01bf337b"
    assert "grey" not in recipe.config()["augmentation"] and "row" not in recipe.config()
    greyed = replace(recipe, augmentation=replace(recipe.augmentation, grey=0.2))
    assert greyed.config()["augmentation"]["grey"] == 0.2


def test_strong_and_stronger_differ_in_two_fields():
    """Section 3.1 and Figure 3 of report `stronger`: where the triplet loss sits, and L2 before it."""
    four = stronger.combinations("market1501")
    assert four[True, True] == stronger.stronger("market1501") and four[False, False] == stronger.strong("market1501")
    changed = {name for name, *_ in four[False, False].changes(four[True, True])}
    assert changed == {"row", "model_options.metric_feature", "training.triplet_normalise"}
    for (after, normalised), recipe in four.items():
        assert recipe.model_options["metric_feature"] == ("after" if after else "before")
        assert recipe.training.triplet_normalise == normalised


def test_submission_is_section_3_4s():
    final = list(stronger.submissions().values())[-1]
    training, seen = final.training, final.augmentation
    assert (training.optimizer, training.epochs, training.learning_rate) == ("sgd", 350, 0.065)
    assert (training.milestones, training.warmup_epochs, training.gamma) == ((150, 225, 300), 0, 0.1)
    assert (seen.flip, seen.erasing, seen.jitter, seen.pad, seen.auto > 0) == (0.5, 0.5, 0.5, 0, True)
    assert len({key_of("train", 1, recipe.config()) for recipe in stronger.submissions().values()}) == 2


def test_one_change_is_one_change():
    """What section (d) of the chapter compares differs in one option of training, and is looked at in the end alone."""
    strong, best = stronger.strong("market1501"), stronger.stronger("market1501")
    pairs = [(stronger.with_center(base), base, "center_weight") for base in (strong, best)]
    pairs.append((stronger.squared(best), best, "triplet_distance"))
    margins = stronger.margins("market1501")
    pairs += [(recipe, best, "triplet_margin") for margin, recipe in margins.items() if margin != 0.3]
    for recipe, base, option in pairs:
        changed = {name for name, *_ in base.changes(recipe)}
        assert changed == {"row", "follow", f"training.{option}"}
    assert list(margins) == [0, 0.1, 0.3, 0.6] and margins[0.3] == best


def test_small_batches_are_not_made_smaller():
    recipe = stronger.strong("synergyreid")
    assert {recipe.scaled(load_profile(name)).training.persons for name in ("paper", "laptop", "smoke")} == {8}
    assert vtrm.mgn().scaled(load_profile("smoke")).training.persons == 4


def test_a_longer_recipe_keeps_its_shape_and_never_exceeds_the_reports():
    recipe = stronger.strong("synergyreid")
    scaled, whole = (recipe.scaled(load_profile(name)).training for name in ("laptop", "paper"))
    assert (scaled.epochs, scaled.milestones, scaled.warmup_epochs) == (54, pytest.approx((13.5, 24.75)), 4.5)
    assert (whole.epochs, whole.milestones, whole.warmup_epochs) == (120, (30, 55), 10)
