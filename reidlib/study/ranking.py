"""Rankings of a run's features: plain or re-ranked distances, with or without VTRM, and their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import kendalltau
from torch import Tensor
from torch.nn.functional import normalize

from reidlib.retrieval import distance, metrics, rerank, vtrm


@dataclass(frozen=True)
class Ranking:
    """How a gallery is ranked.

    rerank: k-reciprocal re-ranking with k1, k2, lambda_value (Zhong et al. 2017, their values).
    vtrm: the walk of report `vtrm` on those distances with window (None: Global), reference and aggregate.
    protocol: of the metrics.
    """

    rerank: bool = False
    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3
    vtrm: bool = False
    window: int | None = 1
    reference: bool = False
    aggregate: str = "mean"
    protocol: str = "synergyreid"

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"window: wants 1 or more images, or None for all of them, got {self.window}")
        if self.aggregate not in ("mean", "min"):
            raise ValueError(f"aggregate: wants 'mean' or 'min', got {self.aggregate!r}")


@dataclass(frozen=True, eq=False)
class Gallery:
    """Unit features and labels of a split's m queries and n gallery images."""

    query: Tensor  # (m, D)
    gallery: Tensor  # (n, D)
    query_labels: Mapping[str, Tensor]
    gallery_labels: Mapping[str, Tensor]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Gallery:
        """From the tensors of a features file. Features are L2-normalised: FastReID's MGN is tested with cosine."""

        def labels(role: str) -> dict[str, Tensor]:
            return {name.removeprefix(f"{role}_"): x for name, x in tensors.items() if name.startswith(f"{role}_")}

        query, gallery = (normalize(tensors[role].float(), dim=1) for role in ("query", "gallery"))
        return cls(query, gallery, labels("query"), labels("gallery"))


def distances(gallery: Gallery, ranking: Ranking) -> tuple[Tensor, Tensor]:
    """Query-gallery (m, n) and gallery-gallery (n, n) distances, plain (cosine) or re-ranked."""
    return _distances(gallery, (ranking.k1, ranking.k2, ranking.lambda_value) if ranking.rerank else None)


@lru_cache(maxsize=2)
def _distances(gallery: Gallery, options: tuple[int, int, float] | None) -> tuple[Tensor, Tensor]:
    if options is None:
        return distance.cosine(gallery.query, gallery.gallery), distance.cosine(gallery.gallery, gallery.gallery)
    k1, k2, lambda_value = options
    return rerank.k_reciprocal(gallery.query, gallery.gallery, k1=k1, k2=k2, lambda_value=lambda_value, rows="all")


def rank(gallery: Gallery, ranking: Ranking) -> Tensor:
    """(m, n) int64: gallery indices, nearest first."""
    query_gallery, gallery_gallery = distances(gallery, ranking)
    if ranking.vtrm:
        return vtrm.mine(
            query_gallery,
            gallery_gallery,
            window=ranking.window,
            reference=ranking.reference,
            aggregate=ranking.aggregate,
        )
    return query_gallery.argsort(dim=1, stable=True)


def score(gallery: Gallery, ranking: Ranking) -> dict[str, Any]:
    """Metrics as JSON values; average_precision and kendall_tau have one value a query, None where there is none."""
    labels = [
        metrics.Labels(x["person"], camera=x["camera"], sequence=x["sequence"])
        for x in (gallery.query_labels, gallery.gallery_labels)
    ]
    rankings = rank(gallery, ranking)
    if ranking.vtrm:
        evaluation = metrics.evaluate_rankings(rankings, *labels, protocol=ranking.protocol)
    else:
        evaluation = metrics.evaluate(distances(gallery, ranking)[0], *labels, protocol=ranking.protocol)
    cmc = np.asarray(evaluation.cmc)
    metrics_of_all = {
        "mAP": float(evaluation.mAP),
        "mINP": float(evaluation.mINP),
        "cmc1": float(cmc[0]),
        "cmc5": float(cmc[min(4, len(cmc) - 1)]),
    }
    return metrics_of_all | {
        "average_precision": [None if np.isnan(x) else float(x) for x in evaluation.average_precision],
        "kendall_tau": frame_order_tau(rankings, gallery),
    }


def frame_order_tau(rankings: Tensor, gallery: Gallery) -> list[float | None]:
    """Kendall's tau between the order in which a query's true matches are ranked and their frame order.

    One value in [-1, 1] a query, over the matches of its own sequence; 1 is the video's own order. None where fewer
    than two of them have different frames.
    """
    person, sequence, frame = (gallery.gallery_labels[name] for name in ("person", "sequence", "frame"))
    taus: list[float | None] = []
    for i, row in enumerate(rankings):
        same = (person == gallery.query_labels["person"][i]) & (sequence == gallery.query_labels["sequence"][i])
        frames = frame[row[same[row]]].numpy()
        defined = len(np.unique(frames)) > 1
        taus.append(float(kendalltau(np.arange(len(frames)), frames).statistic) if defined else None)
    return taus
