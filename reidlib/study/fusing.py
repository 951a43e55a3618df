"""Fusing the rankings of several models: by vote, as report `vtrm` does, or by the sum of their distances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidlib.augment import LATER
from reidlib.checkpoint import save_tensors
from reidlib.retrieval import fusion as fusing
from reidlib.retrieval import rerank, vtrm
from reidlib.retrieval.metrics import evaluate
from reidlib.study.ranking import Gallery, Ranking, distances, labels, plain_distances, rank, score_rankings

RANKING = "ranking.safetensors"  # of a fused ranking, beside its record


@dataclass(frozen=True)
class Fusion:
    """How several models' rankings become one.

    ranking: of every member when they vote. When distances are summed, those of every member are expanded and
    re-ranked first, as the order of report `along`'s table suggests, and the walk comes after the sum.
    method: "vote", Algorithm 2 of report `vtrm`, or "sum", section 3.3 of report `along`, "the addition of the distance
    matrix of all prediction".
    The report leaves open, for the vote's ties (section 3.3 has "the closest distance to the original query"):
    ties_by: whether that is of the "reranked" or the "plain" distances; tied: which distance counts for an image that
    several models propose, "min" or "mean". Both reports leave open, scaled: whether a model's distances are divided by
    their mean before they are compared with another's or added to them; and of a sum, rerank_after: whether plain
    distances are added and their sum is re-ranked.
    curve: of a sum, also score the sums of this many random subsets of every size, to see what members are worth.
    """

    ranking: Ranking
    method: str = "vote"
    ties_by: str = "reranked"
    scaled: bool = False
    tied: str = "min"
    rerank_after: bool = field(default=False, metadata=LATER)
    curve: int = field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        for name, choices in (
            ("method", ("vote", "sum")),
            ("ties_by", ("reranked", "plain")),
            ("tied", ("min", "mean")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: wants one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if (self.rerank_after or self.curve) and (self.method != "sum" or self.ranking.vtrm):
            raise ValueError("rerank_after, curve: want method 'sum' without the walk")
        if self.rerank_after and self.ranking.variant != "published":
            raise ValueError("rerank_after: wants variant 'published', which takes distances of any kind")
        if self.rerank_after and self.scaled:
            raise ValueError("rerank_after: wants distances as they are, not scaled")


def rank_fused(galleries: Iterable[Gallery], fusion: Fusion) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(m, n) the fused ranking; the distances it is the order of, if it is; (K, m, n) the voters' rankings, if any.

    Each gallery is looked at once, so that one model's distances are in memory at a time.
    """
    if fusion.method == "sum":
        return *_rank_sum(galleries, fusion), None
    by = replace(fusion.ranking, rerank=fusion.ties_by == "reranked")
    rankings, near = [], []
    for gallery in galleries:
        rankings.append(rank(gallery, fusion.ranking))
        near.append(_scaled(distances(gallery, by)[0], fusion))
    voters = torch.stack(rankings)
    return fusing.vote(voters, torch.stack(near), tied=fusion.tied), None, voters


def _rank_sum(galleries: Iterable[Gallery], fusion: Fusion) -> tuple[Tensor, Tensor | None]:
    """As `reidlib.retrieval.fusion.sum_distances` adds, in float64, but member by member."""
    walk, totals = fusion.ranking, []
    for gallery in galleries:
        found = plain_distances(gallery, walk) if fusion.rerank_after else distances(gallery, walk)
        parts = [_scaled(d, fusion) for d in found if d is not None]
        totals = totals or [torch.zeros_like(part, dtype=torch.float64) for part in parts]
        for total, part in zip(totals, parts, strict=True):
            total += part
    between, *within = (total.float() for total in totals)
    if fusion.rerank_after:
        query_query, gallery_gallery = within
        between = rerank.k_reciprocal_from_distances(
            query_query, between, gallery_gallery, k1=walk.k1, k2=walk.k2, lambda_value=walk.lambda_value
        )
    if not walk.vtrm:
        return between.argsort(dim=1, stable=True), between
    return vtrm.mine(between, *within, window=walk.window, reference=walk.reference, aggregate=walk.aggregate), None


def _scaled(d: Tensor, fusion: Fusion) -> Tensor:
    return d / d.mean() if fusion.scaled else d


def score_fused(galleries: Iterable[Gallery], fusion: Fusion) -> tuple[dict[str, Any], Tensor]:
    """The metrics of the fused ranking, see `score_rankings`, and the ranking itself, (m, n)."""
    first: list[Gallery] = []
    galleries = list(galleries) if fusion.curve else galleries

    def seen() -> Iterable[Gallery]:
        for gallery in galleries:
            if first and not _same_images(first[0], gallery):
                raise ValueError("galleries: the models were not run on the same images in the same order")
            first.append(gallery) if not first else None
            yield gallery

    rankings, by_distance, members = rank_fused(seen(), fusion)
    metrics = score_rankings(first[0], rankings, protocol=fusion.ranking.protocol, by_distance=by_distance)
    if members is not None:
        metrics["votes"] = votes(members, rankings)
    if fusion.curve:
        metrics["curve"] = [[None if np.isnan(x) else x for x in row] for row in sum_curve(galleries, fusion).tolist()]
    return metrics, rankings


def save_ranking(path: Path, ranking: Tensor) -> None:
    """Writes a ranking (m, n) under the name "ranking", in 16 bits if these can number the gallery, else in 32."""
    save_tensors(path, {"ranking": ranking.to(torch.uint16 if ranking.shape[1] <= 1 << 16 else torch.int32)})


def sum_curve(galleries: Sequence[Gallery], fusion: Fusion) -> np.ndarray:
    """(K, m) average precision of every query by sums of 1 .. K members, the mean over `fusion.curve` random subsets.

    The subsets are the same for equal K. There is one of all K; a query without a match is NaN.
    """
    members = [_scaled(distances(gallery, fusion.ranking)[0], fusion) for gallery in galleries]
    rng, found = np.random.default_rng(0), []
    for size in range(1, len(members) + 1):
        draws = [rng.permutation(len(members))[:size] for _ in range(fusion.curve if size < len(members) else 1)]
        sums = (fusing.sum_distances(torch.stack([members[number] for number in sorted(draw)])) for draw in draws)
        scores = [
            evaluate(total, *labels(galleries[0]), protocol=fusion.ranking.protocol).average_precision for total in sums
        ]
        found.append(np.mean(scores, axis=0))
    return np.array(found)


def votes(members: Tensor, fused: Tensor, steps: int = 20) -> list[list[int]]:
    """How many queries' image was chosen with 1 .. K votes at each of the first steps.

    members: (K, m, n) the models' rankings; fused: (m, n). Returns `steps` lists of K counts.
    """
    counts = [[0] * len(members) for _ in range(min(steps, fused.shape[1]))]
    for i, chosen in enumerate(fused[:, :steps].tolist()):
        lines = [iter(line) for line in members[:, i].tolist()]
        proposed = [next(line) for line in lines]
        for step, image in enumerate(chosen):
            counts[step][proposed.count(image) - 1] += 1
            taken = set(chosen[: step + 1])
            for k, line in enumerate(lines):
                while proposed[k] in taken:
                    proposed[k] = next(line, None)
    return counts


def _same_images(a: Gallery, b: Gallery) -> bool:
    pairs = (a.query_labels, b.query_labels), (a.gallery_labels, b.gallery_labels)
    return all(torch.equal(x[name], y[name]) for x, y in pairs for name in ("person", "sequence", "frame"))
