"""Colour jitter: brightness, contrast, saturation and hue, an own change and an own order for every image."""

import torch
from torch import Tensor

from reidlib.augment.pixels import LUMA, check_pixels, luma

NEUTRAL = (1.0, 1.0, 1.0, 0.0)           # factors on brightness, contrast and saturation, turn of the hue: no change


def jitter_colours(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of images (B, 3, H, W), uint8 or float in [0, 255].

    factors: (B, 4), what brightness, contrast and saturation are multiplied by, at least 0, and by how much of a whole
        turn, in [-0.5, 0.5], the hue is shifted; (1, 1, 1, 0) leaves an image as it is, bit for bit.
    order: (B, 4) int64, a permutation of 0 to 3 for each image: which of the four is changed first, second, ...
    The images are grouped by what is done to them: on the CPU, factors and order cost a GPU no waiting.
    Returns float32 in [0, 255], not rounded in between. Raises ValueError for other images.
    Source: torchvision's ColorJitter, which follows PIL's ImageEnhance.
    """
    check_pixels(images)
    images = images.to(torch.float32, copy=True)
    amounts = factors.to(images.device, torch.float32, non_blocking=True)[:, :, None, None, None]    # (B, 4, 1, 1, 1)
    changed = factors != torch.tensor(NEUTRAL, dtype=factors.dtype, device=factors.device)
    for now in order.T:                                                                              # (B,)
        for kind, change in enumerate((_brightness, _contrast, _saturation, _hue)):
            rows = ((now == kind) & changed[:, kind]).nonzero()[:, 0].to(images.device, non_blocking=True)
            for part in rows.split(1 if images.device.type == "cpu" else len(images)):    # one picture fits the cache
                images[part] = change(images[part], amounts[part, kind])
    return images


def _brightness(images: Tensor, factors: Tensor) -> Tensor:
    return (images * factors).clamp_(0, 255)


def _contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Away from, or towards, the mean grey of each image."""
    weights = torch.tensor(LUMA, device=images.device).view(3, 1, 1)
    mean = (images.mean(dim=(2, 3), keepdim=True) * weights).sum(dim=1, keepdim=True)
    return torch.lerp(mean, images, factors).clamp_(0, 255)


def _saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Away from, or towards, each pixel's grey."""
    return torch.lerp(luma(images), images, factors).clamp_(0, 255)


def _hue(images: Tensor, turns: Tensor) -> Tensor:
    """Around the hexagon of HSV, whose corners are red, yellow, green, cyan, blue and magenta; a grey stays itself."""
    red, green, blue = images.split(1, dim=1)                                                        # (B, 1, H, W)
    low, high = images.aminmax(dim=1, keepdim=True)
    chroma = high - low
    divisor = torch.where(chroma == 0, 1, chroma)
    corner = torch.where(
        high == red, (green - blue) / divisor,
        torch.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    corner = (corner + 6 * turns).remainder_(6)
    weights = torch.cat(((corner - 3).abs() - 1, 2 - (corner - 2).abs(), 2 - (corner - 4).abs()), dim=1).clamp_(0, 1)
    return low + chroma * weights
