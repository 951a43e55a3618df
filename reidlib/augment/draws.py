"""Random numbers from the caller's generator, and the boxes that erasing and greying make of them."""

import math

import torch
from torch import Generator, Tensor

ERASING_ATTEMPTS = 10                    # boxes tried before an image is left whole; torchvision


def uniform(rows: int, columns: int, generator: Generator) -> Tensor:
    """(rows, columns) float64 in [0, 1): fine enough that times n, rounded down, is never n."""
    return torch.rand(rows, columns, generator=generator, device=generator.device, dtype=torch.float64)


def draw_boxes(count: int, height: int, width: int, *, area: tuple[float, float], aspect: tuple[float, float],
               generator: Generator) -> Tensor:
    """Boxes for erasing and greying in images of `height` by `width` pixels.

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
