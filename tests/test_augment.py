"""Batched augmentation against torchvision's picture by picture, and against its distributions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp
from torchvision.transforms import RandomErasing
from torchvision.transforms import functional as TF

from reidlib.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    draw_boxes,
    erase,
    flip,
    normalise,
    pad_and_crop,
)

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
NOTHING = {"flip": 0.0, "pad": 0, "erasing": 0.0}
REPORT = {"area": (0.02, 0.33), "aspect": (0.3, 3.3)}


def pixels(count=8, height=24, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_normalise_is_torchvisions():
    images = pixels()
    wanted = TF.normalize(images.double() / 255, IMAGENET_MEAN, IMAGENET_STD).float()
    torch.testing.assert_close(normalise(images), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(normalise(images.float()), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(normalise(images.double()), wanted, rtol=1e-5, atol=1e-6)


def test_flip_is_torchvisions():
    images, flipped = pixels(3), torch.tensor([True, False, True])
    wanted = torch.stack([TF.hflip(images[0]), images[1], TF.hflip(images[2])])
    assert torch.equal(flip(images, flipped), wanted)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("pad", [1, 10])
def test_pad_and_crop_is_torchvisions(pad, dtype):
    images = pixels(5).to(dtype)
    corners = torch.randint(0, 2 * pad + 1, (5, 2), generator=seeded())
    corners[0], corners[1] = torch.tensor([0, 0]), torch.tensor([2 * pad, 2 * pad])
    wanted = [TF.crop(TF.pad(image, [pad]), top, left, 24, 16)
              for image, (top, left) in zip(images, corners.tolist(), strict=True)]
    assert torch.equal(pad_and_crop(images, corners, pad=pad), torch.stack(wanted))
    assert torch.equal(pad_and_crop(images, torch.full((5, 2), pad), pad=pad), images)


def test_erase_is_torchvisions():
    images = normalise(pixels(4))
    boxes = torch.tensor([[2, 3, 5, 4], [0, 0, 0, 0], [19, 15, 5, 1], [0, 0, 23, 15]])
    wanted = torch.stack([TF.erase(image, *box, v=torch.zeros(3, 1, 1))
                          for image, box in zip(images, boxes.tolist(), strict=True)])
    assert torch.equal(erase(images, boxes), wanted)


@pytest.mark.parametrize("height, width", [(384, 128), (96, 48)])
def test_boxes_are_distributed_as_torchvisions(height, width):
    ours = draw_boxes(4000, height, width, generator=seeded(), **REPORT)
    torch.manual_seed(1)
    image = torch.zeros(3, height, width)
    theirs = torch.tensor([RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(4000)])
    for name, of in {
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: (b[:, 2] / b[:, 3]),
        "top": lambda b: b[:, 0] / (height - b[:, 2]),
        "left": lambda b: b[:, 1] / (width - b[:, 3]),
    }.items():
        assert ks_2samp(of(ours).double().numpy(), of(theirs).double().numpy()).pvalue > 0.01, name


def test_boxes_reach_every_edge():
    top, left, h, w = draw_boxes(4000, 24, 16, generator=seeded(), **REPORT).T
    erased = h > 0
    assert (top[erased] == 0).any() and (left[erased] == 0).any()
    assert (top + h).max() == 24 and (left + w).max() == 16


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_boxes_lie_inside_and_keep_their_ranges(height, width, seed):
    boxes = draw_boxes(20, height, width, generator=seeded(seed), **REPORT)
    for top, left, h, w in boxes.tolist():
        assert 0 <= top <= top + h <= height and 0 <= left <= left + w <= width
        assert (top, left, h, w) == (0, 0, 0, 0) or (h < height and w < width)
        # The sides are rounded to whole pixels, so the ranges hold for sides up to half a pixel off.
        assert h == w == 0 or (h - 0.5) * (w - 0.5) <= 0.33 * height * width
        assert h == w == 0 or (h + 0.5) * (w + 0.5) >= 0.02 * height * width
        assert h == w == 0 or 0.3 * (w - 0.5) <= h + 0.5 and h - 0.5 <= 3.3 * (w + 0.5)


def test_an_image_that_no_box_fits_stays_whole():
    boxes = draw_boxes(50, 4, 400, area=(0.3, 0.33), aspect=(3.0, 3.3), generator=seeded())
    assert (boxes == 0).all()


def test_a_box_that_does_not_fit_is_drawn_again():
    boxes = draw_boxes(2000, 100, 40, area=(0.3, 0.3), aspect=(0.3, 3.3), generator=seeded())
    # One draw fits when height/width lies in (0.75, 8.3), that is with probability log(3.3/.75) / log(11) = 0.62.
    assert (boxes[:, 2] > 0).double().mean() > 0.99


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
    images, augmentation = pixels(32), Augmentation(pad=3)
    torch.manual_seed(5)
    first = augmentation.apply(images.to(device), seeded(7))
    torch.manual_seed(6)
    assert torch.equal(first, augmentation.apply(images.to(device), seeded(7)))
    assert not torch.equal(first, augmentation.apply(images.to(device), seeded(8)))
    torch.testing.assert_close(first.cpu(), augmentation.apply(images, seeded(7)))
    assert first.device.type == device and first.dtype == torch.float32 and first.shape == images.shape
    on_device = augmentation.apply(images.to(device), torch.Generator(device).manual_seed(7))
    assert on_device.device.type == device


def test_uint8_and_float_pixels_give_the_same_and_stay_as_they_were():
    images = pixels(16)
    kept = images.clone()
    ours = Augmentation(pad=3).apply(images, seeded())
    assert torch.equal(images, kept)
    as_float = images.float()
    torch.testing.assert_close(Augmentation(pad=3).apply(as_float, seeded()), ours)
    assert torch.equal(as_float, kept.float())


def test_a_clip_shares_its_draws():
    frames, clips = 4, 6
    stills = pixels(clips).repeat_interleave(frames, dim=0)         # every frame of a clip the same picture
    augmentation = Augmentation(pad=3, frames=frames)
    result = augmentation.apply(stills, seeded()).unflatten(0, (clips, frames))
    assert all(torch.equal(result[:, 0], result[:, t]) for t in range(frames))
    alone = Augmentation(pad=3).apply(stills[::frames], seeded())
    assert torch.equal(result[:, 0], alone)
    with pytest.raises(ValueError, match="images: want a multiple of frames = 4, got 6"):
        augmentation.apply(pixels(6), seeded())


@pytest.mark.parametrize("options, message", [
    ({"flip": 1.5}, r"flip: want a probability in \[0, 1\], got 1.5"),
    ({"erasing": -1}, "erasing: "),
    ({"pad": -1}, "pad: want an int >= 0, got -1"),
    ({"pad": 2.5}, "pad: "),
    ({"frames": 0}, "frames: want an int >= 1, got 0"),
    ({"erasing_area": (0.3, 0.2)}, "erasing_area: "),
    ({"erasing_area": (0.3, 2.0)}, "erasing_area: "),
    ({"erasing_aspect": (0.0, 2.0)}, "erasing_aspect: "),
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
