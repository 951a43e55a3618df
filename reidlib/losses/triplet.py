"""Triplet loss with the triplets mined inside the batch.

Shapes: B batch, D feature, S shards, b = B / S images of a shard.
Source: Hermans et al., In Defense of the Triplet Loss (2017), for "batch hard" and the soft margin.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.losses import _check


def triplet_loss(features: Tensor, labels: Tensor, *, margin: float = 0.3, distance: str = "euclidean",
                 shards: int = 1, normalise: bool = False) -> Tensor:
    """Mean over anchors of max(0, d_positive - d_negative + margin), or of softplus(d_positive - d_negative).

    Batch hard: an anchor's positive is its farthest one, its negative the nearest.
    features: (B, D) floating point, finite; labels: (B,) integers.
    margin: >= 0, in units of the distance; 0 chooses the softplus form, the "soft margin" (as FastReID reads it).
    distance: "euclidean" or "squared" (Euclidean). FastReID's NORM_FEAT is "squared" with normalise=True: 2 - 2 cos.
        "cosine" is half of that, 1 - cos, of features normalised in any case: max(0, cos_negative - cos_positive +
        margin), with the lowest cosine to a positive and the highest to a negative.
    shards: the batch is cut into this many equal consecutive pieces and triplets do not cross them: 4 for one device
        that stands in for four, each of which mined among its own 32 images.
    normalise: scale the features to unit length first.
    Returns a scalar, computed in float32 at least, also under autocast; its gradient is finite, also between equal
        features (where it is 0). An anchor without a positive or without a negative in its shard is left out.
    Raises ValueError for other shapes, values or options, and when every anchor would be left out; within
        `reidlib.losses.without_waiting` the loss is NaN instead of the latter, on CUDA.
    """
    features, labels = _check.rows_and_labels(features, labels, "features", "(B, D)")
    if shards < 1 or len(features) % shards:
        raise ValueError(f"shards: want a divisor of the {len(features)} images, got {shards}")
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin: want a number >= 0, got {margin!r}")
    if distance not in ("euclidean", "squared", "cosine"):
        raise ValueError(f"distance: want 'euclidean', 'squared' or 'cosine', got {distance!r}")

    features = features.to(torch.promote_types(features.dtype, torch.float32))
    if normalise or distance == "cosine":
        features = F.normalize(features, dim=1)
    features = features.unflatten(0, (shards, -1))                             # (S, b, D)
    labels = labels.unflatten(0, (shards, -1))                                 # (S, b)
    # Not by matrix products: those lose the small distances, and autocast would do them in half precision.
    d = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")    # (S, b, b)
    if distance == "squared":
        d = d.square()
    elif distance == "cosine":
        d = d.square() / 2

    same = labels[:, :, None] == labels[:, None, :]                            # (S, b, b)
    itself = torch.eye(d.shape[1], dtype=torch.bool, device=d.device)
    positive, negative = same & ~itself, ~same
    usable = positive.any(dim=2) & negative.any(dim=2)                         # (S, b)
    _check.anchors(features, usable, f"{d.shape[1]} images of its shard")

    if _check.looks_at(d):
        d, positive, negative = d[usable], positive[usable], negative[usable]  # (anchors, b)
    d_positive = d.masked_fill(~positive, -math.inf).amax(dim=-1)              # (anchors,), or (S, b)
    d_negative = d.masked_fill(~negative, math.inf).amin(dim=-1)
    gap = d_positive - d_negative
    each = F.relu(gap + margin) if margin > 0 else F.softplus(gap)
    if _check.looks_at(d):
        return each.mean()
    return each.masked_fill(~usable, 0).sum() / usable.sum()                   # indexing would wait for the device
