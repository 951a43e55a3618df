"""From a feature map to one vector: generalised-mean or average pooling, of the whole map or of a stripe of it.

Shapes: B batch, C channels, H and W height and width of the map.
"""

import torch
from torch import Tensor, nn


class GeM(nn.Module):
    """Generalised mean: (B, C, H, W) -> (B, C), mean(max(x, eps)^p)^(1/p) with one trainable p that starts at 3.

    p = 1 is the mean and p -> infinity the maximum. Computed in float32 at least, also under autocast.
    Source: Radenović et al., Fine-tuning CNN Image Retrieval with No Human Annotation (TPAMI 2019).
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6):
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32)).clamp(min=self.eps)
        # Divided by its maximum before and multiplied after, which changes nothing but the range of the powers:
        # a channel that is dead everywhere holds 1e-6 only, and 1e-6^p is 0 in float32 once p has grown past 7.
        largest = x.detach().amax(dim=(2, 3), keepdim=True)                    # (B, C, 1, 1)
        mean = (x / largest).pow(self.p).mean(dim=(2, 3))                      # (B, C)
        return mean.pow(1 / self.p) * largest[:, :, 0, 0]


class AveragePooling(nn.Module):
    """Mean over the map: (B, C, H, W) -> (B, C), in float32 at least."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), dtype=torch.promote_types(x.dtype, torch.float32))


POOLINGS = {"gem": GeM, "average": AveragePooling}


def pooling(name: str) -> nn.Module:
    """A fresh pooling layer, "gem" or "average". Raises ValueError for another name."""
    if name not in POOLINGS:
        raise ValueError(f"pooling: {name!r} is none of {', '.join(POOLINGS)}")
    return POOLINGS[name]()


def horizontal_stripes(x: Tensor, parts: int) -> list[Tensor]:
    """Cut a map (B, C, H, W) into `parts` views from top to bottom, for any H >= 1.

    Stripe i holds the rows floor(i·H / parts) to ceil((i + 1)·H / parts) - 1, the boundaries of torch's adaptive
    pooling: equal stripes where `parts` divides H, else neighbours share a row. Cutting with `chunk` instead, as
    FastReID does, gives 16 rows in 3 parts as 6, 6 and 4, and fewer than `parts` stripes of some small maps.
    """
    height = x.shape[2]
    return [x[:, :, i * height // parts : -(-(i + 1) * height // parts)] for i in range(parts)]
