"""Query expansion: every feature is averaged with those of its nearest images, before anything is ranked.

m queries, n gallery images, N = m + n with the queries first, D feature size, b rows of a block.
"""

import math
import numbers

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.memory import rows_at_once
from reidlib.retrieval import _check
from reidlib.retrieval._nearest import nearest
from reidlib.retrieval.distance import directions

_STEPS = 2.0**33  # to a similarity of 1: what is closer than 1e-10 is equal, or the product's rounding would break ties


def average_query_expansion(query, gallery, k: int = 5, alpha: float = 0.0, times: int = 1) -> tuple[Tensor, Tensor]:
    """Each feature, of queries and of gallery images, becomes the mean of its k nearest among both together.

    query: (m, D), gallery: (n, D), tensors on one device or numpy arrays; read as float32, scaled to unit length first.
    k: images in a mean, 1 to m + n: the image itself, always, and those of the highest cosine similarity to it; of
    equal ones the lower index, queries before the gallery. 1 only scales to unit length.
    alpha: >= 0. 0 is the plain mean; otherwise an image weighs its similarity to the power of alpha, and nothing when
    that is negative.
    times: >= 1, how often the whole is repeated, each time on the features of the time before.
    Returns (m, D) and (n, D) float32 of unit length, on that device. An image whose neighbours cancel out keeps its
    own direction. Memory beyond arguments and answer grows as N D, not N^2.
    Raises ValueError for a wrong shape, NaN, infinity, no rows, a row of zeros (it has no direction), or an option out
    of range.
    Source: Chum et al., Total Recall (ICCV 2007), for the plain mean of queries; Radenović et al., Fine-tuning CNN
    Image Retrieval (TPAMI 2019), for alpha. The gallery is expanded as well, as FastReID does, which however averages
    features of the length they came with.
    """
    query, gallery = _check.features(query, gallery, ("query", "gallery"))
    m, count = len(query), len(query) + len(gallery)
    if _check.at_least(k, 1, "k") > count:
        raise ValueError(f"k: wants at most the {count} images of query and gallery, got {k}")
    if not isinstance(alpha, numbers.Real) or not 0 <= alpha < math.inf:
        raise ValueError(f"alpha: wants a number of at least 0, got {alpha!r}")
    _check.at_least(times, 1, "times")
    # float64, which neither TF32 nor autocast touches
    x = torch.cat([directions(query, "query"), directions(gallery, "gallery")])  # (N, D)
    for _ in range(times):
        x = _expand(x, k, alpha)
    return x[:m].float(), x[m:].float()


def _expand(x: Tensor, k: int, alpha: float) -> Tensor:
    """The expanded features (N, D) of x (N, D), float64 rows of unit length as those of x."""
    out = torch.empty_like(x)
    step = rows_at_once(8 * len(x))
    for start in range(0, len(x), step):
        own = x[start : start + step]
        block = torch.mm(own, x.T).mul_(-_STEPS).round_()  # (b, N), smaller is nearer
        block.diagonal(start).fill_(-math.inf)  # itself before any duplicate
        index = torch.from_numpy(nearest(block.cpu().numpy(), k)).to(x.device).long()  # (b, k)
        weight = (block.gather(1, index) / -_STEPS).clamp(0, 1).pow(alpha)  # 0 to the power of 0 is 1
        total = F.embedding_bag(index, x, per_sample_weights=weight, mode="sum")  # (b, D); its length is yet to go
        length = total.norm(dim=1, keepdim=True)
        out[start : start + step] = torch.where(length > 1e-12, total / length, own)
    return out
