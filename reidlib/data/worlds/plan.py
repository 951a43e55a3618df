"""Which images a world holds, without rendering any: split, role, labels, shot and frame of every file."""

import math

import numpy as np
import pandas as pd

from reidlib.data.worlds.spec import PERSON_OFFSET, SPLITS, CourtsideSpec

_SPLIT_CODE = {split: code for code, split in enumerate(SPLITS)}
_FOLDER = {"train": "reid_training", "query": "query", "gallery": "gallery"}
# The last entry of a seed sequence says what the numbers are for.
GAME, SHOT, PERSON, DETECTOR, KEEP, SHARE, SWAP, BACKDROP = range(8)


def generator(spec, split, purpose, *index):
    """Random numbers for one purpose of one split: PCG64 seeded by (seed, split, purpose, index...)."""
    sequence = np.random.SeedSequence([spec.seed, _SPLIT_CODE[split], purpose, *index])
    return np.random.Generator(np.random.PCG64(sequence))


def place(spec: CourtsideSpec, split: str, person: int) -> tuple[int, int]:
    """Shot and slot (0 .. people_per_shot-1) of a person (the label in file names).

    Raises ValueError when there is no such split or person.
    """
    ids = spec.ids(split)
    first = PERSON_OFFSET[split]
    index = int(person) - first
    if not 0 <= index < ids:
        raise ValueError(f"person: {split} holds {first} to {first + ids - 1}, got {person}")
    return divmod(index, spec.people_per_shot)


def frames_kept(spec: CourtsideSpec, split: str) -> list[np.ndarray]:
    """Frames of every identity of split, as a list of sorted int arrays.

    Frame 0 (the query) is always kept. Without imbalance, the (identity, frame) pairs with the largest random keys are
    left out until the exact total is reached; a key depends on its own identity and frame only, and two frames of every
    identity are safe. With imbalance, identities get log-normal shares of the total, first frames first.
    """
    ids, total = spec.ids(split), spec.images(split)
    if split == "train" and spec.identity_imbalance > 0:
        return [np.arange(count) for count in _shares(spec, ids, total)]
    frames = spec.frames_per_sequence
    if ids == 0:
        return []
    keys = np.stack([generator(spec, split, KEEP, i).random(frames) for i in range(ids)])     # (ids, frames)
    keys[:, 0] = -1.0
    second = np.argmin(keys[:, 1:], axis=1) + 1
    keys[np.arange(ids), second] = -1.0
    kept = np.zeros(ids * frames, bool)
    kept[np.argsort(keys.ravel(), kind="stable")[:total]] = True
    return [np.flatnonzero(row) for row in kept.reshape(ids, frames)]


def _shares(spec, ids, total):
    """Images per training identity (ids,), summing to total, each between 2 and the longest sequence."""
    normal = np.array([generator(spec, "train", SHARE, i).standard_normal() for i in range(ids)])
    weight = np.exp(spec.identity_imbalance * normal)
    low, high = 2, spec.longest_sequence("train")
    scale_low, scale_high = 0.0, high / weight.min()
    for _ in range(200):                                      # bisect the scale of the clipped shares
        scale = (scale_low + scale_high) / 2
        if np.floor(np.clip(scale * weight, low, high)).sum() > total:
            scale_high = scale
        else:
            scale_low = scale
    real = np.clip(scale_low * weight, low, high)
    count = np.floor(real).astype(int)
    remainder = np.where(count < high, real - count, -1.0)
    for i in np.argsort(-remainder, kind="stable")[: total - count.sum()]:
        count[i] += 1
    return count


def plan(spec: CourtsideSpec) -> pd.DataFrame:
    """Table of all images of a world, one row each, sorted by split (train, val, test), role, person, frame.

    Columns: path (str, relative to the world's root), split, role ("train", "query", "gallery"), person (label in the
    file name), true_person (who is shown), shot, slot (of the true person within the shot), frame.
    """
    rows = []
    for split in SPLITS:
        for index, frames in enumerate(frames_kept(spec, split)):
            shot, slot = divmod(index, spec.people_per_shot)
            for frame in frames:
                role = "train" if split == "train" else "query" if frame == 0 else "gallery"
                rows.append((split, role, PERSON_OFFSET[split] + index, shot, slot, int(frame)))
    table = pd.DataFrame(rows, columns=["split", "role", "true_person", "shot", "slot", "frame"])
    table.insert(2, "person", _labels(spec, table))
    columns = (table.split, table.role, table.person, table.shot, table.frame)
    table.insert(0, "path", [_path(*row) for row in zip(*columns)])
    order = table.split.map(_SPLIT_CODE) * 2 + (table.role == "gallery")
    table = table.assign(order=order).sort_values(["order", "person", "frame"])
    return table.drop(columns="order").reset_index(drop=True)


def _path(split, role, person, shot, frame):
    folder = _FOLDER["train"] if split == "train" else f"reid_{split}/{_FOLDER[role]}"
    return f"data_reid/{folder}/{person:04d}_{shot:04d}_{frame:02d}.jpeg"


def _labels(spec, table):
    """Label of every image: the true person or, for the noisy share of train, a partner of the same shot and frame."""
    label = table.true_person.to_numpy().copy()
    train = table.index[table.split == "train"]
    wanted = math.floor(spec.label_noise * len(train) / 2 + 0.5)           # pairs of images that swap labels
    if wanted == 0:
        return label
    pairs = []
    for (shot, frame), group in table.loc[train].groupby(["shot", "frame"], sort=True):
        random = generator(spec, "train", SWAP, int(shot), int(frame))
        members = random.permutation(group.index.to_numpy())
        for first, second in zip(members[0::2], members[1::2]):
            pairs.append((random.random(), first, second))
    for _, first, second in sorted(pairs)[:wanted]:
        label[first], label[second] = label[second], label[first]
    return label
