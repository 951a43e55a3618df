"""Erasing and greying against torchvision's and PIL's, and against their distributions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import pixels, seeded
from scipy.stats import ks_2samp
from torchvision.transforms import RandomErasing
from torchvision.transforms import functional as TF

from reidlib.augment import draw_boxes, erase, grey_boxes, normalise

REPORT = {"area": (0.02, 0.33), "aspect": (0.3, 3.3)}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_grey_is_pils_luma_in_the_box_alone(dtype):
    images = pixels(3).to(dtype)
    boxes = torch.tensor([[2, 3, 5, 4], [0, 0, 0, 0], [0, 0, 24, 16]])
    found = grey_boxes(images, boxes)
    assert found.dtype == dtype
    for image, before, (top, left, h, w) in zip(found, images, boxes.tolist(), strict=True):
        luma = TF.pil_to_tensor(TF.to_pil_image(before.to(torch.uint8)).convert("L")).double()
        wanted = before.double().clone()
        wanted[:, top : top + h, left : left + w] = luma[:, top : top + h, left : left + w]
        torch.testing.assert_close(image.double(), wanted, rtol=0, atol=0.51)    # PIL rounds in integers
        assert torch.equal(image.double()[:, h + top :], wanted[:, h + top :])


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
