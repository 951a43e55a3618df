"""Circle loss: between the images of a batch (pair form), or between images and classes (class form).

A cosine s_p to a positive is drawn towards O_p = 1 + m and counts from D_p = 1 - m on, a cosine s_n to a negative
towards O_n = -m, from D_n = m on; each is weighted by how far it still has to go, a_p = [O_p - s_p]+ and
a_n = [s_n - O_n]+, and no gradient flows through the weights. What the two have in common is the decision boundary
a_p (s_p - D_p) = a_n (s_n - D_n), the circle s_n^2 + (1 - s_p)^2 = 2 m^2: a smaller m asks for more.

Shapes: B batch, D feature, K classes.
Source: Sun et al., Circle Loss: A Unified Perspective of Pair Similarity Optimization (CVPR 2020), section 3.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.losses import _check
from reidlib.losses._directions import directions
from reidlib.losses.cross_entropy import cross_entropy


def circle_loss(features: Tensor, labels: Tensor, *, margin: float = 0.25, gamma: float = 128.0) -> Tensor:
    """Mean over anchors of softplus(logsumexp_n(gamma a_n (s_n - D_n)) + logsumexp_p(-gamma a_p (s_p - D_p))).

    The pair form: p runs over the anchor's positives in the batch, n over its negatives.
    features: (B, D) floating point, finite, of any length (cosines are taken); labels: (B,) integers.
    margin: m in [0, 1]. gamma: > 0, the scale. The defaults are the paper's and FastReID's for re-identification.
    Returns a scalar in float32 at least, computed in float64, also under autocast; its gradient is finite, also
        between equal features. A feature of zeros has cosine 0 to every other. An anchor without a positive or without
        a negative is left out.
    Raises ValueError for other shapes, values or options, and when every anchor would be left out.
    """
    features, labels = _check.rows_and_labels(features, labels, "features", "(B, D)")
    _check_options(margin, gamma)
    units = directions(features)
    s = units @ units.T                                                        # (B, B)
    same = labels[:, None] == labels[None, :]                                  # (B, B)
    positive, negative = same & ~torch.eye(len(s), dtype=torch.bool, device=s.device), ~same
    usable = positive.any(dim=1) & negative.any(dim=1)                         # (B,)
    _check.anchors(features, usable, f"{len(s)} images")

    s, positive, negative = s[usable], positive[usable], negative[usable]      # (anchors, B)
    of_positive, of_negative = gamma * _weighted_positive(s, margin), gamma * _weighted_negative(s, margin)
    loss = F.softplus(of_negative.masked_fill(~negative, -math.inf).logsumexp(dim=1)
                      + (-of_positive).masked_fill(~positive, -math.inf).logsumexp(dim=1)).mean()
    return loss.to(torch.promote_types(features.dtype, torch.float32))


def circle_softmax(features: Tensor, weight: Tensor, labels: Tensor, *, margin: float = 0.35, gamma: float = 64.0,
                   smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of `circle_logits` of the cosines between features and class weights: the class form.

    features: (B, D), weight: (K, D), a row for each class, both floating point, finite, of any length (cosines are
        taken); labels: (B,) integers in [0, K).
    margin: m in [0, 1]. gamma: > 0, the scale. The defaults are FastReID's for this form.
    smoothing: label smoothing ε in [0, 1), as `cross_entropy` means it by default.
    Returns a scalar in float32 at least, computed in float64, also under autocast; its gradient is finite.
    Raises ValueError for other shapes, values or options. On CUDA the labels' range is left to torch's own assertion.
    """
    features, labels = _check.rows_and_labels(features, labels, "features", "(B, D)")
    weight = _check.class_vectors(weight, features, "weight")
    _check_options(margin, gamma)
    _check.finite(features=features, weight=weight)
    logits = circle_logits(directions(features) @ directions(weight).T, labels, margin=margin, gamma=gamma)
    dtype = torch.promote_types(features.dtype, torch.float32)
    return cross_entropy(logits, labels, smoothing=smoothing).to(dtype)


def circle_logits(cosines: Tensor, labels: Tensor, *, margin: float = 0.35, gamma: float = 64.0) -> Tensor:
    """Cosines between images and classes -> logits whose cross-entropy is the class form of the circle loss.

    cosines: (B, K) floating point, in [-1, 1]; labels: (B,) integers in [0, K).
    margin: m in [0, 1]. gamma: > 0, the scale.
    Returns (B, K) in float32 at least: gamma a_p (s_p - D_p) for the image's own class, gamma a_n (s_n - D_n) for every
        other. Cosines in half precision are too coarse: they are off by up to 0.004, and gamma multiplies that.
    Raises ValueError for other shapes, types, labels or options. On CUDA the labels' range is not looked at, because
        that would wait for the device at every call; `cross_entropy` of the logits then fails on torch's own assertion.
    """
    cosines, labels = _check.rows_and_labels(cosines, labels, "cosines", "(B, K)")
    _check_options(margin, gamma)
    classes = cosines.shape[1]
    _check.label_range(labels, classes)
    s = cosines.to(torch.promote_types(cosines.dtype, torch.float32))
    own = labels[:, None] == torch.arange(classes, device=labels.device)       # (B, K)
    return gamma * torch.where(own, _weighted_positive(s, margin), _weighted_negative(s, margin))


def _weighted_positive(s: Tensor, margin: float) -> Tensor:
    """a_p (s_p - D_p)."""
    return (1 + margin - s.detach()).clamp(min=0) * (s - (1 - margin))


def _weighted_negative(s: Tensor, margin: float) -> Tensor:
    """a_n (s_n - D_n)."""
    return (s.detach() + margin).clamp(min=0) * (s - margin)


def _check_options(margin: float, gamma: float):
    if not 0 <= margin <= 1:
        raise ValueError(f"margin: want a number in [0, 1], got {margin!r}")
    if not 0 < gamma < math.inf:
        raise ValueError(f"gamma: want a number > 0, got {gamma!r}")
