"""What happens inside a box of each image: greyed or erased."""

import torch
from torch import Tensor

from reidlib.augment.pixels import luma


def grey_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Take the colour from images (B, 3, H, W) inside `boxes` (B, 4), keeping their type; see `erase` for boxes."""
    grey = luma(images)
    if not images.is_floating_point():
        grey = grey.round()
    return torch.where(inside(images, boxes), grey.to(images.dtype), images)


def erase(images: Tensor, boxes: Tensor) -> Tensor:
    """Set images (B, 3, H, W) to 0 inside `boxes` (B, 4): top, left, height, width; a height of 0 erases nothing."""
    return images.masked_fill(inside(images, boxes), 0)


def inside(images: Tensor, boxes: Tensor) -> Tensor:
    """(B, 1, H, W) bool: the pixels of images (B, 3, H, W) that lie in their box."""
    top, left, height, width = boxes[:, :, None, None].unbind(dim=1)                           # (B, 1, 1) each
    rows = torch.arange(images.shape[2], device=images.device)[:, None]                        # (H, 1)
    columns = torch.arange(images.shape[3], device=images.device)                              # (W,)
    return ((rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width))[:, None]
