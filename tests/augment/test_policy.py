"""AutoAugment in groups against torchvision's AutoAugment, picture by picture with the same draws."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from samples import pixels, seeded
from scipy.stats import chisquare
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode

from reidlib.augment import Augmentation, auto_augment

THEIRS = AutoAugment(AutoAugmentPolicy.IMAGENET, InterpolationMode.BILINEAR, [128.0] * 3)    # FastReID's filling


def torchvisions(images, drawn, chances, signs, monkeypatch):
    result = []
    for image, sub_policy, chance, sign in zip(images, drawn.tolist(), chances, signs, strict=True):
        given = (sub_policy, chance, (sign > 0).long())
        monkeypatch.setattr(THEIRS, "get_params", lambda count, given=given: given)
        result.append(image if sub_policy < 0 else THEIRS(image))
    return torch.stack(result)


def every_way(*chances):
    """Each sub-policy, and none, with these chances of its operations and all signs."""
    ways = product(range(-1, 25), chances, product((-1, 1), repeat=2))
    return map(torch.tensor, zip(*ways, strict=True))


def smooth(count):
    """Pictures with edges and slopes, and all of the pixel's values."""
    rows, columns = torch.arange(40.0)[:, None], torch.arange(24.0)
    u = torch.rand(count, 3, 4, 1, 1, generator=seeded(3))
    waves = (u[:, :, 0] * rows * 0.5 + u[:, :, 1] * columns + 6 * u[:, :, 2]).sin() * 140 * u[:, :, 3] + 128
    return waves.clamp(0, 255).to(torch.uint8)


KINDS = {
    "smooth": smooth,
    "noise": lambda count: pixels(count, 40, 24),
    "grey noise": lambda count: pixels(count, 40, 24)[:, :1].expand(-1, 3, -1, -1),
    "two values": lambda count: (pixels(count, 40, 24) > 200).to(torch.uint8) * 90,
    "black": lambda count: torch.zeros(count, 3, 40, 24, dtype=torch.uint8),
    "white": lambda count: torch.full((count, 3, 40, 24), 255, dtype=torch.uint8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_operation_is_torchvisions(kind, monkeypatch):
    drawn, chances, signs = every_way((0.1, 2.0), (0.5, 2.0), (0.7, 2.0), (2.0, 0.1), (2.0, 0.5), (2.0, 0.7))
    images = KINDS[kind](len(drawn))
    kept = images.clone()
    wanted = torchvisions(images, drawn, chances, signs, monkeypatch)
    found = auto_augment(images, drawn, chances, signs)
    assert found.dtype == torch.uint8 and torch.equal(images, kept)
    wrong = (found.int() - wanted.int()).abs()
    assert wrong.max() <= 1    # ties are rounded otherwise
    assert (wrong > 0).double().mean() < 0.01


def test_the_second_operation_follows_the_first():
    drawn, chances, signs = every_way((0.1, 0.1), (0.5, 0.7), (0.7, 0.5), (0.9, 0.9))
    images = smooth(len(drawn))
    never = torch.full_like(chances[:, :1], 2.0)
    first = auto_augment(images, drawn, torch.cat((chances[:, :1], never), dim=1), signs)
    both = auto_augment(first, drawn, torch.cat((never, chances[:, 1:]), dim=1), signs)
    assert torch.equal(auto_augment(images, drawn, chances, signs), both)
    as_float = auto_augment(images.float(), drawn, chances, signs)
    assert as_float.dtype == torch.float32 and torch.equal(as_float, both.float())


def test_float_pixels_are_rounded_where_something_is_done():
    images = pixels(2) + 0.3 - 0.6 * (pixels(2, seed=1) > 127)
    drawn, chances, signs = torch.tensor([7, -1]), torch.zeros(2, 2), torch.ones(2, 2)
    found = auto_augment(images, drawn, chances, signs)
    whole = auto_augment(images.round().clamp(0, 255).to(torch.uint8), drawn, chances, signs)
    assert torch.equal(found[0], whole[0].float()) and torch.equal(found[1], images[1])


def test_draws_are_as_likely_as_they_should_be():
    drawn, chances, signs = Augmentation(auto=0.4)._policies(8000, seeded())
    chosen = drawn >= 0
    assert chosen.double().mean().item() == pytest.approx(0.4, abs=3 * (0.4 * 0.6 / 8000) ** 0.5)
    assert (drawn[~chosen] == -1).all()
    values, counts = drawn[chosen].unique(return_counts=True)
    assert values.tolist() == list(range(25)) and chisquare(counts.numpy()).pvalue > 0.01
    assert ((chances >= 0) & (chances < 1)).all()
    ways, counts = torch.cat(((chances < 0.5).long(), signs), dim=1).unique(dim=0, return_counts=True)
    assert ways[:, 2:].unique().tolist() == [-1, 1]
    assert len(ways) == 16 and chisquare(counts.numpy()).pvalue > 0.01
    together = torch.cat((drawn[:, None], chances, signs), dim=1)[chosen].T.corrcoef()
    assert (together - torch.eye(5)).abs().max() < 0.07    # 3.9 standard deviations of independent draws
