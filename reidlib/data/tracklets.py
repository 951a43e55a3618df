"""What the loaders of video data sets share: where they lie, frames counted within tracklets, and two cameras' splits.

iLIDS-VID and PRID 2011 have one folder for each camera and person, which holds that person's only tracklet there.
Their splits are rows of ls_set, a matrix of (splits, persons): a row numbers all persons, from 1 in the order of their
folders; the first half of it is tested, the second half is trained on (Wang et al., ECCV 2014).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reidlib.data.listing import first_three, list_images
from reidlib.data.market1501 import WORLDS
from reidlib.data.matfile import read_integers
from reidlib.data.table import make_table


@dataclass(frozen=True)
class Camera:
    """One of two cameras: its number and folder, and how <folder of a person>/<frame> is named below it.

    pattern: a regular expression with the groups person and frame. wanted: the same in words.
    """

    number: int
    folder: str
    pattern: str
    wanted: str


def refuse_world(root: Path, title: str) -> None:
    """Raises ValueError when root holds a rendered world, which must not pass for real images."""
    if any((root / marker).is_file() for marker in WORLDS):
        raise ValueError(f"root: {root} holds a rendered world and no {title} images; open it under its own name")


def find_folder(root: Path, title: str, candidates: Sequence[str]) -> str:
    """The first of some folders that is below root. Raises ValueError when none is."""
    if not root.is_dir():
        raise ValueError(f"root: there is no folder {root}; unpack {title}'s archive there")
    for folder in candidates:
        if (root / folder).is_dir():
            return folder
    archives = sorted(path.name for path in root.iterdir() if path.suffix in (".zip", ".tar") and path.is_file())
    if archives:
        raise ValueError(f"root: {root / archives[0]} is not unpacked; unpack it in {root}")
    raise ValueError(f"root: {root} holds no {candidates[0]}/; unpack {title}'s archive there")


def refuse_counts(root: Path, title: str, found: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """Raises ValueError, naming each number that is off, when what was found is not what was published."""
    wrong = [f"{found[what]} {what}, not {number}" for what, number in wanted.items() if found[what] != number]
    if wrong:
        raise ValueError(f"root: {root} is not all of {title}: {'; '.join(wrong)}; unpack the archive again")


def positions(sequence: pd.Series, number: pd.Series) -> pd.Series:
    """(N,) the position of each frame in its tracklet, from 0 in the order of the numbers, which may leave gaps.

    sequence: (N,) the tracklet of each frame. number: (N,) the frame's number there. Equal numbers share a position,
    which make_table refuses.
    """
    return number.groupby(sequence).rank("dense").astype(np.int64) - 1


def read_two_cameras(root: Path, cameras: Sequence[Camera], last_person: int | None = None) -> pd.DataFrame:
    """The frames that two cameras took of the same persons, in no split yet.

    last_person: persons of higher numbers are left out; None: nobody is.
    Columns: path, person, camera, sequence (from 0, by person and then by camera), frame.
    Raises ValueError for a missing camera, a person's empty folder, names of another form, and a person in one camera
    only.
    """
    rows = []
    for camera in cameras:
        place = root / camera.folder
        if not place.is_dir():
            raise ValueError(f"root: there is no folder {place}; it looks half extracted: unpack or render it again")
        names = list_images(place)
        matches = [re.fullmatch(camera.pattern, name, re.ASCII) for name in names]
        strangers = [name for name, match in zip(names, matches, strict=True) if match is None]
        if strangers:
            raise ValueError(
                f"root: {len(strangers)} of {len(names)} images in {place} are not named {camera.wanted} "
                f"({first_three(strangers)}); move them out, or restore their names"
            )
        rows += [(f"{camera.folder}/{m[0]}", int(m["person"]), camera.number, int(m["frame"])) for m in matches]
    frames = pd.DataFrame(rows, columns=["path", "person", "camera", "number"])
    if last_person is not None:
        frames = frames[frames["person"] <= last_person].reset_index(drop=True)
    seen = [set(frames.loc[frames["camera"] == camera.number, "person"]) for camera in cameras]
    for here, there, camera, other in zip(seen, seen[::-1], cameras, cameras[::-1], strict=True):
        if here - there:
            raise ValueError(
                f"root: {root} has {len(here - there)} persons in {camera.folder} and not in {other.folder} "
                f"(person {first_three([str(person) for person in sorted(here - there)])}); unpack the archive again"
            )
    frames["sequence"] = frames.groupby(["person", "camera"]).ngroup()
    frames["frame"] = positions(frames["sequence"], frames["number"])
    return frames.drop(columns="number")


def read_splits(path: Path, persons: np.ndarray, remedy: str) -> np.ndarray:
    """The splits of a file's ls_set, (S, P) bool: True where a person is tested, False where it is trained on.

    persons: (P,) ascending. remedy: what to do about a broken file, for the message.
    Raises ValueError as read_integers does, and for a row that does not number all persons once.
    """
    rows = read_integers(path, "ls_set", (None, len(persons)), remedy)
    for number, row in enumerate(rows):
        if not np.array_equal(np.sort(row), np.arange(1, len(persons) + 1)):
            raise ValueError(
                f"root: {path} does not number the persons from 1 to {len(persons)} once each in row {number + 1} of "
                f"ls_set; {remedy}"
            )
    tested = np.zeros(rows.shape, bool)
    np.put_along_axis(tested, rows[:, : len(persons) // 2] - 1, True, axis=1)
    return tested


def split_table(frames: pd.DataFrame, tested: np.ndarray, split: int) -> pd.DataFrame:
    """The table of one split: its tested persons are queries in the camera of the lower number, gallery in the other.

    frames: as read_two_cameras gives them. tested: (S, P) as read_splits gives it. split: 0 to S - 1.
    Raises ValueError for a split that there is not, and as make_table does.
    """
    if not isinstance(split, int) or split not in range(len(tested)):
        raise ValueError(f"split: wants a whole number from 0 to {len(tested) - 1}, got {split!r}")
    persons = np.unique(frames["person"])
    in_test = frames["person"].isin(persons[tested[split]])
    asks = frames["camera"] == frames["camera"].min()
    role = np.where(in_test, np.where(asks, "query", "gallery"), "train")
    return make_table(frames.assign(split=np.where(in_test, "test", "train"), role=role))
