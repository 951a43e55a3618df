"""Jobs by two processes together, started by torchrun on the CPU, against the same jobs in one process."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from reidlib.study import group
from reidlib.study.data import TEST
from reidlib.study.needs import Need
from reidlib.study.profile import load_profile
from reidlib.study.ranking import Ranking
from reidlib.study.recipes import along, vtrm
from reidlib.study.runner import Study
from reidlib.study.store import Store, all_entries

# Small steps: in float32 the last bits of two ways to sum grow into another network within a few large ones.
FIRST = replace(
    along.baseline(),
    model_options=along.baseline().model_options | {"dropout": 0.0},  # whose draws differ from slice to slice
    training=replace(along.baseline().training, triplet_shard=8, persons=32, learning_rate=1e-5, optimizer="sgd"),
)
SECOND = replace(FIRST, row="second", audit=False, pretrained=FIRST)  # a run inside a run
NEED = Need(SECOND, ((Ranking(), TEST),))


def study(folder, dataset) -> Study:
    return Study(load_profile("smoke"), Store(folder / "store"), dataset, threads=1)


@pytest.fixture(scope="module")
def both(clip_study, tmp_path_factory) -> tuple[Study, Study]:
    """The stores of one process and of two."""
    one, two = (study(tmp_path_factory.mktemp(name), clip_study.dataset) for name in ("one", "two"))
    one.evaluate(SECOND, 0, *NEED.evaluations[0])
    group.torchrun(two, [(NEED, 0)], processes=2)
    return one, two


def test_two_processes_leave_what_one_does(both):
    one, two = (sorted((e.record["stage"], e.key) for e in all_entries(found.store.root)) for found in both)
    assert one == two and [stage for stage, _ in one] == ["evaluate", "features", "train", "train"]
    for entry in all_entries(both[1].store.root):
        assert entry.record.get("processes") == (None if entry.record["stage"] == "evaluate" else 2)
    assert not list(both[1].store.root.glob("*/*.work")) and not list(both[1].store.root.glob("*/.*"))


@pytest.mark.parametrize("recipe", [FIRST, SECOND], ids=["first", "second"])
def test_weights_and_curves_are_equal_up_to_rounding(both, recipe):
    one, two = (found.train(recipe, 0) for found in both)
    assert one.record["images"] == two.record["images"]
    for a, b in zip(one.record["curve"], two.record["curve"], strict=True):
        assert b["cross_entropy"] == pytest.approx(a["cross_entropy"], rel=1e-4)
        assert b["triplet"] == pytest.approx(a["triplet"], rel=1e-3)
    found, wanted = (entry.tensors("weights.safetensors") for entry in (two, one))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_features_are_equal_up_to_rounding(both):
    one, two = (found.features(SECOND, 0, TEST).tensors("features.safetensors") for found in both)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name].double(), value.double(), rtol=5e-3, atol=2e-2, msg=name)


def test_what_cannot_be_shared_is_computed_by_one(clip_study, tmp_path, monkeypatch):
    """The whole batch's triplets, also those of a recipe whose run is read; the others go to torchrun."""
    ours, given = study(tmp_path, clip_study.dataset), {}
    whole = replace(FIRST, training=replace(FIRST.training, triplet_shard=0))
    reads = replace(SECOND, pretrained=whole)
    jobs = [(Need(recipe, ()), 0) for recipe in (FIRST, whole, reads, SECOND, vtrm.mgn())]
    monkeypatch.setattr(group, "side_by_side", lambda study, jobs: given.update(alone=[need for need, _ in jobs]))
    monkeypatch.setattr(group.subprocess, "run", lambda command, **more: given.update(command=command) or Done())
    monkeypatch.setattr(group.pickle, "dumps", lambda pair: given.update(together=[n for n, _ in pair[1]]) or b"")
    group.torchrun(ours, jobs, processes=2)
    assert [need.recipe for need in given["alone"]] == [whole, reads, vtrm.mgn()], "smoke's batch is smaller than 32"
    assert [need.recipe for need in given["together"]] == [FIRST, SECOND]
    assert given["command"][-5:-3] == ["--nproc-per-node", "2"]


class Done:
    returncode = 0


def test_numbers_of_processes_that_make_no_group(clip_study, tmp_path, monkeypatch):
    ours = study(tmp_path, clip_study.dataset)
    with pytest.raises(ValueError, match="^processes: a group wants 2 or more, got 1"):
        group.torchrun(ours, [(NEED, 0)], processes=1)
    monkeypatch.setattr(Study, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="^processes: each wants a GPU, and there are 1, got 2"):
        group.torchrun(ours, [(NEED, 0)], processes=2)


def test_a_process_that_stops_ends_the_group(clip_study, tmp_path, capfd):
    """Five persons are too few for a batch of 32 at full scale."""
    full = replace(load_profile("smoke"), batch_scale=1.0)
    ours = Study(full, Store(tmp_path / "store"), clip_study.dataset, threads=1)
    with pytest.raises(ValueError, match="^executor: a process of the group stopped"):
        group.torchrun(ours, [(NEED, 0)], processes=2)
    assert "persons: a batch wants 32 of them" in capfd.readouterr().err
    assert not list(ours.store.root.glob("*/*/record.json"))
