"""Rankings of a run's features: expanded or not, plain or re-ranked, with or without VTRM, and their metrics."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor
from torch.nn.functional import normalize

from reidlib.augment import LATER
from reidlib.memory import fitting
from reidlib.retrieval import distance, expansion, metrics, rerank, vtrm

KEPT_GALLERIES = 6  # whose distances stay in memory: the five models of a fusion and one more

Reranking = tuple[int, int, float, str] | None  # k1, k2, lambda_value, variant
Expanding = tuple[int, float] | None  # k, alpha


@dataclass(frozen=True)
class Ranking:
    """How a gallery is ranked.

    rerank: k-reciprocal re-ranking with k1, k2, lambda_value (Zhong et al. 2017, their values), in the variant
    "published" or "fastreid".
    vtrm: the walk of report `vtrm` on those distances with window (None: Global), reference and aggregate.
    protocol: of the metrics.
    expansion: k >= 1 images, the image itself included, in the mean that average query expansion makes of every query's
    and every gallery image's unit feature before any distance is taken; 0 leaves the features as they are.
    expansion_alpha: >= 0, the power of its similarity by which an image weighs in that mean; 0 is the plain mean.

    Expansion, distances, re-ranking is FastReID's order (its k is 5 and its alpha 3, on features of the length they
    came with). The table of report `along` adds expansion to re-ranking, and says neither in which order the two are
    applied nor with which k.
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
    expansion: int = field(default=0, metadata=LATER)
    expansion_alpha: float = field(default=0.0, metadata=LATER)
    variant: str = field(default="published", metadata=LATER)

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"window: wants 1 or more images, or None for all of them, got {self.window}")
        if self.aggregate not in ("mean", "min"):
            raise ValueError(f"aggregate: wants 'mean' or 'min', got {self.aggregate!r}")
        if self.variant not in ("published", "fastreid"):
            raise ValueError(f"variant: wants 'published' or 'fastreid', got {self.variant!r}")
        k, alpha = self.expansion, self.expansion_alpha
        if isinstance(k, bool) or not isinstance(k, numbers.Integral) or k < 0:
            raise ValueError(f"expansion: wants a whole number of images, 0 for none, got {k!r}")
        if not isinstance(alpha, numbers.Real) or not 0 <= alpha < math.inf:
            raise ValueError(f"expansion_alpha: wants a finite number of at least 0, got {alpha!r}")


@dataclass(frozen=True, eq=False)
class Gallery:
    """Unit features and labels of a split's m queries and n gallery images."""

    query: Tensor  # (m, D)
    gallery: Tensor  # (n, D)
    query_labels: Mapping[str, Tensor]
    gallery_labels: Mapping[str, Tensor]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], query_frame: int = 0) -> Gallery:
        """From the tensors of a features file. Features are L2-normalised: FastReID's MGN is tested with cosine.

        query_frame: 0 keeps the split's own queries; else the frame nearest to it of each person is the query and all
        of that person's others, the first one too, are the gallery.
        """

        def labels(role: str) -> dict[str, Tensor]:
            return {name.removeprefix(f"{role}_"): x for name, x in tensors.items() if name.startswith(f"{role}_")}

        query, gallery = (normalize(tensors[role].float(), dim=1) for role in ("query", "gallery"))
        split = cls(query, gallery, labels("query"), labels("gallery"))
        return split._asked_from(query_frame) if query_frame else split

    def without_queries(self) -> Gallery:
        """The same without gallery tracklets that are queries, as if they were not there to be neighbours of any."""
        kept = ~torch.isin(self.gallery_labels["sequence"], self.query_labels["sequence"])
        rest = {name: x[kept] for name, x in self.gallery_labels.items()}
        return Gallery(self.query, self.gallery[kept], self.query_labels, rest)

    def _asked_from(self, query_frame: int) -> Gallery:
        last = int(self.gallery_labels["frame"].max())
        if not 0 <= query_frame <= last:
            raise ValueError(f"query_frame: wants 0 to {last}, got {query_frame}")
        features = torch.cat([self.query, self.gallery])
        both = {name: torch.cat([x, self.gallery_labels[name]]) for name, x in self.query_labels.items()}
        chosen = torch.zeros(len(features), dtype=torch.bool)
        for person in self.query_labels["person"]:
            frames = (both["person"] == person).nonzero()[:, 0]
            chosen[frames[(both["frame"][frames] - query_frame).abs().argmin()]] = True
        both["camera"] = (~chosen).long()  # queries 0, gallery 1, as the split has it
        asked, rest = ({name: x[part] for name, x in both.items()} for part in (chosen, ~chosen))
        return Gallery(features[chosen], features[~chosen], asked, rest)


def distances(gallery: Gallery, ranking: Ranking) -> tuple[Tensor, Tensor | None]:
    """Query-gallery (m, n) and, for the walk of VTRM alone, gallery-gallery (n, n) distances, else None.

    Plain (cosine) or re-ranked ones, of the features or, with expansion, of the expanded features.
    """
    reranking = (ranking.k1, ranking.k2, ranking.lambda_value, ranking.variant) if ranking.rerank else None
    expanding = (ranking.expansion, ranking.expansion_alpha) if ranking.expansion else None
    if ranking.vtrm:
        return _distances_of_all(gallery, reranking, expanding)
    return _distances_of_queries(gallery, reranking, expanding), None


@lru_cache(maxsize=KEPT_GALLERIES)
def _distances_of_all(gallery: Gallery, reranking: Reranking, expanding: Expanding) -> tuple[Tensor, Tensor]:
    with _fitting(gallery):
        query, images = _features(gallery, expanding)
        if reranking is None:
            return distance.cosine(query, images), distance.cosine(images, images)
        k1, k2, lambda_value, variant = reranking
        return rerank.k_reciprocal(query, images, k1, k2, lambda_value, rows="all", variant=variant)


@lru_cache(maxsize=KEPT_GALLERIES)
def _distances_of_queries(gallery: Gallery, reranking: Reranking, expanding: Expanding) -> Tensor:
    """The first of `_distances_of_all`, to the last bit, in a fraction of the memory."""
    with _fitting(gallery):
        query, images = _features(gallery, expanding)
        if reranking is None:
            return distance.cosine(query, images)
        k1, k2, lambda_value, variant = reranking
        return rerank.k_reciprocal(query, images, k1, k2, lambda_value, rows="query", variant=variant)


def _fitting(gallery: Gallery) -> AbstractContextManager[None]:
    what = f"a ranking of {len(gallery.query)} queries and {len(gallery.gallery)} gallery images"
    return fitting(what, "val_ids or test_ids (rankings with the walk hold all pairs of gallery images)")


def forget() -> None:
    """Drops the distances that are kept in memory, so that a timing does not find them there."""
    _distances_of_all.cache_clear()
    _distances_of_queries.cache_clear()


def plain_distances(gallery: Gallery, ranking: Ranking) -> tuple[Tensor, Tensor, Tensor]:
    """Query-gallery (m, n), query-query (m, m) and gallery-gallery (n, n) distances before any re-ranking."""
    query, images = _features(gallery, (ranking.expansion, ranking.expansion_alpha) if ranking.expansion else None)
    return distance.cosine(query, images), distance.cosine(query, query), distance.cosine(images, images)


def labels(gallery: Gallery) -> list[metrics.Labels]:
    """What the metrics ask of queries and gallery."""
    return [
        metrics.Labels(x["person"], camera=x["camera"], sequence=x["sequence"])
        for x in (gallery.query_labels, gallery.gallery_labels)
    ]


def _features(gallery: Gallery, expanding: Expanding) -> tuple[Tensor, Tensor]:
    """Unit features of queries (m, D) and gallery (n, D)."""
    if expanding is None:
        return gallery.query, gallery.gallery
    k, alpha = expanding
    return expansion.average_query_expansion(gallery.query, gallery.gallery, k=k, alpha=alpha)


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
    """The metrics of a gallery under a ranking, see `score_rankings`."""
    if ranking.protocol == "mars-9330":  # the metrics would leave the queries out, but re-ranking would look at them
        gallery = gallery.without_queries()
    by_distance = None if ranking.vtrm else distances(gallery, ranking)[0]
    return score_rankings(gallery, rank(gallery, ranking), protocol=ranking.protocol, by_distance=by_distance)


def score_rankings(
    gallery: Gallery, rankings: Tensor, *, protocol: str, by_distance: Tensor | None = None
) -> dict[str, Any]:
    """Metrics as JSON values; lists have one value a query, None where there is none.

    rankings: (m, n). by_distance: (m, n) what they are the order of, if anything; then ties count as the protocol says.
    Where queries are frames of one video (protocol "synergyreid"), kendall_tau: see `frame_order_tau`, and until_wrong,
    after_wrong, matches: see `contamination`. Elsewhere rank1, rank5, rank20: whether a right image, or tracklet, is
    among a query's first 1, 5 and 20; cmc20.
    visible: the visible fraction of the query, where the data know it.
    """
    if by_distance is None:
        evaluation = metrics.evaluate_rankings(rankings, *labels(gallery), protocol=protocol)
    else:
        evaluation = metrics.evaluate(by_distance, *labels(gallery), protocol=protocol)
    visible = gallery.query_labels.get("visible")
    cmc = np.asarray(evaluation.cmc)
    metrics_of_all = {
        "mAP": float(evaluation.mAP),
        "mINP": float(evaluation.mINP),
        "cmc1": float(cmc[0]),
        "cmc5": float(cmc[min(4, len(cmc) - 1)]),
    }
    metrics_of_all["average_precision"] = _or_none(evaluation.average_precision)
    if protocol == "synergyreid":
        metrics_of_all |= {"kendall_tau": frame_order_tau(rankings, gallery), **contamination(rankings, gallery)}
    else:
        first = evaluation.first_match
        metrics_of_all["cmc20"] = float(cmc[min(19, len(cmc) - 1)])
        for k in (1, 5, 20):
            metrics_of_all[f"rank{k}"] = _or_none(np.where(np.isnan(first), np.nan, first <= k))
    if visible is not None:
        metrics_of_all["visible"] = [round(x, 4) for x in visible.tolist()]
    return metrics_of_all


def _or_none(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in values]


AFTER = 10  # positions looked at after the first wrong image


def contamination(rankings: Tensor, gallery: Gallery) -> dict[str, list[int | None]]:
    """until_wrong: right images before a query's first wrong one; after_wrong: right ones among the next `AFTER`.

    after_wrong is None where fewer images than that follow, or where no true match is left to be found; matches: how
    many there are in all.
    """
    right = gallery.gallery_labels["person"][rankings] == gallery.query_labels["person"][:, None]  # (m, n)
    until = right.long().cumprod(dim=1).sum(dim=1)
    after: list[int | None] = []
    for row, first in zip(right, until.tolist(), strict=True):
        left = row[first + 1 :]
        after.append(int(left[:AFTER].sum()) if len(left) >= AFTER and left.any() else None)
    return {"until_wrong": until.tolist(), "after_wrong": after, "matches": right.sum(dim=1).tolist()}


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
