"""Every image's nearest images and largest distance, one block of rows of the N x N distances at a time.

m queries, n gallery images, N = m + n with the queries first, D feature size.
"""

from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from reidlib.memory import rows_at_once
from reidlib.retrieval._nearest import nearest, nearest_features


def neighbours_of_features(x: Tensor, m: int, plain: list[np.ndarray], depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest images (N, depth) and largest distance (N,) of every row of x (N, D); fills plain with the rows it wants.

    Inner products are taken from the mean, for a common offset would only cost digits.
    """
    count, size = x.shape
    features = x.cpu().numpy()
    x = x - x.mean(dim=0)
    norms = x.double().square().sum(1).float().cpu().numpy()
    slack = (size + 16) * 2.0**-24  # worst case of a float32 sum of `size` products, and of subtracting the mean
    rank, largest = np.empty((count, depth), np.int32), np.empty(count, np.float32)
    step = min(count, rows_at_once(8 * count))  # float32, and float64 on a GPU
    if x.is_cuda:
        x = x.double()  # cheap there, and TF32 settings do not touch it
    room = x.new_empty(step, count)  # one block after the other, in the same memory
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        with _full_precision(x.device):
            block = torch.mm(x[rows], x.T, out=room[: rows.stop - start]).float().cpu().numpy()
        rank[rows], largest[rows] = nearest_features(block, norms, features, start, depth, slack)
        for part, first in zip(plain, (0, m), strict=False):
            low, high = max(rows.start, first), min(rows.stop, first + len(part))
            if low < high:
                part[low - first : high - first] = block[low - start : high - start, m:]
    return rank, largest


@contextmanager
def _full_precision(device: torch.device):
    """Float32 products in float32 on the CPU: no autocast, and no oneDNN, which training may have set to bf16."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.mkldnn.enabled = before


def neighbours_of_distances(query_query, query_gallery, gallery_gallery, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest images (N, depth) and largest distance (N,), from rows put together one block at a time."""
    m, n = query_gallery.shape
    rank, largest = [], []
    step = rows_at_once(8 * (m + n))
    for left, right in ((query_query, query_gallery), (query_gallery.T, gallery_gallery)):
        for start in range(0, len(right), step):
            block = np.concatenate([left[start : start + step], right[start : start + step]], axis=1)
            rank.append(nearest(block, depth))
            largest.append(block.max(axis=1))
    return np.concatenate(rank), np.concatenate(largest)
