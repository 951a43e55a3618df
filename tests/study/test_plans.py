"""What the chapters need: one job a run, members of fusions among them, scenes with knobs for worlds alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from reidlib.study import jobs, plans, pool
from reidlib.study.data import TEST, VAL, StudyData
from reidlib.study.fused import fuse_key
from reidlib.study.fusing import RANKING
from reidlib.study.needs import CHAPTERS, FusionNeed, Need
from reidlib.study.profile import load_profile
from reidlib.study.recipes import along, guesses, vtrm
from reidlib.study.runner import Study
from reidlib.study.store import Store

OF_VTRM = ["mgn", "vtrm", "guesses", "fusion"]


@pytest.fixture
def study(tmp_path) -> Study:
    """The smoke profile on an empty store; nothing is rendered: keys are those of the frozen world."""
    return Study(load_profile("smoke"), Store(tmp_path))


def test_one_job_a_run_with_everything_asked_of_it(study, monkeypatch):
    monkeypatch.setattr(plans, "cost", lambda *_: 1.0)
    found = plans._jobs(study, OF_VTRM)
    keys = [study.train_key(need.recipe, seed) for need, seed in found]
    assert len(keys) == len(set(keys)) == 2 * 8  # two seeds of three rows, two schedules of two, three more backbones
    six = next(
        need for need, seed in found if study.train_key(need.recipe, seed) == study.train_key(vtrm.six_times(), 0)
    )
    wanted = {(ranking, VAL) for ranking in [*vtrm.table2().values(), *vtrm.table2("min", rerank=False).values()]}
    wanted |= {(vtrm.LOCAL_1, scene) for scene in (TEST, guesses.MIDDLE, guesses.at_interval(1.0))}
    assert wanted <= set(six.evaluations) and set(six.features) == {VAL, TEST}


def test_members_of_a_fusion_are_trained_for_it(study, monkeypatch):
    monkeypatch.setattr(plans, "cost", lambda *_: 1.0)
    monkeypatch.setitem(CHAPTERS, "fusion", lambda _: [FusionNeed(tuple(vtrm.table3().values()), fusion)])
    fusion = vtrm.ensembles()["5-Model Ensemble"]
    assert len(plans._jobs(study, ["fusion"])) == 2 * 5
    for seed in study.profile.seeds:
        key = fuse_key(study, list(vtrm.table3().values()), seed, fusion)
        study.store.get("fuse", key, lambda folder, work: {})
    assert plans._jobs(study, ["fusion"]) == [], "a fusion that is recorded wants no members"
    whole = FusionNeed(tuple(vtrm.table3().values()), fusion, seeds=(1,), files=(RANKING,))
    monkeypatch.setitem(CHAPTERS, "fusion", lambda _: [whole])
    found = plans._jobs(study, ["fusion"])
    assert [seed for _, seed in found] == [1] * 5, "with a file that its record lacks it does, of that seed"


def test_real_data_are_asked_without_knobs_and_without_hidden_labels(study, monkeypatch):
    real = Study(replace(load_profile("smoke"), data="real"), study.store)
    monkeypatch.setattr(type(real.data), "has_labels", lambda self, split: False)
    scenes = {
        scene
        for chapter in ("guesses", "fusion")
        for need in CHAPTERS[chapter](real)
        if isinstance(need, Need)
        for _, scene in need.evaluations
    }
    assert scenes == {VAL, guesses.MIDDLE}


def test_order_of_models_is_part_of_no_key(study):
    recipes, fusion = list(vtrm.table3().values()), vtrm.ensembles()["5-Model Ensemble"]
    keys = {fuse_key(study, order, 0, fusion) for order in (recipes, recipes[::-1])}
    assert len(keys) == 1
    assert fuse_key(study, recipes[:4], 0, fusion) not in keys
    assert fuse_key(study, recipes, 0, fusion, TEST) not in keys


def test_first_models_come_first_and_once(study, monkeypatch):
    """Thirty-odd curated runs read the losses of one baseline a seed: it is a job of its own, before them."""
    monkeypatch.setattr(plans, "cost", lambda study, need, seed: float(need.recipe.height))
    found = plans._jobs(study, ["along"])
    keys = [study.train_key(need.recipe, seed) for need, seed in found]
    assert len(keys) == len(set(keys))
    first = [study.train_key(along.baseline(), seed) for seed in study.profile.seeds]
    assert set(first) <= set(keys[: 2 * len(first)]) and all(need.audit for need, _ in found[: 2 * len(first)])
    read = {study.train_key(need.recipe.first_model, seed) for need, seed in found if need.recipe.first_model}
    elsewhere = {study.train_key(along.crowded()[along.BASELINE][0], seed) for seed in study.profile.seeds}
    assert read == {*first, *elsewhere}
    assert all(need.audit for need, seed in found if study.train_key(need.recipe, seed) in read)


def test_a_gpu_takes_as_many_runs_as_its_memory_and_the_cores(study, monkeypatch):
    recipes = [vtrm.mgn(), vtrm.six_times()]
    monkeypatch.setattr(pool.os, "cpu_count", lambda: 16)
    assert pool._at_once(study, recipes) == 16, "one a core"
    gpu = Study(replace(load_profile("gpu"), device="cpu"), study.store)
    monkeypatch.setattr(Study, "device", torch.device("cuda"))
    for memory, wanted in ((200e9, 16), (3 * jobs.gpu_memory(gpu, vtrm.mgn()), 3), (1e9, 1)):
        monkeypatch.setattr(pool.torch.cuda, "mem_get_info", lambda device, memory=memory: (int(memory), 0))
        assert pool._at_once(gpu, recipes) == wanted
    paper = Study(replace(load_profile("paper"), device="cpu"), study.store)
    assert jobs.gpu_memory(paper, vtrm.mgn()) > 30e9, "one of the report's own runs wants most of a card"


def test_worlds_of_scenes_are_rendered_before_the_jobs(study, monkeypatch):
    """Those alone whose features lack: the seeds of a recipe, side by side, would each render one."""
    opened: list = []
    monkeypatch.setattr(StudyData, "opened", lambda self, scene: opened.append(scene))
    monkeypatch.setattr(plans, "cost", lambda *_: 1.0)
    found = plans._jobs(study, ["guesses"])
    turned = {scene for scene in guesses.scenes() if scene.knobs}
    assert turned and VAL in guesses.scenes()
    plans._render_scenes(study, found)
    assert set(opened) == turned

    there = next(iter(turned))
    for seed in study.profile.seeds:
        key = study.features_key(vtrm.six_times(), seed, there)
        study.store.get("features", key, lambda folder, work: (folder / plans.FEATURES).touch() or {})
    opened.clear()
    plans._render_scenes(study, found)
    assert set(opened) == turned - {there}


def test_what_is_known_only_afterwards_is_computed_too(study, monkeypatch):
    """A choice among results wants to be confirmed: a need that is there when the first one's entry is."""

    @dataclass(frozen=True)
    class Choice:
        name: str
        recipes: tuple = ()
        scenes: tuple = ()
        seeds: tuple = ()
        files: tuple = ()

        def find(self, study, seed):
            return study.store.find("fuse", f"{self.name} {seed}")

        def compute(self, study, seed):
            return study.store.get("fuse", f"{self.name} {seed}", lambda folder, work: computed.append(self.name) or {})

    computed: list[str] = []
    first, second = Choice("choice"), Choice("confirmation")
    monkeypatch.setattr(plans, "JOINT", (Choice,))
    known = lambda study: [first, second] if first.find(study, 1) else [first]  # noqa: E731
    monkeypatch.setitem(CHAPTERS, "fusion", known)
    wanted = [f"{name} {seed}" for name in ("choice", "confirmation") for seed in (0, 1)]
    assert [entry.key for entry, _ in plans.entries(study, ["fusion"])] == wanted, "a chapter that asks for all of it"
    assert computed == ["choice", "choice", "confirmation", "confirmation"], "for two seeds, in turn"
    plans.run(study, ["fusion"])
    assert len(computed) == 4
