"""Report `stronger`'s argument measured on a model in training: which samples are hardest, where gradients pull.

Nothing here changes the model, and nothing is drawn that training draws from.

Shapes: B batch, D feature.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from reidlib.losses import cross_entropy
from reidlib.objective import triplet_of
from reidlib.optimisation import TrainingOptions


def hardest_differ(features: Tensor, labels: Tensor) -> tuple[float, float]:
    """Shares of anchors whose hardest positive, and hardest negative, differ between Euclidean and cosine distance.

    features: (B, D); labels: (B,), several images of each of several persons. The hardest positive is the farthest
    image of the anchor's person, the hardest negative the nearest of another: what batch-hard triplets are made of.
    Section 1 of the report, its first inconsistency (Figure 2a).
    """
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    found = []
    for x in (features.double(), normalize(features.double(), dim=1)):
        d = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")  # on unit vectors the order of the cosines
        positive = d.masked_fill(~same | itself, -torch.inf).argmax(dim=1)
        negative = d.masked_fill(same, torch.inf).argmin(dim=1)
        found.append((positive, negative))
    (positive, negative), (positive_by_cosine, negative_by_cosine) = found
    shares = (positive != positive_by_cosine).double().mean(), (negative != negative_by_cosine).double().mean()
    return shares[0].item(), shares[1].item()


def gradient_cosine(head: nn.Module, before: Tensor, labels: Tensor, options: TrainingOptions) -> float:
    """The mean cosine between the gradients of cross-entropy and triplet loss at the pooled feature, over images.

    head: a `Head` in train mode; before: (B, D) its pooled features, which both losses share. Images on which the
    triplet loss has no gradient are left out; NaN when all are. Section 1 of the report, its second inconsistency: -1
    is a conflict, 0 none, 1 agreement.
    """
    shared = before.detach().requires_grad_()
    after = head.neck(shared)
    metric = after if head.metric_feature == "after" else shared
    classification = cross_entropy(head.classify(after), labels, smoothing=options.label_smoothing)
    losses = classification, triplet_of(metric, labels, options)
    pulls = [torch.autograd.grad(loss, shared, retain_graph=True)[0] for loss in losses]
    active = pulls[1].norm(dim=1) > 0
    return cosine_similarity(pulls[0][active], pulls[1][active], dim=1).mean().item() if active.any() else math.nan


def probe(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], options: TrainingOptions
) -> dict[str, list[float | None]]:
    """All measurements of a baseline in training, one value a batch of (normalised images, labels), None for none.

    Keys: hardest_positive_before, hardest_negative_before, and the same _after the BNNeck; gradient_cosine.
    """
    model = copy.deepcopy(model).train()  # batch statistics as in training; the model's own running ones stay
    rows = []
    for images, labels in batches:
        with torch.no_grad():
            before = model.head.reduce(model.head.pool(model.backbone(images))).float()
            after = model.head.neck(before)
        differ = *hardest_differ(before, labels), *hardest_differ(after, labels)
        rows.append((*differ, gradient_cosine(model.head, before, labels, options)))
    names = [f"hardest_{kind}_{place}" for place in ("before", "after") for kind in ("positive", "negative")]
    values = ([None if math.isnan(x) else x for x in column] for column in zip(*rows, strict=True))
    return dict(zip([*names, "gradient_cosine"], values, strict=True))
