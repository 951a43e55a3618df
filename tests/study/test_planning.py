"""A profile's runs without training them: counts against the worlds' own tables, operations and bytes against torch."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from reidlib import models
from reidlib.cli import main
from reidlib.study import planning, plans
from reidlib.study.data import StudyData
from reidlib.study.estimate import Speed, memory, network_of, speeds
from reidlib.study.needs import CHAPTERS
from reidlib.study.planning import missing, planned
from reidlib.study.profile import load_profile
from reidlib.study.recipes import along, attention, ica, vtrm
from reidlib.study.runner import Study
from reidlib.study.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Nothing is on the disk, and nothing may be written to it."""
    monkeypatch.setenv("REID_DATA", str(tmp_path / "home"))
    yield tmp_path / "home"
    assert not (tmp_path / "home").exists(), "a plan renders nothing and trains nothing"


def study(name: str, home, **changes) -> Study:
    return Study(replace(load_profile(name), **changes), Store(home / "store"))


def of_row(found, row):
    return next(one for one in found if one.recipe.row == row)


def test_the_papers_own_runs_from_published_counts(home):
    """By hand: 8,569 // 128 = 66 steps an epoch, 120 epochs and 720; MARS 625 // 4 = 156 steps of 4 x 8 clips of 4."""
    found = planned(study("paper", home), ["mgn", "ica"])
    mgn, six, mars = of_row(found, "MGN"), of_row(found, "+ 6x Schedule"), of_row(found, "Baseline on MARS")
    assert (mgn.images, mgn.steps, mgn.shown, mgn.runs, mgn.done) == (8569, 66 * 120, 66 * 120 * 128, 3, 0)
    assert six.steps == 6 * mgn.steps and six.parameters > mgn.parameters and six.bytes > mgn.bytes
    assert mars.steps == 156 * ica.model(ica.MARS, ica.BASELINE).training.epochs
    assert mars.shown == mars.steps * 4 * 8 * 4 and mars.images == 509_914
    assert "unpack" in missing(study("paper", home))["synergyreid"]


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu", "paper"])
def test_every_profile_has_a_plan_of_all_its_runs(home, name, monkeypatch):
    """One entry a recipe, as many runs as `reid study` would train, each trained as often as a pool would."""
    monkeypatch.setattr(planning, "network_of", lambda scaled, classes: Fixed)
    monkeypatch.setattr(planning, "memory", lambda *_: 1.0)
    ours = study(name, home, device="cpu")
    chapters = list(CHAPTERS)
    found = planned(ours, chapters)
    monkeypatch.setattr(plans, "cost", lambda *_: 1.0)
    trained = {ours.train_key(need.recipe, seed) for need, seed in plans._jobs(ours, chapters)}
    assert sum(one.runs for one in found) == len(trained) == len(plans.runs(ours, chapters))
    assert all(one.steps > 0 and one.images > 0 and one.done == 0 for one in found)


class Fixed:
    parameters, flop, kept = 1, 1.0, 1


def test_counts_of_a_world_are_those_of_its_images(home, tmp_path):
    """A world that is there is counted by its table, one that is not by its plan: the same."""
    ours = study("smoke", home, data_root=str(tmp_path / "worlds"))
    for benchmark in ("synergyreid", "mars"):
        planned_for = planning._missing(ours)[benchmark, 0, 0.0]
        rendered = StudyData(ours.profile, None, benchmark)
        rows, wanted = planned_for.training_rows("train"), rendered.training_rows("train")
        assert len(rows) == len(wanted) and rows["label"].nunique() == wanted["label"].nunique()
        if benchmark == "synergyreid":
            assert planned_for.manifest_hash == rendered.manifest_hash, "frozen, so that runs are found by their keys"
        assert benchmark not in missing(ours)


def test_runs_in_the_store_are_done(home, tmp_path):
    ours = study("smoke", tmp_path / "other")
    for seed in (0, 1):
        ours.store.get("train", ours.train_key(vtrm.mgn(), seed), lambda folder, work: {"end": ""})
    mgn = of_row(planned(ours, ["mgn"]), "MGN")
    assert (mgn.runs, mgn.done) == (2, 2)


def dense_flop(net: torch.nn.Module, images: torch.Tensor) -> float:
    """Two operations a multiplication of every convolution and linear map, counted from the shapes as they pass."""
    total, hooks = [], []

    def count(layer, inputs, output):
        weights = layer.weight[0].numel()
        total.append(2 * weights * output.numel())

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            hooks.append(layer.register_forward_hook(count))
    net(images)
    return float(sum(total))


@pytest.mark.parametrize("recipe", [vtrm.mgn(), along.baseline()], ids=lambda r: r.row)
def test_operations_are_three_times_the_forward_passs(recipe):
    """Backward is a product by the weights and one by the activations, but for the first layer's images."""
    scaled = recipe.scaled(load_profile("smoke"))
    found = network_of(scaled, 10)
    net = models.build(scaled.model, num_classes=10, **scaled.model_options).train()
    forward = dense_flop(net, torch.rand(scaled.batch_images, 3, scaled.height, scaled.width))
    assert 2.5 * forward < found.flop <= 3 * forward
    assert found.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("recipe", [vtrm.mgn(), attention.table1()["Baseline"]], ids=lambda r: r.row)
def test_what_is_kept_is_what_torch_keeps(recipe):
    """The same hooks on real tensors, for each storage once, the weights left out."""
    scaled = recipe.scaled(load_profile("smoke"))
    net = models.build(scaled.model, num_classes=10, **scaled.model_options).train()
    weights, kept = {p.untyped_storage().data_ptr() for p in net.parameters()}, {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    clips = [scaled.clip_frames] if scaled.clip_frames else []
    batch = scaled.training.persons * scaled.training.images
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        heads = net(torch.rand(batch, *clips, 3, scaled.height, scaled.width))
        total = sum(x.sum() for x in [*heads.logits, *heads.metric_features])
    measured = sum(size for storage, size in kept.items() if storage not in weights)
    assert total.requires_grad and network_of(scaled, 10).kept == pytest.approx(measured, rel=0.02)


def test_half_precision_and_a_larger_set_of_images_change_the_memory():
    scaled = vtrm.mgn().scaled(load_profile("smoke"))
    network = network_of(scaled, 10)
    half = replace(scaled, training=replace(scaled.training, precision="bf16"))
    assert memory(half, network, 100) < memory(scaled, network, 100)
    assert memory(scaled, network, 200) - memory(scaled, network, 100) == 100 * 3 * scaled.height * scaled.width


def record(folder, device, *steps):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": {"device": device}, "steps": [{"flop": flop, "seconds": s} for flop, s in steps]}
    (folder / f"training-{device}.json").write_text(json.dumps(content))


def test_times_lie_on_the_line_through_two_measured_steps(tmp_path):
    record(tmp_path, "cpu", (5e9, 0.03), (1e9, 0.01))
    (speed,) = speeds(tmp_path, ("cuda", "cpu"))
    assert speed.device == "cpu"
    for flop, seconds in ((1e9, 0.01), (5e9, 0.03), (9e9, 0.05)):
        assert speed.seconds(flop, 10) == pytest.approx(10 * seconds)
    record(tmp_path, "cpu", (1e9, 0.001), (5e9, 0.03))
    assert speeds(tmp_path, ("cpu",))[0].overhead == 0, "no step takes less than nothing"


def test_the_command_says_what_is_there_and_what_is_not(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REID_RECORDS", str(tmp_path / "records"))
    assert main(["plan", "params/paper.yaml", "--chapter", "mgn"]) == 0
    text = capsys.readouterr().out
    assert "7,920" in text and "synergyreid, vtrm, MGN, training.schedule written" in text
    assert "No times" in text and "counts are the published ones" in text and "unpack SynergyReID's archive" in text

    record(tmp_path / "records" / "benchmarks", "cpu", (1e9, 0.01), (5e9, 0.03))
    assert main(["plan", "smoke", "--chapter", "mgn"]) == 0
    text = capsys.readouterr().out
    assert "time a: on cpu, 5.0 ms a step and 0.2 TFLOP/s" in text and "is not rendered yet" in text

    assert main(["plan", "smoke", "--chapter", "mng"]) == 2
    assert "unknown chapter 'mng'; did you mean 'mgn'?" in capsys.readouterr().err


def test_durations():
    assert [planning._duration(x) for x in (0.25, 90, 3600 * 25)] == ["0.2 s", "1.5 min", "25.0 h"]
    assert Speed("x", 0.5, 1e9).seconds(1e9, 2) == 3.0
