"""How far the frames of a clip lie apart in the space of features, and a picture of it.

Report `ica`, Figure 3, shows a t-SNE of clips whose frames are augmented one by one, "separated and mixed with other
clips", and as one, "clustered". A t-SNE can show what is not there, so two numbers go with it.
Shapes: L clips, T frames in a clip, D feature.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

AS_IT_IS, ASYNCHRONOUS, SYNCHRONOUS = "plain", "asynchronous", "synchronous"
MODES = {AS_IT_IS: 0, ASYNCHRONOUS: 1, SYNCHRONOUS: 12}  # consecutive frames that share what is drawn; 0: nothing is


def ratio(features: Tensor) -> Tensor:
    """How far a clip's frames are from their mean, as a share of how far that is from the other clips' means.

    features: (L, T, D), L >= 2. Returns (L,) >= 0, mean distances both: 0 where a clip's frames are one point.
    """
    means = features.mean(dim=1)  # (L, D)
    within = (features - means[:, None]).norm(dim=2).mean(dim=1)
    between = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1) / (len(means) - 1)
    return within / between


def silhouette(features: Tensor) -> Tensor:
    """The mean silhouette of each clip's frames, every clip taken as a cluster: 1 well apart, below 0 mixed.

    features: (L, T, D), L and T >= 2. Returns (L,) in [-1, 1]. Source: Rousseeuw (1987).
    """
    count, frames, _ = features.shape
    points = features.flatten(0, 1)
    distance = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    to_clip = distance.unflatten(1, (count, frames)).sum(dim=2)  # (L T, L)
    own = torch.arange(count).repeat_interleave(frames)
    place = torch.arange(len(points))
    inside = to_clip[place, own] / (frames - 1)  # without the point itself
    other = to_clip / frames
    other[place, own] = torch.inf
    nearest = other.amin(dim=1)
    widest = torch.maximum(inside, nearest)
    score = torch.where(widest > 0, (nearest - inside) / widest, 0.0)
    return score.unflatten(0, (count, frames)).mean(dim=1)


def embed(features: Tensor, seed: int = 0) -> np.ndarray:
    """(L, T, 2) t-SNE of frame features (L, T, D), with scikit-learn's defaults but for exact gradients.

    Exact, because a few hundred points need no approximation, and its threads would make the picture another one.
    Raises ValueError for a seed that numpy does not take.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"tsne_seed: wants 0 to 4294967295, got {seed}")
    from sklearn.manifold import TSNE  # here: seconds to import, and of the book's requirements

    points = features.flatten(0, 1).float().numpy()
    perplexity = min(30.0, (len(points) - 1) / 3)
    placed = TSNE(perplexity=perplexity, method="exact", random_state=seed).fit_transform(points)
    return placed.reshape(*features.shape[:2], 2)
