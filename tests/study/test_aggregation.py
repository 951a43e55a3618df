"""Report ica's comparisons and claims on made-up results: which row is above which, what is quoted, which sign."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidlib.study import aggregation, clip_figures, examining, tracklets
from reidlib.study.aggregation import Aggregation
from reidlib.study.data import TEST, StudyData
from reidlib.study.profile import load_profile
from reidlib.study.recipes import ica
from reidlib.study.scatter import ASYNCHRONOUS, MODES
from reidlib.study.store import Entry
from reidlib.study.tables import Result

QUERIES = 40


def made(level: float) -> Result:
    """Two seeds whose queries have the level on average."""
    generator = np.random.default_rng(0)
    values = np.clip(level + 0.01 * generator.standard_normal((2, QUERIES)), 0, 1)
    records = [
        {
            "metrics": dict.fromkeys(("average_precision", "rank1", "rank5", "rank20"), row.tolist())
            | {"mAP": row.mean()}
        }
        for row in values
    ]
    return Result([Entry(Path(), record) for record in records])


@pytest.fixture
def measured(monkeypatch) -> Aggregation:
    """SDA adds 0.05 (twice the augmentation: 0.2), a BN 0.1, ICA 0.15; ICA's maps have 2 bits and TAP's 3."""

    def level(recipe, way=None) -> float:
        strong = recipe.augmentation.erasing == 1.0
        found = 0.3 + (0.2 if strong else 0.05) * (recipe.augmentation.frames == 4)
        found += 0.1 * bool(recipe.model_options["neck"]) + 0.15 * (recipe.model_options["temporal"] == "ica")
        return found + 0.1 * (way == ica.across()) * (recipe.model_options["temporal"] == "ica")

    def seen(self, recipe, name) -> np.ndarray:
        if name.startswith("cam_"):
            values = np.full((2, QUERIES), 2.0 if recipe.model_options["temporal"] == "ica" else 3.0)
            values[0, :3] = np.nan
            return values
        return np.full((2, examining.DRAWS, 8), 0.9 if name.startswith(ASYNCHRONOUS) else 0.4)

    monkeypatch.setattr(Aggregation, "of", lambda self, recipe, way=None: made(level(recipe, way)))
    monkeypatch.setattr(Aggregation, "looked_at", seen)
    return Aggregation(SimpleNamespace(profile=SimpleNamespace(seeds=(0, 1))))


def test_table_1s_steps(measured):
    steps = measured.steps()
    assert len(steps) == 9
    quoted = {key[2]: step.reported for key, step in steps.items() if key[:2] == (ica.MARS, "Rank-1")}
    assert quoted == pytest.approx(
        {ica.BASELINE_SDA: 1.3, ica.ICA: 7.3, ica.BOTH: 2.4}
    )  # the text's own, and 87.5 - 85.1
    ours = {key[2]: step.ours.mean for key, step in steps.items() if key[:2] == (ica.ILIDS, "Rank-1")}
    assert ours == pytest.approx({ica.BASELINE_SDA: 5, ica.ICA: 15, ica.BOTH: 5}, abs=0.3)
    assert steps[ica.MARS, "mAP", ica.ICA].verdict == "reproduced"


def test_table_2s_steps(measured):
    found = measured.backbones()
    assert len(found) == 9
    assert found[ica.MARS, "mAP", "InceptionV3"].reported == pytest.approx(72.0 - 62.5)
    assert found[ica.ILIDS, "Rank-1", "Alexnet"].ours.mean == pytest.approx(15, abs=0.3)


def test_claims_are_positive_if_they_hold(measured):
    found = {(f.letter[0], f.unit): f.ours.mean for f in measured.claims()}
    assert [f.letter[0] for f in measured.claims()] == list("abccde")
    wanted = {("a", "ratio"): 0.5, ("b", "points"): 15, ("c", "points"): 5, ("d", "bits"): 1, ("e", "points"): 30}
    assert found == pytest.approx(wanted, abs=0.3)
    assert measured.neck(ica.MARS, "mAP")["BN alone"].mean == pytest.approx(10, abs=0.3)


def test_what_is_kept_of_a_run(clip_study):
    recipe = ica.model(ica.MARS, ica.BOTH)
    entry = examining.examined(clip_study, recipe, 0)
    tensors = entry.tensors(examining.FILE)
    queries = len(clip_study.gallery(recipe, 0, TEST).query)
    assert tensors["cam_entropy"].shape == tensors["cam_consistency"].shape == (queries,)
    assert tensors["cam_pixels"].shape == (examining.SHOWN, 4, 3, 32, 32)
    assert tensors["cam_maps"].shape[2:] == tuple(tensors["cam_cells"].tolist()) and tensors["cam_cells"].min() >= 4
    assert tensors["person"].tolist() == [6, 6, 7, 7, 8, 8, 9, 9]
    for mode, frames in MODES.items():
        assert tensors[f"{mode}_ratio"].shape == (examining.DRAWS if frames else 1, 8)
        assert tensors[f"{mode}_features"].shape[:2] == (8, examining.FRAMES)
    assert examining.examine_key(clip_study, recipe, 0) == entry.key != examining.examine_key(clip_study, recipe, 1)
    figure = clip_figures.activation_strips({"ICA": (tensors["cam_maps"], tensors["cam_pixels"])})
    assert len(figure.axes) == 2 * examining.SHOWN * 4
    points = np.random.default_rng(0).random((8, examining.FRAMES, 2))
    panels = clip_figures.scatter_panels({"one": points, "two": points}, tensors["person"].numpy())
    assert [len(axis.collections) for axis in panels.axes] == [8, 8]


def test_a_looped_clip_scatters_only_by_its_augmentation(clip_study):
    """Frames that are one picture, augmented in step, are one point: synchronous augmentation scatters nothing."""
    model = clip_study.trained(ica.model(ica.MARS, ica.BOTH), 0)
    scaled = ica.model(ica.MARS, ica.BOTH).scaled(clip_study.profile)

    class Still:
        def opened(self, scene):
            return clip_study.data_of(ica.MARS).opened(scene)

        def some_images(self, scene, index, height, width, device):
            sequence = clip_study.dataset.table.loc[index, "sequence"].to_numpy()
            generator = torch.Generator().manual_seed(0)
            pictures = torch.randint(0, 256, (sequence.max() + 1, 3, height, width), generator=generator)
            return pictures[torch.tensor(sequence)].to(torch.uint8)

    found = examining.scattered(model, Still(), TEST, scaled, torch.device("cpu"))
    assert found["synchronous_ratio"].max() < 1e-4 and found["plain_ratio"].max() < 1e-4
    assert found["asynchronous_ratio"].mean() > 0.05


def test_only_what_is_kept_can_be_shown(measured):
    with pytest.raises(ValueError, match="clips_shown: wants 1 to 3, which are kept with a run, got 4"):
        measured.maps(4)
    assert aggregation.columns(ica.PRID) == ["Rank-1", "Rank-5", "Rank-20"]


def test_counts_and_both_galleries(clip_study):
    assert tracklets.real_galleries() == {"mars": 11_310, "mars-9330": 9_330}
    found = tracklets.counts(tracklets.frames_of(clip_study.data_of(ica.MARS)))
    assert {name: (persons, sequences) for name, (persons, sequences, _) in found.items()} == {
        "train": (5, 20), "query": (4, 4), "gallery": (4, 8), "distractors": (0, 0), "junk": (0, 0)}  # fmt: skip
    assert tracklets.galleries(clip_study) == {"mars": 12, "mars-9330": 8}


@pytest.mark.parametrize("benchmark", [ica.MARS, ica.ILIDS, ica.PRID])
def test_a_worlds_plan_has_as_many_of_each_as_its_loader_is_told(benchmark):
    """Nothing is rendered: sizes are those of the laptop profile's worlds."""
    found = tracklets.counts(tracklets.frames_of(StudyData(load_profile("laptop"), None, benchmark, 0)))
    total = sum(images for *_, images in found.values())
    assert total <= (20_000 if benchmark == ica.MARS else 10_000), "small enough to be drawn in minutes"
    if benchmark != ica.MARS:
        persons = found["train"][0]
        assert found["query"][:2] == found["gallery"][:2] == (persons, persons) and found["train"][1] == 2 * persons
    else:
        assert found["junk"][0] == found["distractors"][0] == 1 and found["query"][1] >= 3 * found["query"][0] - 3
