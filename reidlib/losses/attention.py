"""Attention loss: what temporal attention gives to the frames that a patch was erased from.

Shapes: B batch, T frames in a clip.
Source: Pathak, Eshratifar and Gormish, Video Person Re-ID: Fantastic Techniques and Where to Find Them (AAAI 2020),
section "Attention and CL loss", Eq. 1.
"""

import torch
from torch import Tensor

from reidlib.losses import _check


def attention_loss(scores: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Mean over clips of 1/T sum_t label(t) score(t): the penalty on attending to erased frames.

    scores: (B, T) floating point, finite, >= 0. The report's are the attention of a frame, its weight after the softmax
        over the clip; its code has those before the softmax, where nothing makes a clip's scores add up to 1.
    labels: (B, T) bool or integers, 1 for a frame with an erased patch and 0 for one without. The report labels every
        erased frame; its code erases twice and labels the second erasing alone.
    reduction: over the frames of a clip, "mean" (Eq. 1) or "sum" (the report's code: T times as much). Over clips it is
        the mean.
    Returns a scalar, computed in float32 at least, also under autocast.
    Raises ValueError for other shapes, types, values or options. On CUDA the labels' range is not looked at, because
        that would wait for the device at every call.
    """
    scores, labels = torch.as_tensor(scores), torch.as_tensor(labels)
    if scores.ndim != 2 or 0 in scores.shape or not scores.is_floating_point():
        raise ValueError(f"scores: want floating point (B, T), not empty, got {tuple(scores.shape)} {scores.dtype}")
    if labels.shape != scores.shape or labels.is_floating_point():
        raise ValueError(f"labels: scores {tuple(scores.shape)} want bool or integers of that shape, "
                         f"got {tuple(labels.shape)} {labels.dtype}")
    _check.label_range(labels, 2, "kinds of frame")
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction: want 'mean' or 'sum', got {reduction!r}")
    _check.finite(scores=scores)

    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    of_clips = (scores * labels).sum(dim=1).mean()
    return of_clips / scores.shape[1] if reduction == "mean" else of_clips
