"""Center loss: draws every feature towards the centre of its class.

Shapes: B batch, D feature, K classes.
Source: Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition (ECCV 2016), section 3.2.
"""

import torch
from torch import Tensor

from reidlib.losses import _check


def center_loss(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Mean over the batch of the squared Euclidean distance between a feature and the centre of its class.

    features: (B, D) floating point, finite; labels: (B,) integers in [0, K).
    centers: (K, D) floating point, finite: a parameter, learned by the gradient of this loss with an optimiser of its
        own (Bag of Tricks: SGD, learning rate 0.5, on the loss before its weight, 5e-4, is applied).
    Scaled as the code of Bag of Tricks (Luo et al., CVPR Workshops 2019) has it, so that its weight carries over; Wen
    et al. have half the sum instead of the mean. That code also adds (K - 1) 1e-12, which comes from clamping the
    masked zeros of the other classes and has no gradient; it is left out here.
    Returns a scalar, computed in float32 at least, also under autocast; 0 and no gradient where they coincide.
    Raises ValueError for other shapes, types, values or labels. On CUDA the labels' range is left to torch's own
        assertion.
    """
    features, labels = _check.rows_and_labels(features, labels, "features", "(B, D)")
    centers = _check.class_vectors(centers, features, "centers")
    _check.label_range(labels, len(centers), "centers")
    _check.finite(features=features, centers=centers)

    dtype = torch.promote_types(torch.promote_types(features.dtype, centers.dtype), torch.float32)
    # The differences themselves, not |x|^2 + |c|^2 - 2xc: that loses the small distances, and is a product to autocast.
    difference = features.to(dtype) - centers[labels.long()].to(dtype)         # (B, D)
    return difference.square().sum(dim=1).mean()
