"""The noise audit of report `along`, section 2.1 and Figure 1: does a high training loss find the occluded images?

A first model scores every training image: by its training loss (the report's choice), or by what the trained model
says of it. A world knows how much of each person can be seen, so what a score finds can be counted there. Intervals
are over seeds and persons, not images: who is occluded in one frame is so in the next, and a few persons have most of
the occluded images.

Shapes: S seeds, E epochs, N training images, R resamples, P persons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from reidlib.curation import DELETED, HARD, Curation, decide
from reidlib.study.guesses import HIDDEN
from reidlib.study.statistics import Difference, bootstrap
from reidlib.study.tables import markdown

FULLY_HIDDEN = 0.3  # an image of whose person less than this can be seen counts as fully occluded
RESAMPLES = 1_000
UNDEFINED = Difference(np.nan, np.nan, np.nan)


class Target(NamedTuple):
    """What is to be found: images of which a share less than `below` is visible, by `decisions`."""

    name: str
    below: float
    decisions: tuple[str, ...]


FULLY = Target("fully occluded", FULLY_HIDDEN, (DELETED,))
FULLY_OR_PARTLY = Target("fully or partly occluded", HIDDEN, (DELETED, HARD))


@dataclass(frozen=True)
class Found:
    """How well a score finds a target, each in percent with a 95 % interval over persons and seeds.

    precision, recall: of the target's decisions, if the images of the highest scores are decided on. average_precision,
    auroc: of the order of all images; equal scores stand on one rank.
    """

    precision: Difference
    recall: Difference
    average_precision: Difference
    auroc: Difference


def audit_table(rows: pd.DataFrame, losses: ArrayLike, decisions: ArrayLike) -> pd.DataFrame:
    """One line an image, the highest loss first: image (its number in rows), its labels, loss, decision, visible.

    rows: N training images, with any of path, person, sequence, frame, and visible, the share of the person that can be
    seen.
    losses, decisions: (N,), as `mean_losses` and `decide` give them; of equal losses the later image comes first, as
    there. Raises ValueError for other shapes.
    """
    losses, decisions = np.asarray(losses, dtype=float), np.asarray(decisions, dtype=object)
    for name, values in (("losses", losses), ("decisions", decisions)):
        if values.shape != (len(rows),):
            raise ValueError(f"{name}: want one for each of the {len(rows)} rows, got shape {values.shape}")
    order = np.argsort(losses, kind="stable")[::-1]
    labels = ["path", "person", "sequence", "frame"]
    known = [name for name in (*labels, "visible") if name in rows]
    table = rows[known].reset_index(drop=True).assign(image=np.arange(len(rows)), loss=losses, decision=decisions)
    columns = ["image", *labels, "loss", "decision", "visible"]
    return table.iloc[order][[name for name in columns if name in table]].reset_index(drop=True)


def suspicions(losses: ArrayLike, own: ArrayLike, highest: ArrayLike) -> dict[str, np.ndarray]:
    """The scores to compare, the higher the more suspicious: the report's first.

    losses: (S, N) mean training losses. own, highest: (S, N) probabilities of the trained model without augmentation,
    of the image's own label and of the likeliest identity; the last asks for no label.
    """
    return {
        "training loss": np.asarray(losses, dtype=float),
        "1 − probability of the label": 1 - np.asarray(own, dtype=float),
        "1 − highest probability": 1 - np.asarray(highest, dtype=float),
    }


def finds(scores: ArrayLike, rows: pd.DataFrame, curation: Curation, target: Target, *, seed: int = 0) -> Found:
    """How well scores (S, N), the higher the more suspicious, find the target; decided on as `curation` has it.

    rows: the N training rows of a world, with visible and person. All is NaN where there is nothing to find; what else
    is not defined (precision where nothing is decided on, AUROC where all images are to be found) is NaN too.
    Raises ValueError for other shapes or scores that are not finite.
    """
    scores, occluded, persons = _checked(scores, rows, target)
    if not occluded.any():
        return Found(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED)
    chosen = np.stack([np.isin(decide(row, curation), target.decisions) for row in scores])  # (S, N)
    counts = (chosen & occluded, chosen, np.broadcast_to(occluded, chosen.shape))
    right, decided, wanted = ([np.bincount(persons, row) for row in count] for count in counts)  # (S, P)
    precision, recall = (
        bootstrap(lambda mean: 100 * mean[:, 0] / mean[:, 1], sums, resamples=RESAMPLES, seed=seed)
        for sums in ((right, decided), (right, wanted))
    )
    found, resampled = _order_quality(scores, occluded, persons, seed)
    return Found(precision, recall, *(_interval(found[i], resampled[:, i]) for i in range(2)))


def advantage(a: ArrayLike, b: ArrayLike, rows: pd.DataFrame, target: Target, *, seed: int = 0) -> Difference:
    """By how many points the average precision of scores a lies above that of b, (S, N) each, persons and seeds paired.

    rows, NaN and errors as for `finds`.
    """
    (a, occluded, persons), (b, _, _) = _checked(a, rows, target), _checked(b, rows, target)
    if a.shape != b.shape:
        raise ValueError(f"a, b: want the same shape (seeds, images), got {a.shape} and {b.shape}")
    (found_a, resampled_a), (found_b, resampled_b) = (_order_quality(x, occluded, persons, seed) for x in (a, b))
    return _interval(found_a[0] - found_b[0], resampled_a[:, 0] - resampled_b[:, 0])


def by_chance(visible: ArrayLike, curation: Curation, target: Target) -> Found:
    """What to expect of a random order of these images, in closed form and so without an interval.

    Precision is the target's share of the images, recall the share decided on. Average precision is above the former,
    for one image to be found may stand first by chance: (H + (N - H) (P - 1) / (N - 1)) / N with P of N images to be
    found and H = 1 + 1/2 + ... + 1/N, the expectation of the mean of hits / rank at the hits.
    """
    occluded = np.asarray(visible, dtype=float) < target.below
    count, hits = len(occluded), int(occluded.sum())
    if not hits:
        return Found(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED)
    chosen = np.isin(decide(np.arange(count), curation), target.decisions).mean()
    harmonic = (1 / np.arange(1, count + 1)).sum()
    average_precision = (harmonic + (count - harmonic) * (hits - 1) / max(count - 1, 1)) / count
    values = (hits / count if chosen else np.nan, chosen, average_precision, 0.5 if hits < count else np.nan)
    return Found(*(Difference(value, value, value) for value in (100 * float(value) for value in values)))


def by_epoch(losses: ArrayLike, visible: ArrayLike, target: Target = FULLY) -> pd.DataFrame:
    """When a run's loss finds the target best: average precision (percent) of each epoch's loss.

    losses: (E, N), NaN where an image was not drawn; such images are left out. Returns the columns epoch (1 .. E),
    "one epoch" (its losses alone) and "up to there" (each image's mean over the epochs so far), NaN where none of the
    images drawn is to be found. Raises ValueError for other shapes.
    """
    losses, occluded = np.asarray(losses, dtype=float), np.asarray(visible, dtype=float) < target.below
    if losses.ndim != 2 or losses.shape[1:] != occluded.shape:
        raise ValueError(f"losses: want shape (epochs, {occluded.size} images), got {losses.shape}")
    drawn = ~np.isnan(losses)
    with np.errstate(invalid="ignore"):
        mean = np.nancumsum(losses, axis=0) / drawn.cumsum(axis=0)  # 0 / 0, not drawn yet, is NaN
    columns = {"one epoch": losses, "up to there": mean}
    found = {name: [_single(row, occluded) for row in values] for name, values in columns.items()}
    return pd.DataFrame({"epoch": np.arange(1, len(losses) + 1)} | found)


def found_table(found: Mapping[str, Found], caption: str, name: str) -> str:
    """A MyST table: a score a line, what it finds in percent."""
    header = ["score", "precision", "recall", "average precision", "AUROC"]
    rows = [
        [score, *(level(value) for value in (f.precision, f.recall, f.average_precision, f.auroc))]
        for score, f in found.items()
    ]
    return markdown(caption, name, header, rows)


def level(value: Difference) -> str:
    """ "43.2 [38.1, 48.0]"; without an interval where there is none, a dash where the value is not defined."""
    if np.isnan(value.mean):
        return "–"
    interval = f" [{value.low:.1f}, {value.high:.1f}]" if value.low < value.high else ""
    return f"{value.mean:.1f}{interval}"


def _checked(scores: ArrayLike, rows: pd.DataFrame, target: Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (S, N), which images are to be found (N,), and their persons (N,), numbered from 0."""
    scores, visible = np.asarray(scores, dtype=float), rows["visible"].to_numpy(dtype=float)
    if scores.ndim != 2 or scores.shape[1] != len(rows) or scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError(f"scores: want finite numbers of shape (seeds, {len(rows)} images), got {scores.shape}")
    if not ((visible >= 0) & (visible <= 1)).all():
        raise ValueError("rows: visible wants shares in [0, 1]")
    return scores, visible < target.below, rows["person"].factorize()[0]


def _order_quality(
    scores: np.ndarray, occluded: np.ndarray, persons: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(2,) average precision and AUROC in percent, the mean over seeds, and (R, 2) of resampled seeds and persons.

    The statistics are no means over images, so `statistics.bootstrap` does not do: each resample draws seeds and
    persons with replacement, crossed, and computes them anew. The same draws for all scores of the same images.
    """
    seeds, people = len(scores), persons.max() + 1
    rng = np.random.default_rng(seed)
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds  # (R, S)
    drawn = rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES).astype(np.int32)  # (R, P)
    times = np.ascontiguousarray(drawn.T)[persons]  # (N, R)
    found = np.mean([_weighted(row, occluded, np.ones_like(times[:, :1])) for row in scores], axis=(0, 1))
    resampled = np.stack([_weighted(row, occluded, times) for row in scores])  # (S, R, 2)
    return found, np.einsum("rs,srv->rv", seed_weights, resampled)


def _weighted(scores: np.ndarray, occluded: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Average precision and AUROC, percent, of scores (N,) with each image taken times (N, R) over -> (R, 2).

    Images of equal scores stand on one rank: precision is counted at its end, and a pair on it is half in order.
    Average precision: the mean over the images to be found of the precision at their rank. AUROC: the share of pairs
    of an image to be found and another in which the former stands higher. NaN where there is no such image or pair.
    """
    order = np.argsort(-scores, kind="stable")
    ranks = np.unique(-scores[occluded])  # those with an image to be found, the highest score first
    above, to = (np.searchsorted(-scores[order], ranks, side=side) for side in ("left", "right"))
    ordered = times[order]
    drawn, hits = (
        np.concatenate([np.zeros_like(x[:1]), x.cumsum(axis=0, dtype=x.dtype)])  # (N + 1, R), of the first n images
        for x in (ordered, ordered * occluded[order, None])
    )
    misses = drawn - hits
    new_hits = hits[to] - hits[above]
    precision = new_hits * (hits[to] / np.maximum(drawn[to], 1))
    in_order = new_hits * (misses[-1] - (misses[above] + misses[to]) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        average_precision = precision.sum(axis=0) / hits[-1]
        auroc = in_order.sum(axis=0) / (hits[-1] * misses[-1].astype(float))
    return 100 * np.stack((average_precision, auroc), axis=1)


def _single(scores: np.ndarray, occluded: np.ndarray) -> float:
    """Average precision in percent, over the images that have a score; NaN where none is to be found among them."""
    there = np.isfinite(scores)
    if not occluded[there].any():
        return np.nan
    return float(_weighted(scores[there], occluded[there], np.ones((there.sum(), 1), dtype=np.int64))[0, 0])


def _interval(found: float, resampled: np.ndarray) -> Difference:
    """The value with the 2.5 and 97.5 percentiles of those resamples in which it is defined."""
    if not np.isfinite(found):
        return UNDEFINED
    return Difference(float(found), *map(float, np.percentile(resampled[np.isfinite(resampled)], (2.5, 97.5))))
