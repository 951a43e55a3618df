"""Who is seen by which camera, how often, under which label, and which frames of it an image data set takes."""

import math

import numpy as np
import pandas as pd

from reidlib.data.worlds.crosswalk.draws import JUNK, OTHER, SIGHTS, SWAP, generator
from reidlib.data.worlds.crosswalk.spec import AGAIN, CrosswalkSpec

_NOBODY = 0.3                               # share of distractors that show no person
# Labels are 1, 3, 5, ... in train and 2, 4, 6, ... in test: they survive a change of size, and with Market-1501's sizes
# they fill its range, 1 to 1501.
_FIRST = {"train": 1, "test": 2}


def label(split: str, index: int) -> int:
    """Label of the index-th person of a split."""
    return _FIRST[split] + 2 * index


def find(spec: CrosswalkSpec, split: str, person: int) -> int:
    """Index of the person with a label. Raises ValueError when the split has no such person."""
    index, wrong = divmod(int(person) - _FIRST[split], 2)
    if wrong or not 0 <= index < spec.ids(split):
        labels = f"{label(split, 0)}, {label(split, 1)}, ..., {label(split, spec.ids(split) - 1)}"
        raise ValueError(f"person: {split} holds {labels if spec.ids(split) else 'nobody'}, got {person}")
    return index


def times_seen(spec: CrosswalkSpec, split: str) -> np.ndarray:
    """How often each camera sees each person of a split: (ids, cameras) int, 0..most_tracklets.

    At least two cameras see a person. The pairs of a person and a camera with the smallest random keys are taken until
    there are spec.sights(split) of them; some people have small keys everywhere and are seen by all cameras.
    """
    ids = spec.ids(split)
    keys, times = np.zeros((ids, spec.cameras)), np.zeros((ids, spec.cameras), int)
    for index in range(ids):
        random = generator(spec, SIGHTS, split, index)
        key = random.random(spec.cameras)
        first = np.argsort(key)[:2]
        keys[index] = key + random.random()
        keys[index, first] = -1.0
        times[index] = (random.random((spec.cameras, 1)) < AGAIN[spec.layout]).sum(axis=1)
    seen = np.zeros(keys.size, bool)
    seen[np.argsort(keys.ravel(), kind="stable")[: spec.sights(split)]] = True
    return np.where(seen.reshape(keys.shape), times, 0)


def tracklets(spec: CrosswalkSpec, split: str) -> pd.DataFrame:
    """Every tracklet of a split, one row each, sorted: person (label), camera (from 1), tracklet (from 0).

    Each has the frames 0 .. frames_per_tracklet - 1 of render_image; layouts of whole tracklets take a first part.
    """
    times = times_seen(spec, split)
    index, camera, tracklet = np.nonzero(np.arange(spec.most_tracklets) < times[:, :, None])
    return pd.DataFrame({"person": label(split, index), "camera": camera + 1, "tracklet": tracklet})


def _keys(spec, split, purpose, times):
    """A random key for every frame, exponential with mean 1, infinite where there is none, and a standard normal number
    for every person: (ids, cameras, most_tracklets, frames), (ids,)."""
    keys = np.full((*times.shape, spec.most_tracklets, spec.frames_per_tracklet), np.inf)
    normal = np.zeros(len(times))
    for index in range(len(times)):
        random = generator(spec, purpose, split, index, 1)
        normal[index] = random.standard_normal()
        keys[index] = random.exponential(size=keys.shape[1:])
    keys[np.arange(spec.most_tracklets) >= times[:, :, None]] = np.inf
    return keys, normal


def _rows(split, keys, chosen, **more):
    index, camera, tracklet, frame = np.unravel_index(chosen, keys.shape)
    return pd.DataFrame({"true_person": label(split, index), "camera": camera + 1, "tracklet": tracklet, "frame": frame}
                        | more)


def images(spec: CrosswalkSpec, split: str) -> pd.DataFrame:
    """The frames that Market-1501's layout takes of a split: true_person, camera, tracklet, frame, role.

    Of every person and camera the frame with the smallest random key is kept, in test as the query, and the next one is
    kept in the gallery; then the frames with the smallest keys of all until the total is reached. Imbalance divides a
    training identity's keys by its log-normal weight.
    """
    times = times_seen(spec, split)
    keys, normal = _keys(spec, split, SIGHTS, times)
    if split == "train":
        keys /= np.exp(spec.identity_imbalance * normal)[:, None, None, None]
    flat = keys.reshape(len(times), spec.cameras, -1)
    order = np.argsort(flat, axis=2, kind="stable")
    pairs = np.nonzero(times)
    base = np.ravel_multi_index(pairs, times.shape) * flat.shape[2]
    first, second = base + order[*pairs, 0], base + order[*pairs, 1]
    everything = keys.ravel().copy()
    everything[first] = -1.0
    if split == "train":
        chosen = np.argsort(everything, kind="stable")[: spec.images("train_images")]
        return _rows(split, keys, chosen, role="train")
    everything[first], everything[second] = np.inf, -1.0
    chosen = np.argsort(everything, kind="stable")[: spec.images("gallery_images")]
    return pd.concat([_rows(split, keys, first, role="query"), _rows(split, keys, chosen, role="gallery")])


def junk(spec: CrosswalkSpec) -> pd.DataFrame:
    """Frames of the test with a bad detection, whether or not they have a good one: true_person, camera, tracklet,
    frame."""
    keys, _ = _keys(spec, "test", JUNK, times_seen(spec, "test"))
    return _rows("test", keys, np.argsort(keys.ravel(), kind="stable")[: spec.images("junk")])


def distractors(spec: CrosswalkSpec) -> pd.DataFrame:
    """People of nobody's list, and places where nobody is: pool ("other"), member, kind, camera, tracklet, frame."""
    rows = []
    for member in range(spec.images("distractors")):
        random = generator(spec, OTHER, member)
        kind = "nobody" if random.random() < _NOBODY else "person"
        camera, frame = random.integers(spec.cameras) + 1, random.integers(spec.frames_per_tracklet)
        rows.append(("other", member, kind, int(camera), 0, int(frame)))
    return pd.DataFrame(rows, columns=["pool", "member", "kind", "camera", "tracklet", "frame"])


def labels(spec: CrosswalkSpec, train: pd.DataFrame) -> np.ndarray:
    """Label of every row of the training: the true person or, for the noisy share, a partner's of the same frame.

    train: true_person, camera, tracklet, frame. Rows of two people with the same of the last three swap labels.
    """
    labels = train["true_person"].to_numpy().copy()
    wanted = math.floor(spec.label_noise * len(train) / 2 + 0.5)           # pairs of rows that swap labels
    if wanted == 0:
        return labels
    pairs = []
    ordered = train.assign(position=np.arange(len(train))).sort_values("true_person")
    for numbers, group in ordered.groupby(["camera", "tracklet", "frame"], sort=True):
        random = generator(spec, SWAP, *numbers)
        members = random.permutation(group["position"].to_numpy())
        pairs += [(random.random(), first, second) for first, second in zip(members[0::2], members[1::2])]
    for _, first, second in sorted(pairs)[:wanted]:
        labels[first], labels[second] = labels[second], labels[first]
    return labels
