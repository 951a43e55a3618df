"""Distances between two sets of features. m rows of x, n rows of y, D feature size.

Both are computed in float64 and rounded once, to float32: the usual float32 |x|^2 + |y|^2 - 2xy loses half its digits
on near-duplicates (two frames of one shot are that), and follows whatever TF32 or bf16 setting training left behind.
"""

import torch
from torch import Tensor

from reidlib.memory import rows_at_once
from reidlib.retrieval import _check


def euclidean(x, y) -> Tensor:
    """Euclidean distance (not squared) between every row of x and every row of y.

    x: (m, D), y: (n, D), tensors on one device or numpy arrays; read as float32.
    Returns (m, n) float32 on that device, >= 0. Equal rows are at most 1e-7 of their norm apart.
    Raises ValueError for a wrong shape, NaN, infinity or no rows.
    """
    x, y = _check.features(x, y, ("x", "y"))
    x, y = x.double(), y.double()
    return _by_blocks(x, y, x.square().sum(1), y.square().sum(1), factor=-2.0, finish=torch.sqrt_)


def cosine(x, y) -> Tensor:
    """Cosine distance, 1 - cos, between every row of x and every row of y.

    x: (m, D), y: (n, D), tensors on one device or numpy arrays; read as float32.
    Returns (m, n) float32 on that device, in [0, 2].
    Raises ValueError for a wrong shape, NaN, infinity, no rows, or a row of zeros (it has no direction).
    """
    x, y = _check.features(x, y, ("x", "y"))
    x, y = directions(x, "x"), directions(y, "y")
    return _by_blocks(x, y, x.new_ones(len(x)), y.new_zeros(len(y)), factor=-1.0, finish=lambda d: d.clamp_(max=2.0))


def directions(x: Tensor, name: str) -> Tensor:
    """x (m, D) with rows of length 1, in float64."""
    x = x.double()
    length = x.norm(dim=1, keepdim=True)  # (m, 1); no float32 value underflows in float64
    if (length == 0).any():
        row = int((length[:, 0] == 0).nonzero()[0])
        raise ValueError(f"{name}: row {row} is all zeros and has no direction for a cosine")
    return x / length


def _by_blocks(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor, factor: float, finish) -> Tensor:
    """finish(max(0, of_x + of_y + factor * x.y)) in row blocks, (m, n) float32."""
    out = torch.empty(len(x), len(y), dtype=torch.float32, device=x.device)
    step = rows_at_once(8 * len(y))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        block = torch.addmm(of_y, x[rows], y.T, alpha=factor)  # (step, n)
        out[rows] = finish(block.add_(of_x[rows, None]).clamp_(min=0.0))
    return out
