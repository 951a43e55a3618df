"""A followed run on the smallest Crosswalk world: what is noted after its last epoch is what its evaluation finds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reidlib.study.data import TEST, VAL
from reidlib.study.following import GROUPS, PROBED
from reidlib.study.profile import load_profile
from reidlib.study.ranking import Ranking
from reidlib.study.recipes import stronger
from reidlib.study.runner import Study
from reidlib.study.store import Store

MARKET = Ranking(protocol="market1501")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    home = tmp_path_factory.mktemp("home")
    profile = replace(
        load_profile("smoke"), data_root=str(home / "worlds"), epoch_scale=2 / 360
    )  # two epochs of 120, three times as long
    return Study(profile, Store(home / "store"), threads=1)


def test_followed_runs_end_as_they_are_evaluated(study):
    recipe = stronger.strong("market1501")
    curve = study.train(recipe, 0).record["curve"]
    metrics = study.evaluate(recipe, 0, MARKET, TEST).record["metrics"]
    assert len(curve) == 2 and curve[-1]["mAP"] == pytest.approx(metrics["mAP"], abs=1e-6)
    of_persons = len(set(study.gallery(recipe, 0, TEST).query_labels["person"].tolist()))
    assert len(curve[-1]["mAP_of_groups"]) == min(GROUPS, of_persons)
    for point in curve:
        assert set(map(len, point["probe"].values())) == {min(PROBED, len(point["probe"]["gradient_cosine"]))}
        assert all(value is None or math.isfinite(value) for values in point["probe"].values() for value in values)


def test_following_changes_no_weight(study):
    recipe = stronger.strong("market1501")
    alone = replace(recipe, follow=False)
    hashes = [study.train(one, 0).record["files"]["weights.safetensors"] for one in (recipe, alone)]
    assert hashes[0] == hashes[1]
    assert {study.train(one, 0).record["threads"] for one in (recipe, alone)} == {1}
    assert study.train_key(recipe, 0) != study.train_key(alone, 0)


def test_rank_1_is_the_mean_over_queries_and_markets_protocol_is_used(study):
    recipe = stronger.strong("market1501")
    metrics = study.evaluate(recipe, 0, MARKET, TEST).record["metrics"]
    known = [value for value in metrics["rank1"] if value is not None]
    assert sum(known) / len(known) == pytest.approx(metrics["cmc1"]) and "kendall_tau" not in metrics
    other = study.evaluate(recipe, 0, Ranking(), TEST).record["metrics"]
    assert other["mAP"] != metrics["mAP"], "without the camera's filter an image of the same camera is an easy match"


def test_each_benchmark_has_its_world(study):
    worlds = {name: study.data_of(name) for name in ("market1501", "synergyreid")}
    assert worlds["market1501"].dataset.name == "crosswalk" and worlds["synergyreid"].spec.val_ids == 10
    assert study.data is worlds["synergyreid"] and study.data_of("market1501") is worlds["market1501"]
    keys = [study.features_key(stronger.strong(name), 0, VAL) for name in worlds]
    assert keys[0] != keys[1]
    with pytest.raises(ValueError, match="benchmark: wants one of synergyreid, .*, prid2011, got 'cuhk03'"):
        stronger.strong("cuhk03")
