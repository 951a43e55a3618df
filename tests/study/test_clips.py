"""Recipes of clips on a small data set of noise: what is trained on, what a tracklet's features are, whose keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reidlib.augment import normalise
from reidlib.study import clips, plans
from reidlib.study.data import PROTOCOLS, SPLITS, VIDEO, Scene, StudyData, video_spec
from reidlib.study.profile import load_profile
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import ica, stronger

TEST = Scene("test")


@pytest.mark.parametrize("name", [ica.BASELINE, ica.BOTH])
def test_features_are_the_mean_over_a_tracklets_clips(clip_study, name, monkeypatch):
    """Clip by clip with the trained model; whether all frames are in memory or few, and however they are listed."""
    recipe = ica.model(ica.MARS, name)
    found = clip_study.features(recipe, 0, TEST).tensors("features.safetensors")
    scaled, model = recipe.scaled(clip_study.profile), clip_study.trained(recipe, 0).eval()
    dataset = clip_study.dataset
    tracklets = dataset.rows("test").groupby("sequence", sort=True)
    wanted = []
    for _, rows in tracklets:
        images = [np.array(Image.open(dataset.root / path).resize((32, 32), Image.BICUBIC)) for path in rows["path"]]
        frames = normalise(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), "unit")
        # one clip after the other; what is left over for the last is looped
        looped = [[start + k % min(4, len(rows) - start) for k in range(4)] for start in range(0, len(rows), 4)]
        with torch.no_grad():
            wanted.append(torch.stack([model(frames[clip][None])[0] for clip in looped]).mean(dim=0))
    wanted = torch.stack(wanted)
    roles = np.array([rows["role"].iloc[0] for _, rows in tracklets])
    torch.testing.assert_close(found["query"].float(), wanted[roles == "query"], rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(found["gallery"].float(), wanted, rtol=2e-3, atol=2e-3)  # MARS: the queries too
    assert found["query_person"].tolist() == [6, 7, 8, 9] and len(found["gallery"]) == len(tracklets)

    monkeypatch.setattr(clips, "FRAMES_AT_ONCE", 7)
    shuffled = replace(dataset, table=dataset.table.sample(frac=1, random_state=0))
    data = StudyData(clip_study.profile, shuffled, ica.MARS)
    in_parts = clips.tracklet_tensors(model, data, TEST, scaled, torch.device("cpu"))
    assert all(torch.equal(found[key], value) for key, value in in_parts.items())


def test_marss_galleries_and_the_ranks_of_every_query(clip_study):
    recipe = ica.model(ica.MARS, ica.BASELINE)
    official, common = (
        clip_study.evaluate(recipe, 0, way, TEST).record["metrics"] for way in (ica.OFFICIAL, ica.COMMON)
    )
    assert official["mAP"] != common["mAP"]
    for metrics in (official, common):
        for k in (1, 5, 20):
            assert np.mean(metrics[f"rank{k}"]) == pytest.approx(metrics[f"cmc{k}"])
    two = clip_study.evaluate(ica.model(ica.ILIDS, ica.BASELINE), 0, *ica.own(ica.ILIDS)).record["metrics"]
    assert len(two["rank1"]) == 4 and "kendall_tau" not in two


def test_training_clips_are_drawn_by_person_and_tracklet(clip_study):
    recipe = ica.model(ica.MARS, ica.ICA).scaled(clip_study.profile)
    rows = clip_study.data_of(ica.MARS).training_rows("train")
    drawn = clips.batches_of(recipe, torch.tensor(rows["label"].to_numpy()), rows, seed=5)
    batches = drawn(0)
    assert batches.shape == (1, 4 * 4, 4) and torch.equal(batches, drawn(0)) and not torch.equal(batches, drawn(1))
    sequences = torch.tensor(rows["sequence"].to_numpy())[batches]
    assert (sequences == sequences[..., :1]).all(), "a clip lies in one tracklet"
    assert clips.batches_of(stronger.strong(stronger.MARKET), None, None, 0) is None


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), most=st.integers(1, 20))
def test_parts_hold_whole_sequences_and_no_more_than_asked(lengths, most):
    sequences = np.repeat(np.arange(len(lengths)), lengths)
    parts = clips.in_parts(sequences, most)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(sequences)))
    for part in parts:
        inside = sequences[part]
        assert len(inside) <= most or len(set(inside)) == 1
    for before, after in zip(parts, parts[1:], strict=False):
        first = sequences[after][0]
        assert first not in sequences[before]
        assert len(sequences[before]) + lengths[first] > most, "as few parts as there can be"


def test_a_split_is_part_of_a_key_and_follows_the_seed(clip_study):
    assert (
        clip_study.data_of(ica.ILIDS, 13) is clip_study.data_of(ica.ILIDS, 3)
        and clip_study.data_of(ica.ILIDS, 3).split == 3
    )
    assert clip_study.data_of(ica.MARS, 3) is clip_study.data_of(ica.MARS) and set(SPLITS) == {ica.ILIDS, ica.PRID}
    configs = [clip_study.data_of(ica.ILIDS, seed).config for seed in (0, 1)]
    assert configs[0]["data"] == configs[1]["data"] and [config["split"] for config in configs] == [0, 1]
    assert "split" not in clip_study.data_of(ica.MARS).config
    recipe = ica.model(ica.ILIDS, ica.BOTH)
    assert clip_study._train_config(recipe, 3)["split"] == 3


def test_another_benchmark_is_another_key_and_its_own_split(clip_study):
    recipe, across = ica.model(ica.ILIDS, ica.BOTH), ica.ACROSS
    assert clip_study.features_key(recipe, 1, across) != clip_study.features_key(recipe, 1, TEST)
    assert clip_study.scene_data(recipe, 11, across) is clip_study.data_of(ica.PRID, 1)
    assert plans._benchmarks(plans.Need(recipe, (ica.across(),))) == {ica.ILIDS, ica.PRID}


def test_worlds_of_tracklets_are_in_proportion():
    full = {name: video_spec(name, 436, 468) for name in VIDEO}
    assert [(s.train_ids, s.test_ids) for s in full.values()] == [(208, 209), (150, 150), (89, 89)]
    half = video_spec(ica.MARS, 218, 234)
    assert (half.train_ids, half.test_ids, half.layout) == (104, 104, "mars")
    assert all(video_spec(name, 1, 1).train_ids == 4 for name in VIDEO), "a batch wants four persons"
    assert PROTOCOLS[ica.MARS] == "mars" and PROTOCOLS[ica.PRID] == PROTOCOLS[ica.ILIDS] == "market1501"


def test_a_profile_shrinks_clips_before_persons_and_images_no_further_than_asked():
    laptop = load_profile("laptop")
    scaled = ica.model(ica.MARS, ica.BOTH).scaled(laptop)
    assert (scaled.training.persons, scaled.training.images, scaled.batch_images) == (4, 4, 64)
    assert scaled.training.milestones == (30, 60) and scaled.training.epochs == 75
    sizes = {name: ica.model(ica.MARS, ica.BOTH, name).scaled(laptop) for name in ica.BACKBONES}
    assert [(r.height, r.width) for r in sizes.values()] == [(64, 64), (80, 80), (64, 32)]
    assert {r.augmentation.pad for r in sizes.values()} == {2}
    whole = replace(laptop, batch_scale=1.0, image_scale=1.0)
    assert ica.model(ica.MARS, ica.BOTH, "Alexnet").scaled(whole).training.images == 8
    attention = replace(ica.model(ica.MARS, ica.BASELINE), model_options={
        "backbone": "resnet50", "width": 1.0, "temporal": "attention", "image_size": (256, 128)})  # fmt: skip
    assert attention.scaled(laptop).model_options["image_size"] == (64, 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip_frames": 0}, "clip_frames: model 'video' wants 1 or more frames a clip"),
        ({"benchmark": "market1501"}, "clip_frames: model 'video' wants .* got 4, 'video' and 'market1501'"),
        ({"model": "baseline"}, "clip_frames: model 'video' wants .* got 4, 'baseline' and 'mars'"),
        ({"clip_frames": 6}, r"augmentation: draws for each frame \(frames 1\) or for a clip of 6, got frames 4"),
    ],
)
def test_recipes_that_do_not_fit_together(change, message):
    with pytest.raises(ValueError, match=message):
        replace(ica.model(ica.MARS, ica.BOTH), **change)


def test_scenes_for_images_are_refused(clip_study):
    with pytest.raises(ValueError, match="scene: flip and scales are for images, and the model takes clips"):
        clip_study.features(ica.model(ica.MARS, ica.BASELINE), 0, Scene("test", flip=True))


def changed(one: Recipe, other: Recipe) -> set[str]:
    return {name for name, *_ in one.changes(other)} - {"row"}


def test_rows_differ_in_what_they_say():
    one, sda, module, both = ica.table1(ica.MARS).values()
    assert changed(one, sda) == changed(module, both) == {"augmentation.frames"}
    assert changed(sda, both) == changed(one, module) == {"model_options.temporal"}
    assert changed(sda, ica.model(ica.MARS, ica.NECK)) == {"model_options.neck"}
    assert changed(both, ica.as_written()) == {"training.gamma"}
    assert changed(both, ica.gated()) == {"augmentation.unchanged"}
    options = ("per_frame", "residual", "metric_feature")
    assert [changed(both, recipe) for recipe in ica.variants().values()] == [{f"model_options.{o}"} for o in options]
    assert ica.strengths()["the report's", ica.BASELINE] == one
    t = both.training
    assert (t.epochs, t.persons, t.images, t.learning_rate, t.weight_decay) == (500, 4, 8, 4e-4, 5e-4)
    assert both.augmentation.scale == "unit" and both.clip_frames == 4


def test_the_chapter_asks_for_25_recipes(clip_study):
    needs = plans.CHAPTERS["ica"](clip_study)
    keys = {clip_study.train_key(need.recipe, 0) for need in needs}
    assert len(keys) == 25 and sum(getattr(need, "examine", False) for need in needs) == 3
