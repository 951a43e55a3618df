"""Online soft mining (OSM) with class-aware attention (CAA): a contrastive loss that weighs pairs, and picks none out.

Two weights make up that of a pair. Soft mining counts near positives above far ones, and of the negatives those well
inside the margin; class-aware attention counts a pair as much as the less typical of its two images looks like its
class. With the classifier's weights for classes this is the OSM loss, with the centres of the center loss the report's
CL Centers OSM loss.

Shapes: B batch, D feature, K classes.
Source: Pathak, Eshratifar and Gormish, Video Person Re-ID: Fantastic Techniques and Where to Find Them (AAAI 2020),
section "Attention and CL loss", after Wang et al., Deep Metric Learning by Online Soft Mining and Class-Aware Attention
(AAAI 2019). The report prints no equation; what stands here is what its code computes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.losses import _check
from reidlib.losses._directions import directions


def osm_loss(features: Tensor, labels: Tensor, class_vectors: Tensor, *, sigma: float = 0.8, alpha: float = 1.2,
             weight: float = 0.5, temperature: float = 1.0) -> Tensor:
    """(1 - l) / 2 of the weighted mean of d^2 over positive pairs + l / 2 of that of [α - d]+^2 over negative pairs.

    d is the Euclidean distance of two features scaled to unit length, in [0, 2]. The weights are S A: S is
    exp(-d^2 / σ^2) for a positive pair and [α - d]+ for a negative one, A the smaller of its two images' attentions,
    an image's attention being the probability of its own class in the softmax over classes of cosine / temperature.
    Gradients flow through the weights too, and so into class_vectors; detach those to leave them where they are.
    features: (B, D) floating point, finite, of any length. The report's code passes them as the classifier sees them,
        after batch normalisation.
    labels: (B,) integers in [0, K).
    class_vectors: (K, D) floating point, finite, of any length: classifier weights or centres.
    sigma: σ > 0 and alpha: α > 0, in units of d. From α = 2 on every negative pair counts, however far.
    weight: l in [0, 1], of the negative half. The defaults of these three are the code's; for MARS it searches them out
        as 0.9048, 2.8437 and 0.5873.
    temperature: > 0, in units of the cosine. The code has none (1), and attentions hardly differ: by a factor of about
        e for two images whose cosines to their classes differ by 1. Wang et al. name a σ_CAA = 0.18, which the code
        leaves out; taken for the temperature, that factor is 259.
    Returns a scalar in float32 at least, computed in float64, also under autocast; its gradient is finite, also between
        equal features and at zeros (which have cosine 0 to everything). A half without a pair, or whose negatives all
        lie beyond α, is 0 and has no gradient: with one image a person, where the code gives NaN, the negative half is
        left, and with one person the positive half.
    Raises ValueError for other shapes, types, values, labels or options. On CUDA the labels' range is left to torch's
        own assertion.
    """
    features, labels = _check.rows_and_labels(features, labels, "features", "(B, D)")
    class_vectors = _check.class_vectors(class_vectors, features, "class_vectors")
    _check.label_range(labels, len(class_vectors))
    for name, value in (("sigma", sigma), ("alpha", alpha), ("temperature", temperature)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: want a number > 0, got {value!r}")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight: want a number in [0, 1], got {weight!r}")
    _check.finite(features=features, class_vectors=class_vectors)

    units = directions(features)
    attention = _log_attention(units, labels, class_vectors, temperature)[:, None]             # (B, 1)
    attention = torch.minimum(attention, attention.T)                          # (B, B)
    # Not by matrix products: those lose the small distances.
    d = torch.cdist(units, units, compute_mode="donot_use_mm_for_euclid_dist")
    inside = F.relu(alpha - d)                                                 # (B, B)

    same = labels[:, None] == labels[None, :]                                  # (B, B)
    positive = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    negative = ~same & (inside > 0)                                            # the others weigh 0: no logarithm
    of_positive = _weighted_mean(d.square(), attention - (d / sigma).square(), positive)
    of_negative = _weighted_mean(inside.square(), attention + inside.where(negative, 1.0).log(), negative)
    loss = (1 - weight) / 2 * of_positive + weight / 2 * of_negative
    return loss.to(torch.promote_types(torch.promote_types(features.dtype, class_vectors.dtype), torch.float32))


def class_aware_attention(features: Tensor, labels: Tensor, class_vectors: Tensor, *,
                          temperature: float = 1.0) -> Tensor:
    """An image's attention in `osm_loss`, which also says what the arguments are: (B,) float64 in (0, 1]."""
    features, labels = _check.rows_and_labels(features, labels, "features", "(B, D)")
    class_vectors = _check.class_vectors(class_vectors, features, "class_vectors")
    _check.label_range(labels, len(class_vectors))
    _check.finite(features=features, class_vectors=class_vectors)
    return _log_attention(directions(features), labels, class_vectors, temperature).exp()


def _log_attention(units: Tensor, labels: Tensor, class_vectors: Tensor, temperature: float) -> Tensor:
    """(B,) logarithms, of features of unit length."""
    cosines = units @ directions(class_vectors).T                             # (B, K)
    return (cosines / temperature).log_softmax(dim=1).gather(1, labels.long()[:, None])[:, 0]


def _weighted_mean(values: Tensor, log_weights: Tensor, pairs: Tensor) -> Tensor:
    """Mean of values (B, B) over the pairs (B, B) where True, weighted by exp(log_weights); 0 over no pairs.

    The weights' logarithms, because the weights themselves are all 0 for a small sigma, and 0 / 0 no mean.
    """
    # The lowest number in place of -inf: it comes to 0 beside any pair, and without pairs to a softmax that is no NaN.
    shares = log_weights.masked_fill(~pairs, torch.finfo(log_weights.dtype).min).flatten().softmax(dim=0)
    return shares @ values.masked_fill(~pairs, 0).flatten()
