"""Augmentation of a whole batch at once, on the device that holds it.

Every random choice comes from the torch.Generator that the caller passes, drawn on the generator's own device: one
seed gives the same pictures on CPU and GPU when the generator lives on the CPU.
Shapes: B images (clips of T frames follow one another), H and W height and width, N draws.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)    # of pixels in [0, 1]; FastReID and torchvision
IMAGENET_STD = (0.229, 0.224, 0.225)
ERASING_ATTEMPTS = 10                    # boxes tried before an image is left whole; torchvision


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Flip, pad and crop, normalise, erase: what the report does to its training images, in this order.

    flip: probability of a horizontal flip.
    pad: pixels of black added on every side before a window of the old size is cut out at random; 0 is no cropping.
        The report's 10 are meant for 384×128 images: scale them with the images.
    erasing: probability of random erasing; the box takes a share of the image drawn from `erasing_area` and has a
        height/width ratio drawn log-uniformly from `erasing_aspect`. It is filled with the mean, 0 after normalising.
    frames: T, images per clip. T consecutive images share every draw; 1 draws for each image alone.
    Raises ValueError for a value out of its range.
    Sources: report 000, Section 2.2; its numbers are FastReID's defaults. Zhong et al., Random Erasing (AAAI 2020).
    """

    flip: float = 0.5
    pad: int = 10
    erasing: float = 0.5
    erasing_area: tuple[float, float] = (0.02, 0.33)
    erasing_aspect: tuple[float, float] = (0.3, 3.3)
    frames: int = 1

    def __post_init__(self):
        for name in ("flip", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: want a probability in [0, 1], got {getattr(self, name)!r}")
        for name, least in (("pad", 0), ("frames", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: want an int >= {least}, got {value!r}")
        for name, largest in (("erasing_area", 1), ("erasing_aspect", math.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= largest:
                raise ValueError(f"{name}: want 0 < low <= high <= {largest}, got {(low, high)!r}")

    def apply(self, images: Tensor, generator: Generator) -> Tensor:
        """Images (B, 3, H, W), uint8 or float in [0, 255] -> augmented and normalised float32 (B, 3, H, W).

        generator: where all randomness comes from; how much is drawn depends on B / frames only.
        Raises ValueError for other images, and when B is no multiple of `frames`.
        """
        check_pixels(images)
        if len(images) % self.frames:
            raise ValueError(f"images: want a multiple of frames = {self.frames}, got {len(images)}")
        clips, (height, width) = len(images) // self.frames, images.shape[2:]

        flipped = uniform(clips, 1, generator)[:, 0] < self.flip
        corners = (uniform(clips, 2, generator) * (2 * self.pad + 1)).long()
        boxes = draw_boxes(clips, height, width, area=self.erasing_area, aspect=self.erasing_aspect,
                           generator=generator)
        boxes[uniform(clips, 1, generator)[:, 0] >= self.erasing] = 0
        flipped, corners, boxes = (
            draw.repeat_interleave(self.frames, dim=0).to(images.device, non_blocking=True)
            for draw in (flipped, corners, boxes)
        )
        return erase(normalise(pad_and_crop(flip(images, flipped), corners, pad=self.pad)), boxes)


def check_pixels(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images: want (B, 3, H, W), not empty, got {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images: want uint8 or floating point in [0, 255], got {images.dtype}")


def uniform(rows: int, columns: int, generator: Generator) -> Tensor:
    """(rows, columns) float64 in [0, 1): fine enough that times n, rounded down, is never n."""
    return torch.rand(rows, columns, generator=generator, device=generator.device, dtype=torch.float64)


def normalise(images: Tensor) -> Tensor:
    """Pixels (B, 3, H, W), uint8 or float in [0, 255] -> float32 with ImageNet's channel means and deviations removed.

    What every model here takes, in training and for features. Raises ValueError for other images.
    """
    check_pixels(images)
    mean, std = (255 * torch.tensor(v, device=images.device).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (images.float() - mean) / std


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


def draw_boxes(count: int, height: int, width: int, *, area: tuple[float, float], aspect: tuple[float, float],
               generator: Generator) -> Tensor:
    """Boxes for random erasing in images of `height` by `width` pixels.

    area: range of the box's share of the image, drawn uniformly; aspect: range of its height/width, log-uniformly.
    A box that is not smaller than the image both ways is drawn again, up to 10 times, as torchvision does.
    Returns (count, 4) int64: top, left, height, width; all 0 where no attempt fitted.
    """
    u = uniform(count * ERASING_ATTEMPTS, 4, generator).view(count, ERASING_ATTEMPTS, 4)
    pixels = height * width * (area[0] + (area[1] - area[0]) * u[..., 0])                      # (count, attempts)
    ratio = torch.exp(math.log(aspect[0]) + (math.log(aspect[1]) - math.log(aspect[0])) * u[..., 1])
    box_height, box_width = (pixels * ratio).sqrt().round(), (pixels / ratio).sqrt().round()
    fits = (box_height < height) & (box_width < width)
    top = (u[..., 2] * (height - box_height + 1)).floor()
    left = (u[..., 3] * (width - box_width + 1)).floor()
    boxes = torch.stack((top, left, box_height, box_width), dim=-1) * fits[..., None]          # (count, attempts, 4)
    first = fits.int().argmax(dim=1)                                                           # the first that fits
    return boxes[torch.arange(count, device=boxes.device), first].long()


def erase(images: Tensor, boxes: Tensor) -> Tensor:
    """Set images (B, 3, H, W) to 0 inside `boxes` (B, 4): top, left, height, width; a height of 0 erases nothing."""
    top, left, height, width = boxes[:, :, None, None].unbind(dim=1)                           # (B, 1, 1) each
    rows = torch.arange(images.shape[2], device=images.device)[:, None]                        # (H, 1)
    columns = torch.arange(images.shape[3], device=images.device)                              # (W,)
    inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)    # (B, H, W)
    return images.masked_fill(inside[:, None], 0)
