"""What is minimised: classification over the heads and a metric loss over the metric features, in float32.

Shapes: B batch, K classes, D feature, T frames in a clip.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from reidlib.losses import (
    attention_loss,
    center_loss,
    circle_logits,
    circle_loss,
    cross_entropy,
    osm_loss,
    triplet_loss,
    without_waiting,
)
from reidlib.models import ClipHeads, Heads
from reidlib.optimisation import TrainingOptions


def autocast(device: torch.device, precision: str):
    """bf16 autocast on the device, or nothing for fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


@without_waiting()
def batch_loss(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    options: TrainingOptions,
    centers: Tensor | None = None,
    erased: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Mean classification loss over the heads, mean metric loss over the metric features, and the heads' logits.

    Both losses are float32 scalars. The metric loss is the triplet loss and, if asked for, the pair form of the circle
    loss and the center loss times its weight, to the (K, D) centers given. The OSM loss shares the place of the triplet
    loss; the attention loss, added to both, asks which frames are erased, (B, T) bool. The logits, one (B, K) a head,
    are those whose cross-entropy is the classification loss. The mean over heads (1/8 and 1/5 for MGN, 1/13 and 1/7
    with Part-4) is FastReID's rule (meta_arch/mgn.py).
    """
    with autocast(images.device, options.precision):
        heads = model(images)
    margin, gamma = options.circle_margin, options.circle_gamma
    logits = heads.logits
    if options.classification == "circle":
        logits = [circle_logits(cosines, labels, margin=margin, gamma=gamma) for cosines in logits]
    classification = torch.zeros((), device=images.device)
    if options.classification != "none":
        each = [cross_entropy(x, labels, smoothing=options.label_smoothing) for x in logits]
        classification = torch.stack(each).mean()
    if not images.is_cuda:  # where the losses do not look at values either, and let NaN through
        finite = [torch.isfinite(classification), *(torch.isfinite(x).all() for x in heads.metric_features)]
        if not torch.stack(finite).all():
            # the metric losses refuse such features
            return classification.new_tensor(torch.nan), classification, logits
    shards = images.shape[0] // options.triplet_shard if options.triplet_shard else 1
    metric = torch.stack([triplet_of(x, labels, options, shards) for x in heads.metric_features]).mean()
    if options.osm != "none":
        soft = [osm_of(x, labels, heads, options, centers) for x in heads.metric_features]
        metric = (1 - options.osm_share) * metric + options.osm_share * torch.stack(soft).mean()
    if options.pairs == "circle":
        pairs = [circle_loss(x, labels, margin=margin, gamma=gamma) for x in heads.metric_features]
        metric = metric + torch.stack(pairs).mean()
    if centers is not None:
        near = [center_loss(x, labels, centers) for x in heads.metric_features]
        metric = metric + options.center_weight * torch.stack(near).mean()
    if options.attention_weight:
        metric = metric + options.attention_weight * attention_of(heads, options, erased)
    return classification, metric, logits


def triplet_of(features: Tensor, labels: Tensor, options: TrainingOptions, shards: int = 1) -> Tensor:
    """The triplet loss that the options ask for: see `reidlib.losses.triplet_loss`."""
    return triplet_loss(
        features,
        labels,
        margin=options.triplet_margin,
        distance=options.triplet_distance,
        normalise=options.triplet_normalise,
        shards=shards,
    )


def osm_of(
    features: Tensor, labels: Tensor, heads: ClipHeads, options: TrainingOptions, centers: Tensor | None
) -> Tensor:
    """The OSM loss that the options ask for, with the classifier's weights or the centers (K, D) for classes."""
    return osm_loss(
        features,
        labels,
        centers if options.osm == "centers" else heads.class_vectors,
        sigma=options.osm_sigma,
        alpha=options.osm_alpha,
        weight=options.osm_negatives,
        temperature=options.osm_temperature,
    )


def attention_of(heads: Heads | ClipHeads, options: TrainingOptions, erased: Tensor | None) -> Tensor:
    """The attention loss that the options ask for, of erased (B, T) bool.

    Raises ValueError without them, and for a model without temporal attention.
    """
    if erased is None or not isinstance(heads, ClipHeads):
        raise ValueError("attention_weight: the attention loss wants clips and a model with temporal 'attention'")
    scores = heads.scores if options.attention_scores == "score" else heads.weights
    return attention_loss(scores, erased, reduction=options.attention_reduction)


@torch.no_grad()
def losses_of_images(logits: list[Tensor], labels: Tensor, options: TrainingOptions) -> Tensor:
    """(B,) each image's own classification loss, the mean over the heads."""
    each = [cross_entropy(x, labels, smoothing=options.label_smoothing, reduction="none") for x in logits]
    return torch.stack(each).mean(dim=0)
