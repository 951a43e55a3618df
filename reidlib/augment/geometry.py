"""Where pixels come from: mirrored, shifted and turned images."""

import torch
from torch import Tensor
from torch.nn import functional as F


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror left and right the images (B, 3, H, W) where `flipped` (B,) is True."""
    return torch.where(flipped[:, None, None, None], images.flip(3), images)


def pad_and_crop(images: Tensor, corners: Tensor, *, pad: int) -> Tensor:
    """Pad images (B, 3, H, W) with `pad` pixels of 0 on every side, then cut out a window of the old size.

    corners: (B, 2) int64, top and left of the window in the padded image, from 0 to 2·pad; `pad` is no shift.
    """
    if pad == 0:
        return images
    height, width = images.shape[2:]
    padded = F.pad(images, (pad, pad, pad, pad))
    image = torch.arange(len(images), device=images.device)[:, None, None]
    rows = corners[:, 0, None, None] + torch.arange(height, device=images.device)[:, None]    # (B, H, 1)
    columns = corners[:, 1, None, None] + torch.arange(width, device=images.device)           # (B, 1, W)
    return padded.permute(0, 2, 3, 1)[image, rows, columns].permute(0, 3, 1, 2)


def affine(images: Tensor, turns: Tensor) -> Tensor:
    """Turn, scale and shear images (B, 3, H, W) about their centres, bilinearly; outside is 0. Returns float32.

    turns: (B, 3) degrees clockwise, factor on the size, degrees of shear along the rows.
    """
    inverses = inverse(turns, *images.shape[2:])
    grid = F.affine_grid(inverses, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def inverse(turns: Tensor, height: int, width: int) -> Tensor:
    """(B, 2, 3) float32: where a pixel comes from, the inverse of turn · shear · scale of `affine`'s (B, 3) turns.

    In coordinates from -1 to 1 along both sides of an image.
    """
    angle, scale, shear = turns.double().unbind(dim=1)
    angle, tangent = angle.deg2rad(), shear.deg2rad().tan()
    cos, sin = angle.cos(), angle.sin()
    inverses = torch.stack((
        cos - tangent * sin, (sin + tangent * cos) * height / width, torch.zeros_like(cos),
        -sin * width / height, cos, torch.zeros_like(cos),
    ), dim=1) / scale[:, None]
    return inverses.view(-1, 2, 3).float()
