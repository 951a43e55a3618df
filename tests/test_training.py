"""The training loop: schedules as the report and its framework have them, resuming, refusing what is not finite."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from reidlib import models
from reidlib.augment import Augmentation
from reidlib.study.recipes import vtrm
from reidlib.training import TrainingOptions, learning_rate, train

OPTIONS = TrainingOptions(epochs=4, persons=4, images=2, learning_rate=1e-3, warmup_epochs=1.0, freeze_epochs=1.0)
AUGMENTATION = Augmentation(flip=0.5, pad=2, erasing=0.5)


def rates(options: TrainingOptions) -> list[float]:
    """The rate at the first iteration of every epoch, at SynergyReID's 66 iterations an epoch."""
    return [learning_rate(options, 66 * epoch, 66) for epoch in range(options.epochs)]


def drops(options: TrainingOptions) -> list[int]:
    """Epochs (0-based) at which the rate falls."""
    found = rates(options)
    return [epoch for epoch in range(1, len(found)) if found[epoch] < found[epoch - 1]]


def test_written_schedule_is_the_reports():
    options = vtrm.mgn(schedule="written").training
    assert drops(options) == [40, 90]
    assert rates(options)[39] == pytest.approx(3.5e-4)
    assert rates(options)[40] == pytest.approx(3.5e-5)
    assert rates(options)[119] == pytest.approx(3.5e-6)
    assert drops(vtrm.six_times(schedule="written").training) == [240, 480]


def test_executed_schedule_is_fastreids():
    """facts: 2000 iterations are 30.3 epochs, so 40 and 90 act at 70 and 120 (never); 240 and 480 at 270 and 510."""
    assert drops(vtrm.mgn().training) == [70]
    assert drops(vtrm.six_times().training) == [270, 510]


def test_warmup_is_linear_in_iterations():
    options = vtrm.mgn().training
    assert learning_rate(options, 0, 66) == pytest.approx(3.5e-5)
    assert learning_rate(options, 1000, 66) == pytest.approx(3.5e-4 * 0.55)
    assert learning_rate(options, 2000, 66) == pytest.approx(3.5e-4)


def world():
    torch.manual_seed(0)
    labels = torch.arange(8).repeat_interleave(4)
    colours = torch.randint(0, 255, (8, 3, 1, 1))
    images = (colours[labels] + torch.randint(0, 30, (32, 3, 32, 32))).clamp(0, 255).to(torch.uint8)
    return images, labels


def model():
    torch.manual_seed(1)
    return models.build("mgn", num_classes=8, backbone="resnet18_ibn", width=0.125, parts=(1, 2), part_dim=8)


def run(options=OPTIONS, **more):
    net = model()
    curve = train(net, *world(), augmentation=AUGMENTATION, options=options, seed=3, **more)
    return net, curve


def numbers(curve):
    return [(point["cross_entropy"], point["triplet"], point["learning_rate"]) for point in curve]


def test_learns_a_separable_set():
    _, curve = run(replace(OPTIONS, epochs=15, learning_rate=1e-2, label_smoothing=0.0, freeze_epochs=0.0))
    assert curve[-1]["cross_entropy"] < 0.85 * curve[0]["cross_entropy"]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_interrupted_run_ends_bit_identical(tmp_path, optimizer):
    """Stopped after two of four epochs, by an exception in the middle of the third, and resumed."""
    options = replace(OPTIONS, optimizer=optimizer)

    class Stop(Exception):
        pass

    whole, curve = run(options)
    net, calls = model(), []

    class Failing(Augmentation):
        def apply(self, images, generator):
            calls.append(1)
            if len(calls) == 10:  # 4 iterations an epoch
                raise Stop
            return super().apply(images, generator)

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stop):
        train(
            net,
            *world(),
            augmentation=Failing(flip=0.5, pad=2, erasing=0.5),
            options=options,
            seed=3,
            checkpoint=checkpoint,
        )
    resumed, resumed_curve = run(options, checkpoint=checkpoint)
    assert numbers(resumed_curve) == numbers(curve)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_frozen_epochs_change_the_heads_alone():
    before, (after, _) = model(), run(replace(OPTIONS, epochs=1, freeze_epochs=1.0))
    changed = {
        name
        for (name, a), b in zip(before.state_dict().items(), after.state_dict().values(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed and not any("stem" in name or "layer" in name for name in changed), changed


def test_loss_that_is_not_finite_names_images_and_checkpoint(tmp_path):
    options = replace(OPTIONS, learning_rate=1e30, warmup_epochs=0.0, freeze_epochs=0.0)
    with pytest.raises(ValueError, match=r"loss: not finite in epoch \d+, iteration \d+.*image-\d+.*learning rate"):
        run(options, checkpoint=tmp_path / "c.safetensors", names=[f"image-{i}" for i in range(32)])


def test_truncated_checkpoint_is_named(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(b"half")
    with pytest.raises(ValueError, match="checkpoint.safetensors: not a whole safetensors file"):
        run(checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"persons": 1}, "persons"),
        ({"schedule": "cosine"}, "schedule: wants one of written, executed"),
        ({"triplet_shard": 3}, "triplet_shard: 3 does not divide"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_bad_options(change, message):
    with pytest.raises(ValueError, match=message):
        replace(OPTIONS, **change)
