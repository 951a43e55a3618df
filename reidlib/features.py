"""Feature extraction: images to embeddings, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from reidlib.augment import normalise
from reidlib.training import autocast


@torch.inference_mode()
def extract(
    model: nn.Module,
    images: Tensor,
    *,
    names: Sequence[str] | None = None,
    batch: int = 128,
    precision: str = "fp32",
) -> Tensor:
    """The model's test features of uint8 images, in the order given.

    images: (N, 3, H, W) uint8 on the model's device. names: (N,) what to call an image in an error.
    Returns (N, feature_dim) float16 on the CPU: the precision in which features are stored, so that every metric is
    computed from what is stored.
    Raises ValueError when a feature is not finite in float16.
    """
    if images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(f"images: wants (N, 3, H, W) with N >= 1, got {tuple(images.shape)}")
    model.eval()
    parts = []
    for start in tqdm(range(0, images.shape[0], batch), desc="features", unit="batch", leave=False):
        with autocast(images.device, precision):
            features = model(normalise(images[start : start + batch]))
        parts.append(features.float().half().cpu())
    features = torch.cat(parts)
    bad = (~torch.isfinite(features).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        first = names[bad[0]] if names is not None else f"number {bad[0]}"
        raise ValueError(
            f"images: {len(bad)} of {len(features)} give a feature that is not finite in float16, first {first}; "
            "the run has diverged: train it again with a lower learning rate"
        )
    return features
