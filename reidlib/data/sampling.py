"""Batches of P persons with K images each.

The rule is that of FastReID's NaiveIdentitySampler: a pass draws P of the persons that still have K unused images,
and K of their images without reuse; a person with fewer than K images has one turn a pass and is drawn with
replacement; when fewer than P persons are left, the next pass begins. Unlike FastReID's endless sampler, every epoch
starts a pass of its own, so that an epoch's batches depend on (seed, epoch) alone.

Clips are drawn by another rule, `clip_batches`: an epoch shows every person once, whatever the number of tracklets.

Shapes: N images, P persons, K images or clips per person, M tracklets, T frames in a clip.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def iterations_per_epoch(images_in_all: int, persons: int, images: int) -> int:
    """Batches of one epoch: N // (P K), and at least one."""
    return max(1, images_in_all // (persons * images))


def pk_batches(
    labels: Tensor | np.ndarray, persons: int, images: int, generator: np.random.Generator
) -> Iterator[Tensor]:
    """The batches of one epoch, drawn from the generator.

    labels: (N,) integers. persons: P >= 1. images: K >= 1. Yields N // (P K) index tensors (at least one), (P K,)
    int64, the K images of a person side by side.
    Raises ValueError when the labels are no vector of integers or have fewer than P persons.
    """
    members = _members(labels, persons, images)
    missing = iterations_per_epoch(len(labels), persons, images)
    while missing:
        turns = [_turns(indices, images, generator) for indices in members]
        while missing:
            ready = [person for person, left in enumerate(turns) if left]
            if len(ready) < persons:
                break
            chosen = generator.choice(ready, size=persons, replace=False)
            yield torch.from_numpy(np.concatenate([turns[person].pop() for person in chosen]))
            missing -= 1


def epoch_batches(labels: Tensor | np.ndarray, persons: int, images: int, seed: int, epoch: int) -> Tensor:
    """All batches of one epoch, (iterations, P K) int64: a pure function of its arguments.

    labels: (N,) integers. seed, epoch: integers >= 0. A resumed run therefore needs no sampler state.
    Raises ValueError as pk_batches does, and for a negative seed or epoch.
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if value < 0:
            raise ValueError(f"{name}: wants 0 or more, got {value}")
    return torch.stack(list(pk_batches(labels, persons, images, np.random.default_rng([seed, epoch]))))


def clip_batches(
    labels: Tensor | np.ndarray,
    tracklets: Tensor | np.ndarray,
    persons: int,
    clips: int,
    frames: int,
    *,
    spread: bool,
    seed: int,
    epoch: int,
) -> Tensor:
    """All batches of one epoch, (iterations, P K, T) int64 indices of images: a pure function of its arguments.

    labels, tracklets: (N,) integers, who an image shows and which tracklet it belongs to, whose frames stand in their
    order. Every person is drawn once an epoch, P at a time; those left over sit it out. A person's K clips come from K
    different tracklets while there are as many; where there are fewer, every one gives a clip before any gives another.
    spread: False, T consecutive frames from a place drawn uniformly, a tracklet shorter than T being looped; True, one
    frame from each of T equal parts of the tracklet. The readings of reports `ica` ("8 consecutive clips") and
    `attention` ("four frames selected randomly"); neither says what an epoch is.
    Raises ValueError as pk_batches and epoch_batches do, for T < 1, and where not every label has a tracklet.
    """
    for name, value, least in (("seed", seed, 0), ("epoch", epoch, 0), ("frames", frames, 1)):
        if value < least:
            raise ValueError(f"{name}: wants {least} or more, got {value}")
    labels, tracklets = np.asarray(labels), np.asarray(tracklets)
    of_person = _members(labels, persons, clips)
    if labels.shape != tracklets.shape:
        raise ValueError(f"tracklets: want one for each of the {len(labels)} labels, got shape {tracklets.shape}")
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(of_person))
    batches = []
    for start in range(0, len(order) - persons + 1, persons):
        batch = []
        for person in order[start : start + persons]:
            own = of_person[person]
            parts = [own[tracklets[own] == tracklet] for tracklet in np.unique(tracklets[own])]
            rounds = [generator.permutation(len(parts)) for _ in range(-(-clips // len(parts)))]
            batch += [_clip(parts[part], frames, spread, generator) for part in np.concatenate(rounds)[:clips]]
        batches.append(np.stack(batch))
    return torch.from_numpy(np.stack(batches))


def _clip(tracklet: np.ndarray, frames: int, spread: bool, generator: np.random.Generator) -> np.ndarray:
    """(T,) of a tracklet's images, in their order."""
    length = len(tracklet)
    if spread:
        edges = np.arange(frames + 1) * length / frames
        places = np.floor(edges[:-1] + generator.random(frames) * np.diff(edges)).astype(int)
    else:
        places = generator.integers(max(1, length - frames + 1)) + np.arange(frames)
    return tracklet[np.minimum(places, length - 1) if spread else places % length]


def every_clip(length: int, frames: int) -> np.ndarray:
    """(clips, T) places in a tracklet of some length, for testing: one after the other, what is left over looped.

    Gao and Nevatia's "dense" test. Raises ValueError for a length or T below 1.
    """
    if length < 1 or frames < 1:
        raise ValueError(f"length, frames: want 1 or more, got {length} and {frames}")
    rest = length % frames
    whole = np.arange(length - rest).reshape(-1, frames)
    return np.vstack([whole, length - rest + np.arange(frames) % rest]) if rest else whole


def _members(labels: Tensor | np.ndarray, persons: int, images: int) -> list[np.ndarray]:
    """The indices of each person's images."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels: wants (N,) integers, N >= 1, got {labels.dtype} of shape {labels.shape}")
    for name, value in (("persons", persons), ("images", images)):
        if value < 1:
            raise ValueError(f"{name}: wants 1 or more, got {value}")
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    members = np.split(order, starts[1:])
    if len(members) < persons:
        raise ValueError(
            f"persons: a batch wants {persons} of them, and the labels have {len(members)}; "
            f"lower persons to {len(members)} or less, or add training identities"
        )
    return members


def _turns(indices: np.ndarray, images: int, generator: np.random.Generator) -> list[np.ndarray]:
    """One person's turns in a pass: K images each, without reuse; what is left over sits the pass out."""
    if len(indices) < images:
        return [generator.choice(indices, size=images, replace=True)]
    shuffled = generator.permutation(indices)
    return [shuffled[start : start + images] for start in range(0, len(indices) - images + 1, images)]
