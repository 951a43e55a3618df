"""The training loop: schedules as the report and its framework have them, resuming, refusing what is not finite."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from reidlib import models, training
from reidlib.augment import Augmentation
from reidlib.objective import batch_loss
from reidlib.optimisation import TrainingOptions, learning_rate
from reidlib.study.recipes import vtrm
from reidlib.training import Harder, train

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


def model(options=OPTIONS):
    """MGN, or for the center loss, which wants one metric feature, a baseline."""
    torch.manual_seed(1)
    if options.center_weight:
        return models.build("baseline", num_classes=8, backbone="resnet18", width=0.125)
    return models.build("mgn", num_classes=8, backbone="resnet18_ibn", width=0.125, parts=(1, 2), part_dim=8)


def run(options=OPTIONS, **more):
    net = model(options)
    curve = train(net, *world(), augmentation=AUGMENTATION, options=options, seed=3, **more)
    return net, curve


def numbers(curve):
    return [(point["cross_entropy"], point["triplet"], point["learning_rate"]) for point in curve]


def test_learns_a_separable_set():
    _, curve = run(replace(OPTIONS, epochs=15, learning_rate=1e-2, label_smoothing=0.0, freeze_epochs=0.0))
    assert curve[-1]["cross_entropy"] < 0.85 * curve[0]["cross_entropy"]


@pytest.mark.parametrize("changes", [{"optimizer": "adam"}, {"optimizer": "sgd"}, {"center_weight": 0.05}])
def test_interrupted_run_ends_bit_identical(tmp_path, changes):
    """Stopped after two of four epochs, by an exception in the middle of the third, and resumed."""
    options = replace(OPTIONS, **changes)

    class Stop(Exception):
        pass

    whole_losses, losses = torch.full((2, 4, 32), torch.nan)
    whole, curve = run(options, image_losses=whole_losses)
    net, calls = model(options), []

    class Failing(Augmentation):
        def apply_and_tell(self, images, generator):
            calls.append(1)
            if len(calls) == 10:  # 4 iterations an epoch
                raise Stop
            return super().apply_and_tell(images, generator)

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stop):
        train(
            net,
            *world(),
            augmentation=Failing(flip=0.5, pad=2, erasing=0.5),
            options=options,
            seed=3,
            image_losses=torch.full((4, 32), torch.nan),
            checkpoint=checkpoint,
        )
    resumed, resumed_curve = run(options, checkpoint=checkpoint, image_losses=losses)
    torch.testing.assert_close(losses, whole_losses, rtol=0, atol=0, equal_nan=True)
    assert numbers(resumed_curve) == numbers(curve)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_what_is_seen_at_an_epochs_end_is_kept_and_changes_nothing(tmp_path):
    net, curve = run()
    seen = []

    def look(epoch):
        seen.append(epoch)
        return {"seen": epoch, "times": len(seen)}

    checkpoint = tmp_path / "checkpoint.safetensors"
    watched, looked_at = run(at_epoch=look, checkpoint=checkpoint)
    assert [point["seen"] for point in looked_at] == [1, 2, 3, 4] and numbers(looked_at) == numbers(curve)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), watched.state_dict().values(), strict=True))
    _, resumed = run(at_epoch=look, checkpoint=checkpoint)  # the last epoch alone is trained again
    assert [point["seen"] for point in resumed] == [1, 2, 3, 4]
    assert [point["times"] for point in resumed] == [1, 2, 3, 5]


def test_center_loss_pulls_the_images_of_a_person_together():
    spread = []
    for weight in (0.0, 0.05):
        net = model(replace(OPTIONS, center_weight=0.05))  # the same baseline
        options = replace(OPTIONS, center_weight=weight, epochs=8)
        images, labels = world()
        train(net, images, labels, augmentation=AUGMENTATION, options=options, seed=3)
        with torch.no_grad():
            pooled = net.head.pool(net.backbone((images.float() / 255 - 0.5) / 0.25))
        spread.append(sum(pooled[labels == person].std(dim=0).mean().item() for person in range(8)))
    assert spread[1] < spread[0]


def test_image_losses_are_what_the_curve_is_the_mean_of():
    """Eight persons of four images, 4 x 2 a batch: an epoch draws every image once, so a plain mean will do."""
    losses = torch.full((2, 32), torch.nan)
    _, curve = run(replace(OPTIONS, epochs=2, persons=8, images=4), image_losses=losses)
    assert losses.isfinite().all()
    assert losses.mean(dim=1).tolist() == pytest.approx([point["cross_entropy"] for point in curve], rel=1e-5)
    drawn = torch.full((1, 32), torch.nan)
    run(replace(OPTIONS, epochs=1, persons=3, images=3), image_losses=drawn)  # 3 batches of 9 of 32
    assert 0 < drawn.isnan().sum() < 32


def test_checkpoint_without_the_image_losses_is_refused(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    run(replace(OPTIONS, epochs=2), checkpoint=checkpoint)
    with pytest.raises(ValueError, match=r"checkpoint.safetensors: has no image_losses of shape \(2, 32\)"):
        run(replace(OPTIONS, epochs=2), checkpoint=checkpoint, image_losses=torch.full((2, 32), torch.nan))


def test_harder_images_alone_get_the_other_augmentation(monkeypatch):
    """Every pixel of a hard image is erased, of the others none."""
    images, labels = world()
    plain = Augmentation(flip=0.0, pad=0, erasing=0.0)
    black = replace(plain, erasing=1.0, erasing_area=(0.9, 0.9), erasing_aspect=(1.0, 1.0))
    hard = torch.arange(32) % 4 == 0
    seen = []

    class Watched(torch.nn.Module):
        frozen = False

        def __init__(self):
            super().__init__()
            self.net = model()

        def forward(self, pixels):
            seen.append(pixels.detach())
            return self.net(pixels)

    net = Watched()
    net.freezable = net.net.freezable
    options = replace(OPTIONS, epochs=1, persons=8, images=4, freeze_epochs=0.0)
    train(net, images, labels, augmentation=plain, options=options, seed=3, harder=Harder(hard, black))
    share = (torch.cat(seen) == 0).float().mean(dim=(1, 2, 3))
    assert share.sort().values.tolist() == pytest.approx([0.0] * 24 + [0.88] * 8, abs=0.05)


def test_the_loss_hears_which_frames_were_erased(monkeypatch):
    """In the order of clips and frames: those with a patch of the mean, on pictures that have none."""
    heard = []

    def listening(network, pixels, labels, options, centers, erased):
        heard.append((pixels, erased))
        return batch_loss(network, pixels, labels, options, centers, erased)

    monkeypatch.setattr(training, "batch_loss", listening)
    pictures = torch.randint(200, 256, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    options = TrainingOptions(epochs=1, persons=3, images=2, learning_rate=1e-3, attention_weight=1.0)
    clips = torch.arange(24).view(1, 6, 4).repeat(5, 1, 1)
    net = models.build("video", num_classes=3, backbone="resnet18", width=0.125, temporal="attention", neck=True,
                       image_size=(32, 32))  # fmt: skip
    augmentation = Augmentation(flip=0.5, pad=0, erasing=0.5)
    labels = torch.arange(3).repeat_interleave(8)
    train(net, pictures, labels, augmentation=augmentation, options=options, seed=1, batches=lambda epoch: clips)
    assert len(heard) == 5
    for pixels, erased in heard:
        patched = (pixels == 0).all(dim=2).flatten(2).any(dim=2)
        assert pixels.shape[:2] == erased.shape == (6, 4)
        assert torch.equal(erased, patched) and 0 < erased.sum() < 24


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
        ({"classification": "arc"}, "classification: wants one of softmax, circle, none"),
        ({"pairs": "both"}, "pairs: wants one of none, circle"),
    ],
)
def test_bad_options(change, message):
    with pytest.raises(ValueError, match=message):
        replace(OPTIONS, **change)


def test_a_compiled_network_trains_as_the_plain_one(monkeypatch):
    """Its graph, run by torch's own kernels: another compiler's would differ in the last bits."""
    compiled = []

    def traced(network):
        compiled.append(network)
        return compile_network(network, backend="aot_eager")

    compile_network = torch.compile
    monkeypatch.setattr(training.torch, "compile", traced)
    options = replace(OPTIONS, epochs=2, freeze_epochs=0.5)
    _, plain = run(options)
    assert compiled == []
    net, curve = run(options, compiled=True)
    assert compiled == [net, net], "once frozen and once free"
    for found, wanted in zip(numbers(curve), numbers(plain), strict=True):
        assert found == pytest.approx(wanted, rel=1e-3)
    assert not any(name.startswith("_orig_mod") for name in net.state_dict())


def test_a_loss_that_is_seen_late_is_refused_before_the_epoch_ends(monkeypatch):
    """As on CUDA, where a step's loss is looked at when the next one's is there: no checkpoint is written of it."""
    looked = []

    def told(flag):
        looked.append("made")
        return lambda: looked.append("seen") or bool(flag)

    monkeypatch.setattr(training, "_told", told)
    refuse = training._refuse
    monkeypatch.setattr(training, "_refuse", lambda unseen, but=None: refuse(unseen, 1 if but is not None else 0))
    run(replace(OPTIONS, epochs=1))
    assert looked == ["made", "made", "seen", "made", "seen", "made", "seen", "seen"]

    class LastNotFinite(Augmentation):
        def apply_and_tell(self, images, generator):
            pixels, erased = super().apply_and_tell(images, generator)
            return (torch.full_like(pixels, torch.nan) if len(looked) == 5 else pixels), erased

    looked.clear()
    with pytest.raises(ValueError, match="loss: not finite in epoch 1, iteration 3, batch of 8"):
        train(model(), *world(), augmentation=LastNotFinite(), options=replace(OPTIONS, epochs=2), seed=3)
