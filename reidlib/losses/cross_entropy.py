"""Cross-entropy with label smoothing, by both definitions that re-identification code uses.

Shapes: B batch, K classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.losses import _check


def cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float = 0.1, target: str = "fastreid",
                  reduction: str = "mean") -> Tensor:
    """Mean cross-entropy between softmax(logits) and smoothed labels.

    logits: (B, K); labels: (B,) integers in [0, K).
    smoothing: ε in [0, 1); 0 is the plain cross-entropy.
    target: what ε means. "fastreid" gives the true class 1 - ε and every other ε / (K - 1); "torch" (Szegedy et al.,
        CVPR 2016, also Bag of Tricks) gives the true class 1 - ε + ε / K and every other ε / K. With "fastreid" the
        true class may not fall below the others: ε <= 1 - 1 / K. One class cannot be smoothed: its loss is 0.
    reduction: "mean" over the batch, or "none".
    Returns a scalar, or (B,) for reduction "none", computed in float32 at least, also under autocast.
    Raises ValueError for other shapes, types, labels or options. On CUDA the labels' range is left to torch's own
        assertion, because looking at it here would wait for the device at every call.
    """
    logits, labels = _check.rows_and_labels(logits, labels, "logits", "(B, K)")
    classes = logits.shape[1]
    _check.label_range(labels, classes)
    if target not in ("fastreid", "torch"):
        raise ValueError(f"target: want 'fastreid' or 'torch', got {target!r}")
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction: want 'mean' or 'none', got {reduction!r}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing: want a number in [0, 1), got {smoothing!r}")
    if target == "fastreid" and classes > 1:
        smoothing = smoothing * classes / (classes - 1)    # the same target in torch's terms
        if smoothing > 1:
            raise ValueError(f"smoothing: want at most 1 - 1/K for {classes} classes and target 'fastreid'")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits, labels.long(), label_smoothing=smoothing, reduction=reduction)
