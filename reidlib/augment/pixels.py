"""What pixels are: their shape and range, their grey, and what a model sees of them."""

from functools import cache

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)    # of pixels in [0, 1]; FastReID and torchvision
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)             # of red, green and blue in a grey pixel (ITU-R 601), as PIL's mode "L" has it


def check_pixels(images: Tensor) -> None:
    """Raises ValueError unless images are (B, 3, H, W), not empty, uint8 or floating point."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images: want (B, 3, H, W), not empty, got {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images: want uint8 or floating point in [0, 255], got {images.dtype}")


SCALES = {"imagenet": (IMAGENET_MEAN, IMAGENET_STD), "unit": ((0.5,) * 3, (0.5,) * 3)}


def normalise(images: Tensor, scale: str = "imagenet") -> Tensor:
    """Pixels (B, 3, H, W), uint8 or float in [0, 255] -> float32, what every model here takes.

    scale: "imagenet", with ImageNet's channel means and deviations removed, or "unit", in [-1, 1] (report `ica`).
    Raises ValueError for other images or another scale.
    """
    check_pixels(images)
    if scale not in SCALES:
        raise ValueError(f"scale: want one of {', '.join(SCALES)}, got {scale!r}")
    mean, std = moments(scale, images.device)
    return (images.float() - mean) / std


@cache
def moments(scale: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) means and deviations of pixels in [0, 255]; kept on the device, which a copy would wait for."""
    with torch.inference_mode(False):  # they outlive the caller's mode
        mean, std = (255 * torch.tensor(v, device=device).view(3, 1, 1) for v in SCALES[scale])
    return mean, std


def luma(images: Tensor) -> Tensor:
    """The grey (B, 1, H, W) of images (B, 3, H, W), floating point and not rounded."""
    return (images * torch.tensor(LUMA, device=images.device).view(3, 1, 1)).sum(dim=1, keepdim=True)
