"""Several processes against one; this file is also the script that torchrun starts.

Two gloo processes on the CPU stand for two GPUs: each takes its half of every batch, mines its triplets in it, and both
take the same step. One process mines them in halves too (`triplet_shard`), and normalises over the whole batch.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from reidlib import models, parallel
from reidlib.augment import Augmentation
from reidlib.checkpoint import load_tensors, save_tensors
from reidlib.features import extract, extract_tracklets
from reidlib.optimisation import TrainingOptions
from reidlib.training import train

SEED = 3
PER_EPOCH = 4  # iterations: 64 images in batches of 16, which are 8 for each of two processes
OPTIONS = TrainingOptions(
    epochs=3,
    persons=8,
    images=2,
    learning_rate=1e-2,
    milestones=(2.0,),
    warmup_epochs=1.0,
    freeze_epochs=0.5,  # two iterations
    triplet_shard=8,
)
RUNS = {
    "adam": OPTIONS,
    "sgd": replace(OPTIONS, optimizer="sgd"),
    "two shards": replace(OPTIONS, triplet_shard=4, epochs=1),
}
REFUSED = {
    "batch": replace(OPTIONS, persons=3, images=3, triplet_shard=0),
    "whole batch": replace(OPTIONS, triplet_shard=0),
    "shard": replace(OPTIONS, triplet_shard=16),
}


class Stop(Exception):
    pass


class Recording:
    """An augmentation that keeps the pictures of every batch, and does `then` to those of call number `at`."""

    def __init__(self, at=None, then=None):
        self.pixels, self.at, self.then = [], at, then

    def apply_and_tell(self, images, generator):
        pixels, erased = Augmentation(flip=0.5, pad=2, erasing=0.5).apply_and_tell(images, generator)
        self.pixels.append(pixels.double())
        return self.then(self.pixels[-1]) if len(self.pixels) == self.at else self.pixels[-1], erased


def stop(pixels):
    raise Stop("stopped")


def second_half_not_finite(pixels):
    return torch.cat((pixels[:8], torch.full_like(pixels[8:], torch.nan)))


def world(device="cpu"):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(8).repeat_interleave(8)
    colours = torch.randint(0, 200, (8, 3, 1, 1), generator=generator)
    noise = torch.randint(0, 55, (64, 3, 48, 32), generator=generator)
    return (colours[labels] + noise).to(torch.uint8).to(device), labels


def model(seed=1):
    torch.manual_seed(seed)
    net = models.build("mgn", num_classes=8, backbone="resnet18_ibn", width=0.125, parts=(1, 2), part_dim=8)
    return net.double()  # float32's last bits grow into another network within these few steps


def run(options=OPTIONS, *, net=None, augmentation=None, device="cpu", **more):
    net = (net or model()).to(device)
    augmentation = augmentation or Recording()
    return net, train(net, *world(device), augmentation=augmentation, options=options, seed=SEED, **more)


def numbers(curve):
    return [[point[name] for name in ("cross_entropy", "triplet", "learning_rate")] for point in curve]


def message(error, *arguments, **options):
    try:
        run(*arguments, **options)
    except error as raised:
        return str(raised)
    return "nothing raised"


def launch(scenario, out):
    """torchrun starts two processes of this file, which run the scenario."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, __file__, scenario, str(out)],
        capture_output=True,
        text=True,
        timeout=300,  # what hangs fails
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def every_run(out, rank):
    """What most tests here ask of two processes: weights and checkpoints as files, all else in one JSON."""
    told = {"curves": {}}
    for name, options in RUNS.items():
        # Another start in each process, and another checkpoint: rank 0's weights count, and it alone writes.
        net, curve = run(
            options,
            net=model(seed=1 + rank),
            checkpoint=out / f"checkpoint of {rank}, {name}",
            description=f"bar of {rank}",
        )
        save_tensors(out / f"{name} {rank}", net.state_dict())
        told["curves"][name] = numbers(curve)

    checkpoint = out / "checkpoint of both"
    told["stopped"] = message(Stop, augmentation=Recording(at=10, then=stop), checkpoint=checkpoint)
    recording = Recording()
    net, curve = run(augmentation=recording, checkpoint=checkpoint)
    save_tensors(out / f"resumed {rank}", net.state_dict())
    told["curves"]["resumed"] = numbers(curve)
    told["iterations resumed"] = len(recording.pixels)

    seen = {}
    save_tensors(out / f"features {rank}", every_feature(seen))
    told["seen"] = seen
    net = model()
    _, curve = run(replace(OPTIONS, epochs=2), net=net, at_epoch=lambda epoch: {"sum": buffers_of(net)})
    told["at epochs"] = [point["sum"] for point in curve]

    told["refused"] = {name: message(ValueError, options) for name, options in REFUSED.items()}
    told["not finite"] = message(ValueError, augmentation=Recording(at=6, then=second_half_not_finite))
    (out / f"told {rank}").write_text(json.dumps(told))


class Counting(nn.Module):
    """Features (B, 36) of pictures and of clips, which counts the images that it sees."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.body, self.seen = nn.Sequential(nn.Conv2d(3, 6, 5, 4), nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten()), 0

    def forward(self, images):
        self.seen += len(images)
        return self.body(images)

    frames = forward

    def clips(self, frames):
        return (frames * torch.arange(1.0, 1 + frames.shape[1])[:, None]).sum(dim=1)


def every_feature(seen=None):
    """Of images, of five images in one batch, and of four tracklets of 8 to 32 frames; seen: how many by this rank."""
    net, (images, _) = Counting(), world()
    seen = {} if seen is None else seen
    lengths = torch.tensor([8, 16, 32, 8])
    found = {"images": extract(net, images, batch=5)}
    seen["images"], net.seen = net.seen, 0
    found["few"] = extract(net, images[:5], batch=5)
    seen["few"], net.seen = net.seen, 0
    found["tracklets"] = extract_tracklets(net, images, torch.arange(4).repeat_interleave(lengths), frames=4, batch=6)
    seen["frames"] = net.seen
    return found


def buffers_of(net):
    return sum(float(buffer.double().sum()) for buffer in net.buffers())


def second_rank_raises(out, rank):
    run(augmentation=Recording(at=4, then=stop if rank == 1 else None))


def on_cuda(out, rank):
    """Two processes of one GPU, whose norms torch synchronises."""
    net, curve = run(RUNS["sgd"], device="cuda")
    save_tensors(out / f"cuda {rank}", net.state_dict())
    (out / f"told {rank}").write_text(json.dumps({"curves": {"cuda": numbers(curve)}}))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder where `every_run` of two processes has left its files."""
    out = tmp_path_factory.mktemp("two")
    done = launch("every_run", out)
    assert done.returncode == 0, done.stderr
    assert "bar of 0" in done.stderr and "bar of 1" not in done.stderr
    return out


def told(out, rank):
    return json.loads((out / f"told {rank}").read_text())


def weights(path):
    return load_tensors(path)[0]


@pytest.mark.parametrize("name", list(RUNS))
def test_two_processes_are_one_up_to_rounding(two, name):
    """Also: every image gets the draws of a run in one process, rank 0's weights count, and keys have no prefix."""
    net, curve = run(RUNS[name])
    first, second = (weights(two / f"{name} {rank}") for rank in (0, 1))
    assert first.keys() == second.keys() == net.state_dict().keys()
    for key, wanted in net.state_dict().items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], wanted, rtol=1e-6, atol=1e-9)
    assert told(two, 0)["curves"][name] == told(two, 1)["curves"][name]
    for found, wanted in zip(told(two, 0)["curves"][name], numbers(curve), strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)


def test_features_are_shared_out_and_come_back_in_order(two):
    """Batches of 5 of 64 images: 6 for one process and 7 for the other, the same batches as of one process."""
    wanted = every_feature()
    for rank in (0, 1):
        found = weights(two / f"features {rank}")
        assert told(two, rank)["seen"] == {
                "images": 1 + [30, 34][rank], "frames": 1 + [24, 40][rank], "few": 1 + 5,
            }, "one first, which tells how many fit into memory"  # fmt: skip
        assert torch.equal(found["images"], wanted["images"]) and torch.equal(found["few"], wanted["few"])
        torch.testing.assert_close(found["tracklets"], wanted["tracklets"], rtol=2e-3, atol=1e-5)  # float16


def test_what_is_seen_at_an_epochs_end_is_of_rank_0s_statistics(two):
    """On the CPU too, where nothing but the batches before kept them equal."""
    assert told(two, 0)["at epochs"] == told(two, 1)["at epochs"] and len(told(two, 0)["at epochs"]) == 2


def test_two_processes_resume_bit_identically_from_the_first_ones_checkpoint(two):
    assert sorted(path.name for path in two.glob("checkpoint of *")) == [
        "checkpoint of 0, adam", "checkpoint of 0, sgd", "checkpoint of both",
    ]  # fmt: skip
    for rank in (0, 1):
        assert told(two, rank)["stopped"] == "stopped"  # in the third of three epochs
        assert told(two, rank)["iterations resumed"] == PER_EPOCH
        assert told(two, rank)["curves"]["resumed"] == told(two, rank)["curves"]["adam"]
        resumed, whole = weights(two / f"resumed {rank}"), weights(two / f"adam {rank}")
        assert all(torch.equal(resumed[key], whole[key]) for key in whole)


def test_a_loss_that_is_not_finite_in_one_process_stops_both(two):
    for rank in (0, 1):
        assert told(two, rank)["not finite"].startswith("loss: not finite in epoch 2, iteration 5, batch of 16 images ")


def test_options_that_two_processes_cannot_share_are_refused(two):
    wanted = {
        "batch": "persons, images: a batch of 3 x 3 wants a number of processes that divides 9, got 2; start another "
        "number, or change the batch",
        "whole batch": "triplet_shard: each of 2 processes holds 8 images and mines its triplets among them; wants 8 "
        "or a divisor of it, got 0 (the whole batch)",
        "shard": "triplet_shard: each of 2 processes holds 8 images and mines its triplets among them; wants 8 "
        "or a divisor of it, got 16",
    }
    assert told(two, 0)["refused"] == told(two, 1)["refused"] == wanted


def test_when_one_process_raises_the_other_does_not_wait(tmp_path):
    done = launch("second_rank_raises", tmp_path)
    assert done.returncode != 0 and "Stop: stopped" in done.stderr


def test_a_group_of_one_is_a_run_without_a_group():
    options = replace(OPTIONS, epochs=1, triplet_shard=0)
    alone, curve = run(options)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        grouped, grouped_curve = run(options)
    finally:
        dist.destroy_process_group()
    assert numbers(grouped_curve) == numbers(curve)
    for (name, a), b in zip(alone.state_dict().items(), grouped.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_norms_are_synchronised_in_place_and_instance_norms_stay(monkeypatch):
    monkeypatch.setattr(parallel, "processes", lambda: 2)
    net = model()
    before, kinds = net.state_dict(keep_vars=True), {name: type(m) for name, m in net.named_modules()}
    parallel.synchronise_norms(net)
    after = net.state_dict(keep_vars=True)
    assert list(after) == list(before) and all(after[key] is before[key] for key in before)
    changed = {nn.BatchNorm1d: parallel.BatchNorm, nn.BatchNorm2d: parallel.BatchNorm}
    assert nn.InstanceNorm2d in kinds.values() and changed.keys() <= set(kinds.values())
    assert {name: type(m) for name, m in net.named_modules()} == {n: changed.get(k, k) for n, k in kinds.items()}


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5, 3)])
def test_a_norm_over_a_group_of_one_is_torchs(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64).mul(3).add(1).requires_grad_()
    plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(4).double()
    nn.init.uniform_(plain.weight), nn.init.uniform_(plain.bias)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        shared = parallel._synchronised(copy.deepcopy(plain))
        for _ in range(2):
            wanted, found = plain(x), shared(x)
        towards = torch.randn(shape, dtype=torch.float64)
        gradients = [
            torch.autograd.grad((out * towards).sum(), [x, *net.parameters()])
            for out, net in ((found, shared), (wanted, plain))
        ]
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(found, wanted)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    for (name, a), b in zip(shared.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    torch.testing.assert_close(shared.eval()(x), plain.eval()(x))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="SyncBatchNorm wants CUDA")
def test_two_processes_on_cuda_are_one_up_to_rounding(tmp_path):
    done = launch("on_cuda", tmp_path)
    assert done.returncode == 0, done.stderr
    net, curve = run(RUNS["sgd"], device="cuda")
    first, second = (weights(tmp_path / f"cuda {rank}") for rank in (0, 1))
    for key, wanted in net.state_dict().items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], wanted.cpu(), rtol=1e-4, atol=1e-6)
    for found, wanted in zip(told(tmp_path, 0)["curves"]["cuda"], numbers(curve), strict=True):
        assert found == pytest.approx(wanted, rel=1e-4)


if __name__ == "__main__":
    scenarios = {call.__name__: call for call in (every_run, second_rank_raises, on_cuda)}
    dist.init_process_group("gloo", timeout=timedelta(seconds=120))
    scenarios[sys.argv[1]](Path(sys.argv[2]), dist.get_rank())
    dist.destroy_process_group()
