"""Report attention's recipes, what is kept of its models, and its claims on made-up numbers: which sign, which row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidlib.study import attending, attention_figures, plans
from reidlib.study import attention as measured
from reidlib.study.data import TEST
from reidlib.study.profile import load_profile
from reidlib.study.recipes import attention
from reidlib.study.reports import report_table
from reidlib.study.store import Entry
from reidlib.study.tables import Result


def test_rows_are_the_reports_and_each_adds_one_thing():
    rows = attention.table1()
    assert list(rows) == [row["row"] for row in report_table("attention", 1)["rows"]][2:]
    assert list(attention.table2())[:2] == [row["row"] for row in report_table("attention", 2)["rows"]][1:]
    changed = {name for name, *_ in rows[attention.CENTERS].changes(rows[attention.ATTENTION])}
    assert changed == {"row", "training.attention_weight"}
    assert {name for name, *_ in rows[attention.OSM].changes(rows[attention.CENTERS])} == {"row", "training.osm"}
    tricks = {name for name, *_ in rows[attention.BASELINE].changes(rows[attention.TRICKS])} - {"row"}
    assert {"model_options.last_stride", "model_options.neck", "training.warmup_epochs", "augmentation.erasing",
            "training.center_weight", "training.triplet_distance"} <= tricks  # fmt: skip
    assert all(recipe.training.label_smoothing == 0.1 for recipe in rows.values())
    assert rows[attention.ATTENTION].training.osm_share == 1.0, "the published beta: no triplet loss at all"


def test_no_laptop_run_is_long():
    """What was asked for: no more than 1200 iterations of 16 clips of 4 frames."""
    laptop = load_profile("laptop")
    recipes = [*attention.table1().values(), *attention.table2().values(), *attention.readings().values(),
               *attention.untuned().values(), attention.without_neck()]  # fmt: skip
    for recipe in recipes:
        scaled = recipe.scaled(laptop)
        persons = {attention.MARS: 76, attention.PRID: 33}[recipe.benchmark]
        assert scaled.training.epochs * (persons // scaled.training.persons) <= 1200
        assert scaled.batch_images == 64 and (scaled.height, scaled.width) == (64, 32)
    assert len({str(recipe.scaled(laptop).config()) for recipe in recipes}) == len(recipes)


def test_weights_from_another_run(clip_study, monkeypatch):
    """All but the classifier is the other run's of the same seed, which is part of the key."""
    recipe = attention.table2()[attention.PRETRAINED]
    assert clip_study.train_key(recipe, 0) != clip_study.train_key(replace(recipe, pretrained=None), 0)
    seen = {}
    monkeypatch.setattr("reidlib.study.runner.train", lambda model, *_, **__: seen.update(model.state_dict()) or [])
    model = clip_study._model(recipe.scaled(clip_study.profile), 3, 9)
    other = {name: value.clone() for name, value in model.state_dict().items()}
    real = clip_study.train
    monkeypatch.setattr(clip_study, "train", lambda *_: SimpleNamespace(tensors=lambda name: other))
    real(recipe, 5)
    for name, value in seen.items():
        same = value.shape == other[name].shape and torch.equal(value, other[name])
        assert same == (name != "classify.weight"), name
    with pytest.raises(ValueError, match="pretrained: wants the same model"):
        replace(recipe, height=128, model_options=recipe.model_options | {"image_size": (128, 112)})


def test_the_run_that_others_start_from_comes_first(clip_study, monkeypatch):
    monkeypatch.setattr(plans, "cost", lambda study, need, seed: 1.0 + bool(need.recipe.pretrained))
    jobs = plans._jobs(clip_study, ["attention"])
    keys = [clip_study.train_key(need.recipe, seed) for need, seed in jobs]
    for need, seed in jobs:
        if need.recipe.pretrained:
            parent = clip_study.train_key(need.recipe.pretrained, seed)
            assert parent not in keys or keys.index(parent) < 2


def test_what_is_kept_of_a_run(clip_study):
    recipe = attention.table1()[attention.CENTERS]
    entry = attending.attended(clip_study, recipe, 0)
    tensors = entry.tensors(attending.FILE)
    queries = len(clip_study.gallery(recipe, 0, TEST).query)
    for name in ("clean", "erased"):
        weights = tensors[f"{name}_weights"]
        assert weights.shape == (queries, 4) and torch.allclose(weights.sum(dim=1), torch.ones(queries))
    for kind in ("classifier", "centers"):
        clean = tensors[f"{kind}_clean"]
        assert clean.shape == tensors[f"{kind}_erased"].shape == (20,)  # 5 persons, of 4 tracklets
        assert (clean > 0).all() and (clean < 1).all() and not torch.equal(clean, tensors[f"{kind}_erased"])
    different = (tensors["shown_pixels"] != tensors["shown_erased"]).flatten(2).any(dim=2)
    assert different.sum(dim=1).tolist() == [1, 1, 1]
    assert different.int().argmax(dim=1).tolist() == tensors["chosen"][tensors["shown"]].tolist()
    figure = attention_figures.attended_clips({"one": tensors, "two": tensors}, ["as it is", "erased"])
    assert len(figure.axes) == 2 * 3 * 4
    assert attending.attend_key(clip_study, recipe, 0) == entry.key != attending.attend_key(clip_study, recipe, 1)


def test_class_aware_attention_is_of_the_features_that_the_losses_see(clip_study):
    """Against one tracklet at a time, by hand."""
    recipe = attention.table1()[attention.CENTERS]
    tensors = attending.attended(clip_study, recipe, 0).tensors(attending.FILE)
    data, scaled = clip_study.data_of(attention.MARS), recipe.scaled(clip_study.profile)
    rows, model = data.training_rows("train"), clip_study.trained(recipe, 0).eval()
    images = data.training_images("train", (), scaled.height, scaled.width, torch.device("cpu"))
    centers = clip_study.train(recipe, 0).tensors("centers.safetensors")["centers"]
    for number, (_, part) in enumerate(rows.groupby("sequence")):
        places = [part.index[int((t + 0.5) * len(part) / 4)] for t in range(4)]
        with torch.no_grad():
            feature = model((images[places].float() / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)).div(
                torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))[None])[0]  # fmt: skip
        for kind, vectors in (("centers", centers), ("classifier", model.classify.weight.detach())):
            cosines = torch.cosine_similarity(feature[None], vectors, dim=1)
            wanted = cosines.exp()[part["label"].iloc[0]] / cosines.exp().sum()
            assert float(tensors[f"{kind}_clean"][number]) == pytest.approx(float(wanted), rel=1e-3)


def looked(withdrawn: float, better: float, clips: int = 30) -> dict[str, np.ndarray]:
    """Two seeds: the chosen frame loses so much weight; the most visible frame has so much more than a quarter."""
    rng = np.random.default_rng(0)
    visible = np.tile([1.0, 0.5, 0.5, 0.5], (2, clips, 1))
    visible[:, :5] = 1.0  # of these nothing can be said
    clean = np.full((2, clips, 4), (1 - 0.25 - better) / 3)
    clean[..., 0] = 0.25 + better
    erased = clean.copy()
    erased[..., 2] -= withdrawn
    tensors = {"visible": visible, "chosen": np.full((2, clips), 2.0), "clean_weights": clean, "erased_weights": erased}
    noise = rng.normal(0, 1, (2, 60))
    for kind, spread, kept in (("centers", 0.02, 0.7), ("classifier", 0.01, 0.9)):
        tensors[f"{kind}_clean"] = 0.2 + spread * noise
        tensors[f"{kind}_erased"] = kept * tensors[f"{kind}_clean"]
    return tensors


def test_claims_are_positive_if_they_hold(monkeypatch):
    made = {attention.CENTERS: looked(0.01, 0.02), attention.ATTENTION: looked(0.05, 0.1)}
    monkeypatch.setattr(measured, "looked_at", lambda study, recipe: made[recipe.row])

    def of(study, recipe, **_):
        level = 0.5 + 0.1 * bool(recipe.model_options["neck"]) + 0.02 * (recipe.training.osm_share == 1.0)
        values = np.clip(level + 0.01 * np.random.default_rng(0).standard_normal((2, 40)), 0, 1).tolist()
        return Result([Entry(Path(), {"metrics": {"average_precision": row}}) for row in values])

    monkeypatch.setattr(measured, "of", of)
    found = {f.letter: f for f in measured.findings(None)}
    wanted = {"a": 5, "b": 4, "c": 5, "d": 4, "f": 20, "g": 10, "h": 2}
    assert {letter: found[letter].ours.mean for letter in wanted} == pytest.approx(wanted)
    ratio = [100 * np.std(made[attention.CENTERS][f"{kind}_clean"]) / np.mean(made[attention.CENTERS][f"{kind}_clean"])
             for kind in ("centers", "classifier")]  # fmt: skip
    assert found["e"].ours.mean == pytest.approx(ratio[0] - ratio[1], rel=1e-6) and ratio[0] > ratio[1]
    assert all(f.verdict == "reproduced" for f in found.values()) and list(found) == list("abcdefgh")
    for tensors in made.values():
        del tensors["visible"]
    assert [f.letter for f in measured.findings(None)] == list("abefgh"), "real data do not know what is visible"


def test_no_clip_to_say_anything_about_is_no_verdict():
    tensors = looked(0.0, 0.0, clips=5)
    assert measured.seen_better(tensors).size == 0
    assert np.isnan(measured._difference(measured.seen_better(tensors)).mean)
