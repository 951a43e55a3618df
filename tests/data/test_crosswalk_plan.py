"""The plan of a Crosswalk world: who is seen where and how often, labels, names, totals; and its specification."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from reidlib.data.worlds.crosswalk import CrosswalkSpec, plan, tracklets

SMALL = CrosswalkSpec(train_ids=40, test_ids=30, seed=2)
NAME = re.compile(r"(-1|\d{4})_c(\d)s(\d)_(\d{6})_(\d\d)\.jpg")


def test_the_full_size_has_market1501s_counts():
    table = plan(CrosswalkSpec())
    gallery = table[table.role == "gallery"]
    assert (table.role == "train").sum() == 12_936 and (table.role == "query").sum() == 3_368 and len(gallery) == 19_732
    assert (gallery.person > 0).sum() == 13_115
    assert (gallery.person == 0).sum() == 2_798 and (gallery.person == -1).sum() == 3_819
    train, test = table[table.role == "train"].person, table[table.role == "query"].person
    assert train.nunique() == 751 and test.nunique() == 750 and not set(train) & set(test)
    assert min(train.min(), test.min()) == 1 and max(train.max(), test.max()) == 1501
    assert table.path.is_unique
    tenth = plan(CrosswalkSpec(train_ids=75, test_ids=75))
    assert len(tenth) == pytest.approx(len(table) / 10, rel=0.01)


def test_names_say_what_the_plan_says():
    for row in plan(SMALL).itertuples():
        folder, name = row.path.split("/")
        person, camera, sequence, frame, detection = map(int, NAME.fullmatch(name).groups())
        assert (person, camera, sequence, frame) == (row.person, row.camera, row.tracklet + 1, row.frame)
        assert (detection == 0) == (row.role == "query") == (folder == "query")
        assert (folder == "bounding_box_train") == (row.split == "train")


@pytest.mark.parametrize("cameras", [2, 6, 9])
def test_every_person_is_seen_by_two_cameras_and_every_query_has_a_match(cameras):
    table = plan(replace(SMALL, cameras=cameras))
    for split in ("train", "test"):
        seen = tracklets(replace(SMALL, cameras=cameras), split)
        per_person = seen.groupby("person").camera.nunique()
        assert per_person.min() >= 2 and per_person.max() <= cameras
        good = table[(table.split == split) & (table.kind == "person") & (table.person > 0)]
        pairs = set(zip(seen.person, seen.camera))
        assert set(zip(good.true_person, good.camera)) == pairs
        assert set(zip(good.true_person, good.camera, good.tracklet)) <= set(seen.itertuples(index=False, name=None))
    query, gallery = table[table.role == "query"], table[(table.role == "gallery") & (table.person > 0)]
    assert not query.duplicated(["person", "camera"]).any()             # one for every person and camera
    held = set(zip(gallery.person, gallery.camera))
    assert held == set(zip(query.person, query.camera))                 # so every query has a match elsewhere
    keys = ["true_person", "camera", "tracklet", "frame"]
    assert not gallery.merge(query, on=keys).shape[0]


def test_some_cameras_see_a_person_again_and_some_people_are_seen_by_all():
    seen = tracklets(CrosswalkSpec(), "test")
    times = seen.groupby(["person", "camera"]).size()
    assert times.max() == 3 and (times == 2).mean() == pytest.approx(0.22, abs=0.05)
    spread = seen.groupby("person").camera.nunique().value_counts(normalize=True)
    assert set(spread.index) == {2, 3, 4, 5, 6} and spread.min() > 0.02


@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_label_noise_is_as_asked_and_counts_stay(fraction):
    clean, noisy = plan(SMALL), plan(replace(SMALL, label_noise=fraction))
    train = noisy[noisy.split == "train"]
    assert abs((train.person != train.true_person).sum() - fraction * len(train)) <= 1           # swaps come in pairs
    assert noisy.path.is_unique
    assert train.groupby("person").size().equals(clean[clean.split == "train"].groupby("person").size())
    rest, untouched = noisy[noisy.split == "test"], clean[clean.split == "test"]
    assert rest.reset_index(drop=True).equals(untouched.reset_index(drop=True))


def test_identity_imbalance_spreads_images_per_identity():
    spreads = []
    for imbalance in (0.0, 0.5, 1.0):
        table = plan(replace(SMALL, identity_imbalance=imbalance))
        counts = table[table.split == "train"].groupby("person").size()
        assert counts.sum() == SMALL.images("train_images") and counts.min() >= 2
        spreads.append((counts / tracklets(SMALL, "train").groupby("person").size()).std())
    assert spreads[0] < spreads[1] < spreads[2] and spreads[2] > 2 * spreads[0]


def test_junk_and_distractors_are_all_different():
    table = plan(replace(SMALL, junk=200, distractors=60))
    junk, distractors = table[table.person == -1], table[table.person == 0]
    assert len(junk) == 200 and set(junk.kind) == {"part"} and not junk.duplicated(
        ["member", "camera", "tracklet", "frame"]).any()
    assert len(distractors) == 60 and distractors.member.is_unique and set(distractors.kind) == {"person", "nobody"}
    fewer = plan(replace(SMALL, junk=0, distractors=20))
    assert not (fewer.person == -1).any()
    assert set(fewer[fewer.person == 0].path) <= set(distractors.path)


@pytest.mark.parametrize(("field", "value"), [
    ("frame_interval", 0.0), ("frame_interval", 3.0), ("occlusion", 1.1), ("label_noise", 0.6),
    ("clothes_similarity", -0.1), ("colour_shift", 2.0), ("viewpoint_change", float("nan")),
    ("background_persistence", -1.0), ("identity_imbalance", 1.5), ("detector_jitter", 0.5), ("noise", -1.0),
    ("blur", 1.0), ("jpeg_quality", 0), ("height", 8), ("width", 8), ("cameras", 1), ("cameras", 10),
    ("frames_per_tracklet", 1), ("train_ids", 0), ("test_ids", -1), ("train_images", 100), ("gallery_images", 10**5),
    ("distractors", -2), ("junk", 10**6), ("seed", -1), ("version", 2), ("seed", 1.5), ("noise", "much"),
    ("train_ids", True)])
def test_bad_values_name_the_field(field, value):
    with pytest.raises(ValueError, match=rf"^{field}: "):
        CrosswalkSpec(**{field: value})


def test_the_key_follows_the_content():
    assert CrosswalkSpec(noise=3).key == CrosswalkSpec(noise=3.0).key == CrosswalkSpec().key
    assert CrosswalkSpec(noise=2.0).key != CrosswalkSpec().key
    assert CrosswalkSpec(**json.loads(SMALL.to_json())) == SMALL


def test_a_world_may_be_for_training_alone():
    table = plan(CrosswalkSpec(train_ids=3, test_ids=0))
    assert set(table.role) == {"train"} and len(table) == round(12_936 * 3 / 751)
    assert np.all(table.person == table.true_person)
