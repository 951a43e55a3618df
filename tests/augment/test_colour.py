"""Colour jitter against torchvision's adjust_*, picture by picture in floating point."""

from __future__ import annotations

import pytest
import torch
from samples import pixels, seeded
from scipy.stats import chisquare, kstest
from torchvision.transforms.v2 import functional as TF

from reidlib.augment import Augmentation, jitter_colours

NEUTRAL = [1.0, 1.0, 1.0, 0.0]
ORDER = torch.arange(4)
ADJUST = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)


def flat(*colours):
    """A flat picture of each colour."""
    return torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 5, 4)


def torchvisions(images, factors, order):
    result = []
    for image, amounts, kinds in zip(images.double() / 255, factors.tolist(), order.tolist(), strict=True):
        for kind in kinds:
            image = ADJUST[kind](image, amounts[kind])
        result.append(255 * image)
    return torch.stack(result)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_jitter_is_torchvisions(spread, dtype):
    u = torch.rand(48, 8, generator=seeded(1))
    factors = torch.tensor(NEUTRAL) + spread * (2 * u[:, :4] - 1) * torch.tensor([1, 1, 1, 0.5])
    order = u[:, 4:].argsort(dim=1)
    images = torch.cat((pixels(45), flat((0, 0, 0), (255, 255, 255), (90, 90, 90)).repeat(1, 1, 5, 4)[:, :, :24]))
    images = images.to(dtype)
    kept = images.clone()
    found = jitter_colours(images, factors, order)
    assert found.dtype == torch.float32 and torch.equal(images, kept)
    # torchvision weighs red with 0.2989 instead of 0.299, and its hue goes through float32.
    torch.testing.assert_close(found.double(), torchvisions(images, factors, order), rtol=0, atol=0.1)
    assert found.min() >= -1e-3 and found.max() <= 255 + 1e-3


@pytest.mark.parametrize("kind", range(4))
def test_each_change_alone_is_torchvisions(kind):
    images = pixels(3)
    for amount in (-0.5, -0.2, 0.5) if kind == 3 else (0.0, 0.7, 3.0):
        factors = torch.tensor(NEUTRAL).repeat(3, 1)
        factors[1, kind] = amount
        found = jitter_colours(images, factors, ORDER.expand(3, 4))
        assert torch.equal(found[[0, 2]], images[[0, 2]].float())
        torch.testing.assert_close(found[1] / 255, ADJUST[kind](images[1] / 255, amount), rtol=0, atol=2e-4)


def test_the_order_matters():
    images, factors = pixels(2), torch.tensor([[1.6, 0.5, 1.0, 0.0]] * 2)
    first, second = jitter_colours(images, factors, torch.tensor([[0, 1, 2, 3], [1, 0, 2, 3]]))
    assert not torch.allclose(first, second, atol=1)


def test_hues_wrap_and_a_third_of_a_turn_moves_the_channels():
    images = pixels(1).expand(4, 3, 24, 16)
    factors = torch.tensor([[1, 1, 1, hue] for hue in (1 / 3, -1 / 3, 0.5, -0.5)])
    a_third, back, half, other_half = jitter_colours(images, factors, ORDER.expand(4, 4))
    torch.testing.assert_close(a_third, images[0].float().roll(1, dims=0), rtol=0, atol=2e-3)    # red becomes green
    torch.testing.assert_close(back, images[0].float().roll(-1, dims=0), rtol=0, atol=2e-3)
    torch.testing.assert_close(half, other_half, rtol=0, atol=2e-3)


def test_black_stays_black_and_grey_grey():
    images = flat((0, 0, 0), (255, 255, 255), (77, 77, 77))
    colours = jitter_colours(images, torch.tensor([[1, 1, 1.9, 0.3]] * 3), ORDER.expand(3, 4))
    torch.testing.assert_close(colours, images.float(), rtol=0, atol=1e-3)
    light = jitter_colours(images, torch.tensor([[0.5, 1.8, 1, 0]] * 3), ORDER.expand(3, 4))
    torch.testing.assert_close(light, images.float() / 2, rtol=0, atol=1e-3)    # a flat picture has no contrast


def test_strengths_of_nothing_change_nothing():
    names = ("brightness", "contrast", "saturation", "hue")
    nothing = Augmentation(jitter=1.0, **{f"jitter_{name}": 0.0 for name in names})
    images = pixels(16)
    assert torch.equal(nothing.apply(images, seeded()), Augmentation().apply(images, seeded()))


def test_strengths_and_orders_are_drawn_uniformly():
    options = Augmentation(jitter=0.8, jitter_brightness=0.3, jitter_contrast=0.2, jitter_saturation=1, jitter_hue=0.1)
    factors, order = options._jitters(4000, seeded(1))
    chosen = (factors != torch.tensor(NEUTRAL)).all(1)
    assert chosen.double().mean().item() == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / 4000) ** 0.5)
    assert (factors[~chosen] == torch.tensor(NEUTRAL)).all()
    for column, low, width in zip(factors[chosen].T, (0.7, 0.8, 0, -0.1), (0.6, 0.4, 2, 0.2), strict=True):
        assert kstest(column.numpy(), "uniform", args=(low, width)).pvalue > 0.01
    counts = order.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 24 and chisquare(counts.numpy()).pvalue > 0.01
    assert torch.equal(order.sort(dim=1).values, ORDER.expand(4000, 4))
    together = torch.cat((factors, order.argsort(dim=1)), dim=1)[chosen].T.corrcoef()
    assert (together[:4] - torch.eye(8)[:4]).abs().max() < 0.07    # 3.9 standard deviations of independent draws
