"""Which whole tracklets a world holds in the layouts of MARS, iLIDS-VID and PRID 2011, and the names of its frames."""

import numpy as np
import pandas as pd

from reidlib.data.worlds.crosswalk.draws import JUNK, LENGTH, LS_SET, generator
from reidlib.data.worlds.crosswalk.sights import distractors, labels, tracklets
from reidlib.data.worlds.crosswalk.spec import SPLITS, CrosswalkSpec

ROWS = 10                                   # of splits, as published for iLIDS-VID and PRID 2011


def plan_mars(spec: CrosswalkSpec) -> pd.DataFrame:
    """The plan's table in the layout of MARS: one row for every frame, by tracklets, frames in the order of time.

    The first tracklet of every test person and camera is the query. Junk are tracklets of bad detections, distractors
    of other people or of nobody.
    """
    train, test = _seen(spec, "train"), _seen(spec, "test")
    keys = [generator(spec, JUNK, "test", *which).random() for which in _which(test)]
    bad = test.iloc[np.sort(np.argsort(keys, kind="stable")[: spec.images("junk")])]
    nobody = distractors(spec).assign(true_person=0)
    table = pd.concat([
        train.assign(split="train", role="train", person=labels(spec, train.assign(frame=0))),
        test.assign(split="test", role=np.where(test["tracklet"] == 0, "query", "gallery"), person=test["true_person"]),
        bad.assign(split="test", role="gallery", person=-1, kind="part"),
        nobody.assign(split="test", role="gallery", person=0, length=_lengths(spec, nobody)),
    ], ignore_index=True)  # fmt: skip
    whose = table.groupby(["person", "camera"]).cumcount()
    table["number"] = 1 + table["tracklet"].where(table["person"] > 0, whose)
    return _frames(table).assign(path=lambda frames: [_mars_path(*row) for row in zip(
        *(frames[name] for name in ("split", "person", "camera", "number", "frame")))])


def plan_two_cameras(spec: CrosswalkSpec) -> pd.DataFrame:
    """The plan's table in the layouts of iLIDS-VID and PRID 2011, in the first of their splits, as plan_mars does.

    The persons are numbered from 1 without gaps. Odd numbers come from the pool "train" and even ones from "test",
    which says what they look like and nothing else: who is trained on is up to the split.
    """
    table = _frames(pd.concat([_seen(spec, pool) for pool in SPLITS], ignore_index=True))
    name = _ilids_path if spec.layout == "ilidsvid" else _prid_path
    table["person"] = table["true_person"]
    table["path"] = [name(*row) for row in zip(table["person"], table["camera"], table["frame"])]
    return in_split(spec, table, 0)


def ls_set(spec: CrosswalkSpec) -> np.ndarray:
    """The splits of a world of two cameras, (10, P) int: a row numbers the persons from 1, those in test first."""
    random = generator(spec, LS_SET)
    return np.array([random.permutation(spec.train_ids + spec.test_ids) + 1 for _ in range(ROWS)])


def in_split(spec: CrosswalkSpec, table: pd.DataFrame, split: int) -> pd.DataFrame:
    """The table of a world of two cameras with split and role of another one of its splits, 0 to 9.

    The persons in the first half of the split's row are queries in camera 1 and gallery in camera 2.
    """
    tested = table["person"].isin(ls_set(spec)[split, : spec.test_ids])
    role = np.where(tested, np.where(table["camera"] == 1, "query", "gallery"), "train")
    return table.assign(split=np.where(tested, "test", "train"), role=role)


def _seen(spec, pool):
    """Every tracklet of a pool's persons: pool, member, true_person, kind, camera, tracklet, length in frames."""
    seen = tracklets(spec, pool).rename(columns={"person": "member"})
    seen = seen.assign(pool=pool, true_person=seen["member"], kind="person")
    return seen.assign(length=_lengths(spec, seen))


def _which(rows):
    return zip(*(rows[name].tolist() for name in ("member", "camera", "tracklet")))


def _lengths(spec, rows):
    """Frames of each tracklet of one pool: log-uniform draws, which imbalance makes long for some persons in training.

    Raised to 1 / w, w the person's log-normal weight, a uniform number is as large as the largest of w such numbers.
    """
    longest, pool, weights = spec.frames_per_tracklet, rows["pool"].iloc[0] if len(rows) else "", {}
    low = max(spec.shortest, -(-longest // 8))
    lengths = []
    for member, camera, tracklet in _which(rows):
        if member not in weights:
            normal = generator(spec, LENGTH, pool, member).standard_normal() if pool == "train" else 0.0
            weights[member] = np.exp(spec.identity_imbalance * normal)
        draw = generator(spec, LENGTH, pool, member, camera, tracklet).random() ** (1 / weights[member])
        lengths.append(min(int(low * ((longest + 1) / low) ** draw), longest))
    return lengths


def _frames(table):
    """A table of tracklets with one row for every frame of theirs, frame counting from 0."""
    frames = table.loc[table.index.repeat(table["length"])]
    return frames.assign(frame=frames.groupby(level=0).cumcount()).reset_index(drop=True)


def _mars_path(split, person, camera, number, frame):
    folder = "00-1" if person == -1 else f"{person:04d}"
    return f"bbox_{split}/{folder}/{folder}C{camera}T{number:04d}F{frame + 1:03d}.jpg"


def _ilids_path(person, camera, frame):
    folder = f"i-LIDS-VID/sequences/cam{camera}/person{person:03d}"
    return f"{folder}/cam{camera}_person{person:03d}_{frame + 1:05d}.png"


def _prid_path(person, camera, frame):
    return f"prid_2011/multi_shot/cam_{' ab'[camera]}/person_{person:04d}/{frame + 1:04d}.png"
