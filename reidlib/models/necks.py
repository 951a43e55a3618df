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

    logits: one (B, classes) per head, for the cross-entropy; cosines for circle_logits from a cosine classifier.
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


def classifier(dim: int, num_classes: int, std: float | None) -> nn.Linear:
    """(B, dim) -> (B, num_classes) without bias, drawn from N(0, std); None: as He et al. (2015), fan-in.

    Raises ValueError when num_classes < 1.
    """
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes: want an int >= 1, got {num_classes!r}")
    layer = nn.Linear(dim, num_classes, bias=False)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / dim) if std is None else std)
    return layer


def cosines(features: Tensor, weight: Tensor) -> Tensor:
    """Features (B, D) and class weights (K, D), of any length -> their cosines (B, K), in float32 at least.

    Computed in float64, which neither autocast nor TF32 touches. A row of zeros has cosine 0 to every other, and all
    gradients are finite.
    """
    wanted = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    return (_directions(features) @ _directions(weight).T).to(wanted)


def _directions(x: Tensor) -> Tensor:
    """Rows of length 1 in float64; a row of zeros stays one."""
    x = x.double()
    length = x.norm(dim=1, keepdim=True)
    return x / length.where(length > 0, 1.0)


class Head(nn.Module):
    """(B, C, H, W) -> HeadOutput: pooling, reduction to `dim` (none when dim is None), BNNeck, classifier.

    metric_feature: which feature the metric loss sees, "after" or "before" the BNNeck (after the reduction).
        Bag of Tricks takes "before"; FastReID's MGN takes "after".
    classifier_std: spread of the starting weights; 0.001 in Bag of Tricks' code, 0.01 in FastReID's. None: He et al.'s
        (2015, fan-in), report `stronger`'s "Kaiming initialization" (Section 3.1).
    dropout: chance in [0, 1) of each entry of the classifier's input to be 0 in training, the others scaled by
        1 / (1 - dropout). The test and the metric feature stay whole. Report `along` (Sections 2.2 and 3.1) takes 0.2
        and does not say where; before the classifier is where timm's networks have it.
    cosine: whether the logits are the cosines between the classifier's input and the class weights, for the class form
        of the circle loss (reidlib.losses.circle_logits), instead of their products. They are float32 at least, also
        under autocast. classifier_std changes none of them, but an optimiser turns shorter weights faster.
    The test feature is the one after the BNNeck. Features are float32 at least, also under autocast.
    Raises ValueError for an unknown metric_feature or a dropout out of its range.
    """

    def __init__(self, channels: int, num_classes: int, *, dim: int | None = None, pooling: str = "gem",
                 metric_feature: str = "after", classifier_std: float | None = 0.01, dropout: float = 0.0,
                 cosine: bool = False):
        super().__init__()
        if metric_feature not in ("after", "before"):
            raise ValueError(f"metric_feature: want 'after' or 'before', got {metric_feature!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: want a chance in [0, 1), got {dropout!r}")
        self.metric_feature = metric_feature
        self.cosine = cosine
        self.pool = pooling_layer(pooling)
        self.reduce = nn.Identity()
        if dim is not None:
            # MGN's 1×1 convolution: on a pooled vector that is a linear layer. Drawn as He et al. (2015), fan-in.
            self.reduce = nn.Linear(channels, dim, bias=False)
            nn.init.normal_(self.reduce.weight, std=math.sqrt(2 / channels))
        self.neck = bn_neck(dim or channels)
        self.dropout = nn.Dropout(dropout)
        self.classify = classifier(dim or channels, num_classes, classifier_std)

    def forward(self, x: Tensor) -> HeadOutput:
        before = self.reduce(self.pool(x))                                     # (B, D)
        before = before.to(torch.promote_types(before.dtype, torch.float32))
        after = self.neck(before)
        metric = after if self.metric_feature == "after" else before
        kept = self.dropout(after)
        logits = cosines(kept, self.classify.weight) if self.cosine else self.classify(kept)
        return HeadOutput(feature=after, metric=metric, logits=logits)
