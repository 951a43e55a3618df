"""AutoAugment: one of 25 learnt pairs of operations for every image."""

import math
from collections import defaultdict

import torch
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode
from torchvision.transforms.v2 import functional as TF

from reidlib.augment.pixels import check_pixels

SUB_POLICIES = AutoAugment(AutoAugmentPolicy.IMAGENET).policies    # each two of (operation, probability, level or None)
SIGNED = {"Color", "Contrast", "Rotate", "Sharpness", "ShearX"}    # operations that go both ways
OUTSIDE = {
    "interpolation": InterpolationMode.BILINEAR,    # FastReID draws bilinear or bicubic; torchvision takes the nearest
    "fill": [128.0, 128.0, 128.0],                  # FastReID; black in torchvision
}


def auto_augment(images: Tensor, drawn: Tensor, chances: Tensor, signs: Tensor) -> Tensor:
    """Apply to each of the images (B, 3, H, W), uint8 or float in [0, 255], a sub-policy of AutoAugment's for ImageNet.

    drawn: (B,) int64, the sub-policy, 0 to 24; a negative one leaves the image as it is.
    chances: (B, 2) in [0, 1): the first and the second operation are done where it is below their probability.
    signs: (B, 2), -1 or 1: which way an operation goes that can go both ways.
    The images are grouped by operation on the CPU, so the draws had better lie there. Float images are rounded to
    whole pixels for each operation. Returns images of the same type. Raises ValueError for other images.
    Source: Cubuk et al., AutoAugment (CVPR 2019), Table 9, with torchvision's AutoAugment for all it leaves open.
    """
    check_pixels(images)
    images = images.clone()
    for step in range(2):
        groups = defaultdict(list)
        drawn_here = zip(drawn.tolist(), chances[:, step].tolist(), signs[:, step].tolist(), strict=True)
        for row, (sub_policy, chance, sign) in enumerate(drawn_here):
            if sub_policy < 0:
                continue
            name, probability, level = SUB_POLICIES[sub_policy][step]
            if chance < probability:
                groups[name, sign * level if name in SIGNED else level].append(row)
        for (name, level), members in groups.items():
            rows = torch.tensor(members).to(images.device, non_blocking=True)
            pixels = images[rows]
            if images.is_floating_point():
                pixels = pixels.round().clamp(0, 255).to(torch.uint8)
            images[rows] = _operate(pixels, name, level).to(images.dtype)
    return images


def _operate(images: Tensor, name: str, level: int | None) -> Tensor:
    """One operation on images (B, 3, H, W), uint8. level: -9 to 9, or 0 to 9, or None where an operation has none."""
    match name:
        case "AutoContrast":
            return TF.autocontrast(images)
        case "Color":
            return TF.adjust_saturation(images, 1 + level / 10)
        case "Contrast":
            return TF.adjust_contrast(images, 1 + level / 10)
        case "Equalize":
            return TF.equalize(images)
        case "Invert":
            return TF.invert(images)
        case "Posterize":
            return TF.posterize(images, 8 - round(level * 4 / 9))
        case "Rotate":
            return TF.rotate(images, level * 30 / 9, **OUTSIDE)
        case "Sharpness":
            return TF.adjust_sharpness(images, 1 + level / 10)
        case "ShearX":    # about the upper left corner, as the paper's authors do
            shear = [math.degrees(math.atan(level / 30)), 0.0]
            return TF.affine(images, 0.0, [0, 0], 1.0, shear, center=[0.0, 0.0], **OUTSIDE)
        case "Solarize":
            return TF.solarize(images, 255 - level * 255 / 9)
