"""Directions of rows, for losses on cosines."""

from torch import Tensor


def directions(x: Tensor) -> Tensor:
    """Rows of length 1 in float64, which neither autocast nor TF32 touches; rows below 1e-12, zeros among them, stay.

    That bounds the gradient, which grows as 1 / length, within what float32 can hold.
    """
    x = x.double()
    length = x.norm(dim=1, keepdim=True)
    return x / length.where(length > 1e-12, 1.0)
