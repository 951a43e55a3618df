"""What a world holds, and which specs are refused: nothing is rendered here."""

import dataclasses
import json

import numpy as np
import pytest

from reidlib.data.worlds import CourtsideSpec, frames_kept, plan

SMALL = CourtsideSpec(train_ids=30, val_ids=7, test_ids=12, train_images=590, val_gallery=120, test_gallery=200)


def test_full_size_is_synergyreids():
    table = plan(CourtsideSpec())
    assert table.groupby(["split", "role"]).size().to_dict() == {
        ("train", "train"): 8569, ("val", "query"): 50, ("val", "gallery"): 910,
        ("test", "query"): 468, ("test", "gallery"): 8703}
    assert table.groupby("split").person.nunique().to_dict() == {"train": 436, "val": 50, "test": 468}
    assert table.path.is_unique
    assert (table.person == table.true_person).all()


def test_reduced_sizes_and_roles():
    table = plan(SMALL)
    assert table.groupby(["split", "role"]).size().to_dict() == {
        ("train", "train"): 590, ("val", "query"): 7, ("val", "gallery"): 120,
        ("test", "query"): 12, ("test", "gallery"): 200}
    queries = table[table.role == "query"]
    assert (queries.frame == 0).all() and queries.person.is_unique
    assert (table[table.role == "gallery"].frame > 0).all()
    assert table.groupby("true_person").size().min() >= 2             # a person alone could not be trained on or found
    assert set(table.path.str.split("/").str[:-1].str.join("/")) == {
        "data_reid/reid_training", "data_reid/reid_val/query", "data_reid/reid_val/gallery",
        "data_reid/reid_test/query", "data_reid/reid_test/gallery"}
    splits = table.groupby("split").person.agg(set)
    assert not splits["train"] & splits["val"] and not splits["train"] & splits["test"]


def test_zero_totals_mean_every_frame():
    spec = dataclasses.replace(SMALL, train_images=0, val_gallery=0, test_gallery=0, frames_per_sequence=5)
    assert plan(spec).groupby("true_person").size().eq(5).all()


def test_a_smaller_plan_is_a_prefix_but_for_dropped_frames():
    whole = dataclasses.replace(SMALL, train_images=0, val_gallery=0, test_gallery=0)
    part = dataclasses.replace(whole, train_ids=13, val_ids=7, test_ids=3)
    columns = ["path", "split", "role", "person", "true_person", "shot", "slot", "frame"]
    small, large = plan(part)[columns], plan(whole)[columns]
    common = large[large.path.isin(small.path)].reset_index(drop=True)
    assert common.equals(small)
    # Where frames are dropped, the one with the larger total keeps all that the one with the smaller total keeps.
    fewer = frames_kept(dataclasses.replace(whole, train_images=500), "train")
    more = frames_kept(dataclasses.replace(whole, train_images=550), "train")
    assert all(set(a) <= set(b) for a, b in zip(fewer, more))
    assert sum(map(len, fewer)) == 500


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_label_noise_is_as_asked_and_counts_stay(fraction):
    clean, noisy = plan(SMALL), plan(dataclasses.replace(SMALL, label_noise=fraction))
    train = noisy[noisy.split == "train"]
    wrong = train.person != train.true_person
    assert abs(wrong.sum() - fraction * len(train)) <= 1              # swaps come in pairs
    assert noisy.path.is_unique
    assert train.groupby("person").size().equals(clean[clean.split == "train"].groupby("person").size())
    assert (train.person // SMALL.people_per_shot == train.true_person // SMALL.people_per_shot).all()
    rest = noisy[noisy.split != "train"]
    assert (rest.person == rest.true_person).all()


def test_identity_imbalance_spreads_images_per_identity():
    spreads = []
    for imbalance in (0.0, 0.3, 0.6, 1.0):
        spec = dataclasses.replace(SMALL, train_ids=200, train_images=3900, identity_imbalance=imbalance)
        counts = np.array([len(frames) for frames in frames_kept(spec, "train")])
        assert counts.sum() == 3900 and counts.min() >= 2 and counts.max() <= 60
        spreads.append(counts.std())
    assert spreads == sorted(spreads) and spreads[-1] > 5 * spreads[0]


@pytest.mark.parametrize(("field", "value"), [
    ("frame_interval", 0.0), ("frame_interval", float("nan")), ("occlusion", 1.1), ("label_noise", 0.6),
    ("kit_similarity", -0.1), ("viewpoint_change", 2.0), ("background_persistence", -1.0), ("identity_imbalance", 1.5),
    ("detector_jitter", 0.5), ("noise", -1.0), ("blur", 1.0), ("jpeg_quality", 0), ("height", 8), ("width", 8),
    ("frames_per_sequence", 1), ("people_per_shot", 1), ("train_ids", 0), ("val_ids", -1), ("test_ids", 10_001),
    ("train_images", 8721), ("val_gallery", 951), ("test_gallery", 1), ("seed", -1), ("version", 2),
    ("seed", 1.5), ("noise", "much"), ("train_ids", True)])
def test_bad_values_name_the_field(field, value):
    with pytest.raises(ValueError, match=rf"^{field}: "):
        CourtsideSpec(**{field: value})


def test_the_key_follows_the_content():
    assert CourtsideSpec(noise=3).key == CourtsideSpec(noise=3.0).key == CourtsideSpec().key
    assert CourtsideSpec(noise=2.0).key != CourtsideSpec().key
    assert CourtsideSpec(**json.loads(SMALL.to_json())) == SMALL
