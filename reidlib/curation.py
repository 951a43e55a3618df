"""Which training images to delete, to repeat and to augment harder, by how hard a first model found them.

Report `along`, section 2.1, "Noise Resist and Hard Sample Mining" and "Imbalance Identities Resist": images of high
training loss are occluded ones. Fully occluded ones carry the label of somebody who cannot be seen and are deleted;
partly occluded ones are kept, repeated and augmented harder; identities with few images get augmented copies. The
report gives neither thresholds nor counts: they are fields here.

Shapes: E epochs, N training images, M entries of the curated set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DELETED, HARD, KEPT = "deleted", "hard", "kept"


@dataclass(frozen=True)
class Curation:
    """What is done with the images of the highest loss.

    measure: what an image's loss is: "loss", the first model's; or, to see what that is worth, "visible", how little of
    the person is visible, which a world knows, or "random".
    since: an image's loss is its mean over the epochs from this share of the training on.
    delete: share of all images, those of the highest loss, that is deleted as fully occluded.
    hard: share that comes next and is taken as partly occluded; hard_copies: how often each of them is repeated.
    balance_to: identities with fewer images than this get copies, each image up to balance_copies of them (0: none).
    Hard images, their repetitions and the copies are augmented harder, if the recipe has a harder augmentation.
    Raises ValueError for a value out of its range.
    """

    measure: str = "loss"
    since: float = 0.5
    delete: float = 0.0
    hard: float = 0.0
    hard_copies: int = 0
    balance_to: int = 20  # "less than 20 images in IDs such as ID31 and ID164"
    balance_copies: int = 0  # the report: "copy few images up to 5 times"

    def __post_init__(self) -> None:
        if self.measure not in ("loss", "visible", "random"):
            raise ValueError(f"measure: wants one of loss, visible, random, got {self.measure!r}")
        for name in ("since", "delete", "hard"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: wants a share in [0, 1), got {getattr(self, name)!r}")
        if self.delete + self.hard > 1:
            raise ValueError(f"delete, hard: want at most 1 together, got {self.delete} + {self.hard}")
        for name in ("hard_copies", "balance_to", "balance_copies"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}: wants an int >= 0, got {value!r}")


class Curated(NamedTuple):
    """index: (M,) int64, the image of each entry; harder: (M,) bool, whether it is augmented harder."""

    index: np.ndarray
    harder: np.ndarray


def mean_losses(losses: ArrayLike, since: float) -> np.ndarray:
    """Each image's mean loss over the late epochs: (E, N), NaN where an image was not drawn -> (N,).

    since: in [0, 1); the mean is over the epochs from round(since E) on (0-based; at least the last one) in which the
    image was drawn. An image that was not drawn in any of them has its mean over all epochs.
    Raises ValueError for other shapes, for since out of its range and for images that were never drawn.
    """
    losses = np.asarray(losses, dtype=float)
    if losses.ndim != 2 or losses.size == 0:
        raise ValueError(f"losses: want shape (epochs, images), got {losses.shape}")
    if not 0 <= since < 1:
        raise ValueError(f"since: wants a share in [0, 1), got {since!r}")
    never = np.isnan(losses).all(axis=0)
    if never.any():
        raise ValueError(f"losses: want one or more of every image, {never.sum()} of {len(never)} were never drawn")
    late = losses[min(round(since * len(losses)), len(losses) - 1) :]
    times, times_late = (~np.isnan(losses)).sum(axis=0), (~np.isnan(late)).sum(axis=0)
    everywhere = np.nansum(losses, axis=0) / times
    return np.where(times_late > 0, np.nansum(late, axis=0) / np.maximum(times_late, 1), everywhere)


def decide(losses: ArrayLike, curation: Curation) -> np.ndarray:
    """The decision on each image: (N,) losses -> (N,) of "deleted", "hard" or "kept".

    The round(delete N) images of the highest loss are deleted, the next round(hard N) are hard; of equal losses the
    later image counts as the higher one. Raises ValueError for losses that are not finite or not (N,).
    """
    losses = np.asarray(losses, dtype=float)
    if losses.ndim != 1 or losses.size == 0 or not np.isfinite(losses).all():
        raise ValueError(f"losses: want finite numbers of shape (N,), got {losses.shape}")
    order = np.argsort(losses, kind="stable")[::-1]  # the highest first
    deleted, hard = round(curation.delete * len(losses)), round(curation.hard * len(losses))
    decisions = np.full(len(losses), KEPT, dtype=object)
    decisions[order[:deleted]] = DELETED
    decisions[order[deleted : deleted + hard]] = HARD
    return decisions


def curate(labels: ArrayLike, decisions: ArrayLike, curation: Curation) -> Curated:
    """The curated training set: labels (N,) and decisions (N,) -> its entries, an identity after the other.

    An identity that would lose all but one image keeps the two of the fewest doubts (kept before hard before deleted,
    first images first): a triplet wants two. Raises ValueError for other shapes.
    """
    labels, decisions = np.asarray(labels), np.asarray(decisions, dtype=object)
    if labels.ndim != 1 or labels.shape != decisions.shape:
        raise ValueError(f"decisions: wants one for each of the {labels.shape} labels, got {decisions.shape}")
    decisions = _two_each(labels, decisions)
    index, harder = [], []
    for label in np.unique(labels):
        images = np.flatnonzero((labels == label) & (decisions != DELETED))
        copies = np.where(decisions[images] == HARD, 1 + curation.hard_copies, 1)
        entries = np.repeat(images, copies)
        wanted = curation.balance_to - len(entries)
        extra = np.resize(images, max(0, min(wanted, curation.balance_copies * len(images))))
        index += [entries, extra]
        harder += [decisions[entries] == HARD, np.ones(len(extra), bool)]
    return Curated(np.concatenate(index).astype(np.int64), np.concatenate(harder).astype(bool))


def _two_each(labels: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    decisions = decisions.copy()
    doubt = np.array([(KEPT, HARD, DELETED).index(decision) for decision in decisions])
    for label in np.unique(labels[decisions == DELETED]):
        images = np.flatnonzero(labels == label)
        safest = images[np.argsort(doubt[images], kind="stable")[:2]]
        decisions[safest[decisions[safest] == DELETED]] = KEPT
    return decisions
