"""What stands between a feature map and the losses: pooling, reduction, BNNeck and classifier.

Shapes: B batch, C channels of the map, D feature.
Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification (CVPRW 2019), Section 3.5.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from reidlib.models.pooling import pooling as pooling_layer


class Heads(NamedTuple):
    """What an embedding model returns in training.

    logits: one (B, classes) per head, for the cross-entropy.
    metric_features: one (B, d) per metric feature, for the triplet loss.
    """

    logits: list[Tensor]
    metric_features: list[Tensor]


class HeadOutput(NamedTuple):
    """One head's test feature (B, D), metric feature (B, D) and logits (B, classes)."""

    feature: Tensor
    metric: Tensor
    logits: Tensor


def bn_neck(dim: int) -> nn.BatchNorm1d:
    """Batch normalisation whose shift stays 0: features sit around the origin, classes are told apart by angle."""
    neck = nn.BatchNorm1d(dim)
    neck.bias.requires_grad_(False)
    return neck


def classifier(dim: int, num_classes: int, std: float) -> nn.Linear:
    """(B, dim) -> (B, num_classes) without bias, drawn from N(0, std). Raises ValueError when num_classes < 1."""
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes: want an int >= 1, got {num_classes!r}")
    layer = nn.Linear(dim, num_classes, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


class Head(nn.Module):
    """(B, C, H, W) -> HeadOutput: pooling, reduction to `dim` (none when dim is None), BNNeck, classifier.

    metric_feature: which feature the metric loss sees, "after" or "before" the BNNeck (after the reduction).
        Bag of Tricks takes "before"; FastReID's MGN takes "after".
    classifier_std: spread of the starting weights; 0.001 in Bag of Tricks' code, 0.01 in FastReID's.
    The test feature is the one after the BNNeck. Features are float32 at least, also under autocast.
    Raises ValueError for an unknown metric_feature.
    """

    def __init__(self, channels: int, num_classes: int, *, dim: int | None = None, pooling: str = "gem",
                 metric_feature: str = "after", classifier_std: float = 0.01):
        super().__init__()
        if metric_feature not in ("after", "before"):
            raise ValueError(f"metric_feature: want 'after' or 'before', got {metric_feature!r}")
        self.metric_feature = metric_feature
        self.pool = pooling_layer(pooling)
        self.reduce = nn.Identity()
        if dim is not None:
            # MGN's 1×1 convolution: on a pooled vector that is a linear layer. Drawn as He et al. (2015), fan-in.
            self.reduce = nn.Linear(channels, dim, bias=False)
            nn.init.normal_(self.reduce.weight, std=math.sqrt(2 / channels))
        self.neck = bn_neck(dim or channels)
        self.classify = classifier(dim or channels, num_classes, classifier_std)

    def forward(self, x: Tensor) -> HeadOutput:
        before = self.reduce(self.pool(x))                                     # (B, D)
        before = before.to(torch.promote_types(before.dtype, torch.float32))
        after = self.neck(before)
        metric = after if self.metric_feature == "after" else before
        return HeadOutput(feature=after, metric=metric, logits=self.classify(after))
