"""What is drawn for a batch, and the steps that follow from it, one after the other in torch."""

from dataclasses import dataclass

from torch import Tensor

from reidlib.augment.boxes import erase, grey_boxes
from reidlib.augment.colour import jitter_colours
from reidlib.augment.geometry import affine, flip, pad_and_crop
from reidlib.augment.pixels import normalise


@dataclass(frozen=True, kw_only=True)
class Draws:
    """For each of L clips of `frames` images: what the functions of the same names take, None where there is no step.

    flipped: (L,) bool. corners: (L, 2) int64. turns: (L, 3). jitter: (L, 4) factors and (L, 4) order. grey: (L, 4)
    boxes. erased: (L, 4) boxes, one after the other.
    """

    frames: int
    flipped: Tensor
    corners: Tensor
    turns: Tensor | None
    jitter: tuple[Tensor, Tensor] | None
    grey: Tensor | None
    erased: tuple[Tensor, ...]

    def every(self, draw: Tensor) -> Tensor:
        """(L, ...) for clips -> (L · frames, ...) for images."""
        return draw.repeat_interleave(self.frames, dim=0)


def in_torch(images: Tensor, draws: Draws, *, pad: int, scale: str) -> Tensor:
    """Images (B, 3, H, W), uint8 or float in [0, 255] -> augmented and normalised float32, on any device."""

    def each(draw: Tensor) -> Tensor:
        return draws.every(draw).to(images.device, non_blocking=True)

    if draws.turns is not None:
        images = affine(images, each(draws.turns))
    images = pad_and_crop(flip(images, each(draws.flipped)), each(draws.corners), pad=pad)
    if draws.jitter is not None:
        images = jitter_colours(images, *map(draws.every, draws.jitter))
    if draws.grey is not None:
        images = grey_boxes(images, each(draws.grey))
    images = normalise(images, scale)
    for boxes in draws.erased:
        images = erase(images, each(boxes))
    return images
