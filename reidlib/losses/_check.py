"""What every loss asks of its arguments, in the same words."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_TRUSTED = ContextVar("trusted", default=False)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Within, values on CUDA are not looked at: that would wait for the device at every loss of every step.

    What is not finite then comes out as it went in; whoever asks for this looks at the loss, as training does.
    """
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def rows_and_labels(rows, labels, name: str, shape: str) -> tuple[Tensor, Tensor]:
    """Floating point rows, called name and of a shape such as "(B, D)", and as many integer labels, or ValueError."""
    rows, labels = torch.as_tensor(rows), torch.as_tensor(labels)
    if rows.ndim != 2 or 0 in rows.shape or not rows.is_floating_point():
        raise ValueError(f"{name}: want floating point {shape}, not empty, got {tuple(rows.shape)} {rows.dtype}")
    if labels.shape != rows.shape[:1] or labels.is_floating_point():
        raise ValueError(f"labels: {name} {tuple(rows.shape)} want integers of shape ({len(rows)},), "
                         f"got {tuple(labels.shape)} {labels.dtype}")
    return rows, labels


def class_vectors(vectors, features: Tensor, name: str) -> Tensor:
    """Floating point (K, D), called name, a row for each class, for features (B, D), or ValueError."""
    vectors = torch.as_tensor(vectors)
    if (vectors.ndim != 2 or len(vectors) == 0 or vectors.shape[1] != features.shape[1]
            or not vectors.is_floating_point()):
        raise ValueError(f"{name}: features {tuple(features.shape)} want floating point (K, {features.shape[1]}), "
                         f"got {tuple(vectors.shape)} {vectors.dtype}")
    return vectors


def looks_at(tensor: Tensor) -> bool:
    """Whether values are checked: everywhere but on CUDA in `without_waiting`."""
    return not (tensor.is_cuda and _TRUSTED.get())


def label_range(labels: Tensor, classes: int, what: str = "classes"):
    """ValueError unless labels lie in [0, classes), where values are looked at."""
    if looks_at(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels: want 0 to {classes - 1} for {classes} {what}, "
                         f"got {int(labels.min())} to {int(labels.max())}")


def finite(**tensors: Tensor):
    """ValueError naming the first of the tensors that holds NaN or infinity, where values are looked at."""
    for name, tensor in tensors.items():
        if looks_at(tensor) and not tensor.isfinite().all():
            raise ValueError(f"{name}: want finite numbers, got NaN or infinity")


def anchors(features: Tensor, usable: Tensor, among: str):
    """ValueError unless features are finite and any anchor is usable: has a positive and a negative among so many.

    Where values are looked at.
    """
    if not looks_at(features):
        return
    if not features.isfinite().all():
        raise ValueError("features: want finite numbers, got NaN or infinity")
    if not usable.any():
        raise ValueError(f"labels: no anchor has both a positive and a negative among the {among}; "
                         "sample several images of each of several persons")
