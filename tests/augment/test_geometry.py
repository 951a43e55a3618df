"""Flips, shifts and turns against torchvision's, picture by picture."""

from __future__ import annotations

import pytest
import torch
from samples import pixels, seeded
from torchvision.transforms import functional as TF

from reidlib.augment import affine, flip, pad_and_crop


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


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_affine_is_torchvisions(dtype):
    images = pixels(6, 40, 20).to(dtype)
    turns = torch.tensor([[0, 1, 0], [90, 1, 0], [10, 1.1, 0], [-7, 0.9, 8], [0, 1, -20], [33, 0.5, 5.0]])
    wanted = [TF.affine(image.float(), angle, [0, 0], scale, [shear, 0.0], TF.InterpolationMode.BILINEAR)
              for image, (angle, scale, shear) in zip(images, turns.tolist(), strict=True)]
    torch.testing.assert_close(affine(images, turns), torch.stack(wanted), rtol=1e-4, atol=0.02)
    torch.testing.assert_close(affine(images, turns)[0], images[0].float(), rtol=1e-5, atol=1e-3)
