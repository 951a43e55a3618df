"""The whole of it: order, shares, ranges, draws, clips, and what runs were recorded with."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest
import torch
from samples import pixels, seeded
from scipy.stats import chisquare, kstest
from torchvision.transforms import functional as TF

from reidlib.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    affine,
    auto_augment,
    draw_boxes,
    erase,
    grey_boxes,
    jitter_colours,
    normalise,
    pad_and_crop,
)
from reidlib.augment.draws import uniform

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
NOTHING = {"flip": 0.0, "pad": 0, "erasing": 0.0}


def test_normalise_is_torchvisions():
    images = pixels()
    wanted = TF.normalize(images.double() / 255, IMAGENET_MEAN, IMAGENET_STD).float()
    torch.testing.assert_close(normalise(images), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(normalise(images.float()), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(normalise(images.double()), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(normalise(images, "unit"), images.float() / 127.5 - 1, rtol=1e-5, atol=1e-6)


def test_every_flip_and_window_is_as_likely_as_it_should_be():
    ramp = torch.arange(1, 17, dtype=torch.uint8).expand(3, 24, 16)
    images = ramp.expand(4000, 3, 24, 16)
    flipped = Augmentation(**NOTHING | {"flip": 0.3}).apply(images, seeded())
    share = (flipped[:, 0, 0, 0] > flipped[:, 0, 0, -1]).double().mean().item()
    assert share == pytest.approx(0.3, abs=3 * math.sqrt(0.3 * 0.7 / 4000))

    rows = torch.arange(10, 34, dtype=torch.uint8)[:, None].expand(24, 16)
    images = torch.stack([rows, torch.arange(10, 26, dtype=torch.uint8).expand(24, 16), rows]).expand(4000, 3, 24, 16)
    cropped = Augmentation(**NOTHING | {"pad": 2}).apply(images, seeded())
    tops = cropped[:, 0, 12, 8] - normalise(images[:1])[0, 0, 12, 8]
    lefts = cropped[:, 1, 12, 8] - normalise(images[:1])[0, 1, 12, 8]
    for shifts, std in ((tops, IMAGENET_STD[0]), (lefts, IMAGENET_STD[1])):
        values, counts = (shifts * 255 * std).round().unique(return_counts=True)
        assert values.tolist() == [-2, -1, 0, 1, 2]
        assert chisquare(counts.numpy()).pvalue > 0.01


def test_the_share_of_erased_images_is_the_probability():
    images = torch.zeros(4000, 3, 24, 16, dtype=torch.uint8)
    erased = Augmentation(**NOTHING | {"erasing": 0.4}).apply(images, seeded()) == 0    # the mean, and nowhere else
    assert torch.equal(erased.any(1), erased.all(1))
    share = erased.flatten(1).any(1).double().mean().item()
    assert share == pytest.approx(0.4, abs=3 * math.sqrt(0.4 * 0.6 / 4000))


def test_the_share_of_greyed_turned_and_jittered_images_is_the_probability():
    images = pixels(1).expand(2000, 3, 24, 16)
    for name in ("grey", "affine", "jitter"):
        changed = (Augmentation(**NOTHING | {name: 0.4}).apply(images, seeded()) - normalise(images[:1])).abs() > 1e-3
        share = changed.flatten(1).any(1).double().mean().item()
        assert share == pytest.approx(0.4, abs=3 * math.sqrt(0.4 * 0.6 / 2000)), name


def test_turns_cover_their_ranges_and_not_more():
    options = Augmentation(affine=1.0, affine_degrees=10, affine_scale=(0.8, 1.1), affine_shear=5)
    turns = options._turns(4000, seeded())
    for column, (low, high) in zip(turns.T, ((-10, 10), (0.8, 1.1), (-5, 5)), strict=True):
        assert kstest(column.numpy(), "uniform", args=(low, high - low)).pvalue > 0.01
        assert low <= column.min() and column.max() <= high


@pytest.mark.parametrize("options, digest, following", [
    ({}, "f5acbcb8d7e48500", 0.4999950811239612),
    ({"pad": 3, "frames": 4}, "a33e656bfeec69b4", 0.4676027493141822),
    ({"pad": 2, "grey": 0.5}, "e0c630e8563192b4", 0.7912911659114407),
    ({"pad": 2, "grey": 0.5, "affine": 0.5, "erasing": 0.2}, None, 0.97240448947685),    # sines differ in the last bit
])
def test_recorded_runs_saw_these_bits_and_drew_that_much(options, digest, following):
    generator = seeded(11)
    result = Augmentation(**options).apply(pixels(16), generator)
    assert digest in (None, hashlib.sha256(result.numpy().tobytes()).hexdigest()[:16])
    assert torch.rand((), generator=generator, dtype=torch.float64).item() == following


def test_new_steps_leave_the_old_draws_alone():
    images = pixels(16)
    plain = Augmentation(flip=0.5, pad=2, erasing=0.5).apply(images, seeded())
    new = dict.fromkeys(("grey", "affine", "jitter", "auto"), 1e-12)
    with_them = Augmentation(flip=0.5, pad=2, erasing=0.5, **new).apply(images, seeded())
    torch.testing.assert_close(with_them, plain, rtol=1e-4, atol=1e-4)


def test_the_steps_in_their_order():
    options = Augmentation(flip=1.0, pad=3, erasing=1.0, affine=1.0, grey=1.0, jitter=1.0, auto=1.0)
    images, generator = pixels(12), seeded(5)
    uniform(12, 1, generator)
    corners = (uniform(12, 2, generator) * 7).long()
    boxes = draw_boxes(12, 24, 16, area=options.erasing_area, aspect=options.erasing_aspect, generator=generator)
    uniform(12, 1, generator)
    turns, grey = options._turns(12, generator), options._grey_boxes(12, 24, 16, generator)
    jitters, policies = options._jitters(12, generator), options._policies(12, generator)
    step = affine(auto_augment(images, *policies), turns)
    step = jitter_colours(pad_and_crop(step.flip(3), corners, pad=3), *jitters)
    assert torch.equal(options.apply(images, seeded(5)), erase(normalise(grey_boxes(step, grey)), boxes))


def test_nothing_to_do_is_normalising():
    images = pixels()
    assert torch.equal(Augmentation(**NOTHING).apply(images, seeded()), normalise(images))
    everything = Augmentation(flip=1.0, pad=0, erasing=0.0).apply(images, seeded())
    assert torch.equal(everything, normalise(images.flip(3)))


def test_padding_is_black_and_erasing_is_the_mean():
    images = torch.full((64, 3, 24, 16), 200, dtype=torch.uint8)
    result = Augmentation(pad=4, erasing=1.0).apply(images, seeded())
    values = set(result[:, 0].unique().tolist())
    wanted = {normalise(torch.full((1, 3, 1, 1), v, dtype=torch.uint8))[0, 0].item() for v in (0, 200)} | {0.0}
    assert values == wanted


@pytest.mark.parametrize("device", DEVICES)
def test_the_generator_decides_everything(device):
    images, augmentation = pixels(32), Augmentation(pad=3, jitter=0.5, auto=0.5)
    torch.manual_seed(5)
    first = augmentation.apply(images.to(device), seeded(7))
    torch.manual_seed(6)
    assert torch.equal(first, augmentation.apply(images.to(device), seeded(7)))
    assert not torch.equal(first, augmentation.apply(images.to(device), seeded(8)))
    plain = Augmentation(pad=3, jitter=0.5)    # AutoAugment equalises what rotations have rounded otherwise on a GPU
    on_cpu = plain.apply(images, seeded(7))
    torch.testing.assert_close(plain.apply(images.to(device), seeded(7)).cpu(), on_cpu, rtol=0, atol=1e-4)
    assert first.device.type == device and first.dtype == torch.float32 and first.shape == images.shape
    on_device = augmentation.apply(images.to(device), torch.Generator(device).manual_seed(7))
    assert on_device.device.type == device


def test_uint8_and_float_pixels_give_the_same_and_stay_as_they_were():
    images = pixels(16)
    kept = images.clone()
    for options in (Augmentation(pad=3), Augmentation(pad=0, jitter=0.7, auto=0.7)):
        ours = options.apply(images, seeded())
        assert torch.equal(images, kept)
        as_float = images.float()
        torch.testing.assert_close(options.apply(as_float, seeded()), ours)
        assert torch.equal(as_float, kept.float())


def test_a_clip_shares_its_draws():
    frames, clips = 4, 6
    stills = pixels(clips).repeat_interleave(frames, dim=0)         # every frame of a clip the same picture
    augmentation = Augmentation(pad=3, frames=frames, jitter=0.7, auto=0.7)
    result = augmentation.apply(stills, seeded()).unflatten(0, (clips, frames))
    assert all(torch.equal(result[:, 0], result[:, t]) for t in range(frames))
    alone = Augmentation(pad=3, jitter=0.7, auto=0.7).apply(stills[::frames], seeded())
    torch.testing.assert_close(result[:, 0], alone, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="images: want a multiple of frames = 4, got 6"):
        augmentation.apply(pixels(6), seeded())


def changes(augmentation, stills):
    """(B,) whether each of many equal pictures came out changed."""
    result = augmentation.apply(stills, seeded())
    return (result != normalise(stills, augmentation.scale)).flatten(1).any(dim=1)


@pytest.mark.parametrize("step", [{"flip": 0.5}, {"pad": 1}, {"erasing": 0.5}])
def test_a_frame_fares_alike_whether_its_clip_shares_the_draws_or_not(step):
    """Report `ica`: only the agreement between the frames of a clip differs, never what happens to one frame."""
    frames, clips = 4, 2_000
    stills = pixels(1).expand(clips * frames, -1, -1, -1)
    shared = changes(Augmentation(**NOTHING | step, frames=frames), stills).unflatten(0, (clips, frames))
    alone = changes(Augmentation(**NOTHING | step), stills).unflatten(0, (clips, frames))
    p = 8 / 9 if "pad" in step else 0.5
    for found, count in ((shared[:, 0], clips), (alone.flatten(), clips * frames)):
        assert abs(found.float().mean().item() - p) < 4 * math.sqrt(p * (1 - p) / count)
    assert (shared == shared[:, :1]).all()
    agree = (alone == alone[:, :1]).all(dim=1).float().mean().item()
    assert abs(agree - (p**4 + (1 - p) ** 4)) < 4 * math.sqrt(0.25 / clips)


def test_clips_that_are_left_unchanged():
    frames, clips = 4, 2_000
    stills = pixels(1).expand(clips * frames, -1, -1, -1)
    everything = {"flip": 1.0, "pad": 0, "erasing": 1.0, "scale": "unit"}
    found = changes(Augmentation(**everything, unchanged=0.3, frames=frames), stills).unflatten(0, (clips, frames))
    assert (found == found[:, :1]).all()
    assert abs(found[:, 0].float().mean().item() - 0.7) < 4 * math.sqrt(0.21 / clips)
    assert not changes(Augmentation(unchanged=1.0), stills[:8]).any()


@pytest.mark.parametrize("options, message", [
    ({"flip": 1.5}, r"flip: want a probability in \[0, 1\], got 1.5"),
    ({"erasing": -1}, "erasing: "),
    ({"pad": -1}, "pad: want an int >= 0, got -1"),
    ({"pad": 2.5}, "pad: "),
    ({"frames": 0}, "frames: want an int >= 1, got 0"),
    ({"erasing_area": (0.3, 0.2)}, "erasing_area: "),
    ({"erasing_area": (0.3, 2.0)}, "erasing_area: "),
    ({"erasing_aspect": (0.0, 2.0)}, "erasing_aspect: "),
    ({"jitter": 1.01}, "jitter: want a probability"),
    ({"auto": -0.01}, "auto: want a probability"),
    ({"unchanged": 1.1}, "unchanged: want a probability"),
    ({"unchanged": 0.5, "jitter": 0.5}, "unchanged: wants no affine, grey, jitter or auto"),
    ({"scale": "caffe"}, "scale: want one of imagenet, unit, got 'caffe'"),
    ({"jitter_contrast": 1.1}, r"jitter_contrast: want a strength in \[0, 1\], got 1.1"),
    ({"jitter_hue": 0.6}, r"jitter_hue: want a strength in \[0, 0.5\], got 0.6"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize("images, message", [
    (torch.zeros(3, 24, 16), r"images: want \(B, 3, H, W\), not empty"),
    (torch.zeros(0, 3, 24, 16), "images: "),
    (torch.zeros(2, 1, 24, 16), "images: "),
    (torch.zeros(2, 3, 24, 16, dtype=torch.int64), "images: want uint8 or floating point"),
])
def test_wrong_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        Augmentation().apply(images, seeded())
    with pytest.raises(ValueError, match=message):
        normalise(images)


def test_erased_images_are_told_apart():
    """Of pictures without a black pixel, those told are the ones that have a patch of 0, and nothing else changes."""
    images, changed = pixels(64, 32, 16).clamp(min=200), Augmentation(flip=0.5, pad=2, erasing=0.5)
    seen, erased = changed.apply_and_tell(images, seeded(0))
    assert torch.equal(seen, changed.apply(images, seeded(0)))
    patched = [bool((image == 0).all(dim=0).any()) for image in seen]
    assert erased.tolist() == patched and 20 < sum(patched) < 44


def test_a_second_erasing_is_told_alone_and_comes_after_the_first():
    images = pixels(400, 32, 16).clamp(min=200)
    once = Augmentation(flip=0.5, pad=2, erasing=0.5)
    first, of_first = once.apply_and_tell(images, seeded(0))
    both, of_second = replace(once, erasing_again=0.5).apply_and_tell(images, seeded(0))
    different = (both != first).flatten(1).any(dim=1)
    # A second patch may lie within the first.
    assert not (different & ~of_second).any() and (of_second & ~different).sum() < 20
    share = [float(x.float().mean()) for x in (of_first, of_second, of_first | of_second)]
    assert share == pytest.approx([0.5, 0.5, 0.75], abs=0.08), "report 004's code: erased with 3/4, labelled with 1/2"
    still = replace(once, erasing_again=1.0, unchanged=1.0).apply_and_tell(images, seeded(0))
    assert not still[1].any() and torch.equal(still[0], normalise(images))
