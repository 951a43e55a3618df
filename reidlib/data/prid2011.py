"""PRID 2011 (Hirzer et al., SCIA 2011), the images of several shots, and the splits of Wang et al. (ECCV 2014).

    prid_2011/multi_shot/cam_<a or b>/person_<person>/<frame>.png       cam_a/person_0001/0001.png
    train_test_splits_prid.mat      ten splits, one a row of ls_set; comes with the archive of iLIDS-VID
    splits_prid2011.json            the same with the folders' names: ten times {"train": [...], "test": [...]}

Cameras a and b (1 and 2 in the table) share the persons 1 to 200. Higher numbers are other persons in each camera,
though their folders are named alike: those are left out. The splits are of the 178 persons with 27 frames or more in
both cameras; papers write "more than 21", but 183 persons have 21 or more. One of the two files of splits is enough;
where both are there, they have to agree. There is no validation split.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.paths import dataset_home
from reidlib.data.tracklets import (
    Camera,
    find_folder,
    read_splits,
    read_two_cameras,
    refuse_counts,
    refuse_world,
    split_table,
)

TITLE = "PRID 2011"
FOLDERS = ("prid_2011/multi_shot", "multi_shot")
MAT, JSON = "train_test_splits_prid.mat", "splits_prid2011.json"
REMEDY = f"take {MAT} from the archive of iLIDS-VID"
SHARED = 200        # persons up to this number are the same in both cameras
SHORTEST = 27       # frames, in both cameras, of a person that the splits are of
WRITTEN = 21        # what papers write in its place

# The first from the data set's page, the others as found by loaders that check them.
COUNTS = {
    "persons in both cameras": 200,
    f"persons with {SHORTEST} frames or more in both": 178,
    f"persons with {WRITTEN} frames or more in both": 183,
}


def open_prid2011(root: Path | None, *, split: int = 0) -> Dataset:
    """Opens the real PRID 2011 data in one of its ten splits: 89 persons to train on, 89 to test.

    root: the folder that holds prid_2011/ (or multi_shot/ itself) and a file of splits, train_test_splits_prid.mat or
        splits_prid2011.json. None: data/prid2011 in data_home().
    split: 0 to 9. Results are published as means over all ten, and also of split 0 alone.
    Camera a asks (query), camera b answers (gallery): every query has one match, so that rank-1 is the measure.
    person is the number of the folder, camera 1 (a) or 2 (b); sequence counts the 400 tracklets of the persons 1 to 200
    from 0 (by person and then by camera), frame the frames of a tracklet from 0 in the order of their names.
    Raises ValueError when root lacks a part or holds a rendered world, when names are of another form, when the counts
    are not PRID 2011's, for a broken file of splits or two that differ, and for a split that there is not.
    """
    root = root or dataset_home("prid2011")
    refuse_world(root, TITLE)
    frames = _frames(root)
    refuse_counts(root, TITLE, _count(frames), COUNTS)
    table, sources = _split(root, frames, split)
    return Dataset("prid2011", root, table, f"split {split} of {' and '.join(sources)} (by its counts)", sources)


def read_layout(root: Path, split: int = 0) -> pd.DataFrame:
    """The table of one split in PRID 2011's layout, with any number of persons and splits; its paths start from root.

    Raises ValueError as open_prid2011 does, but for other counts.
    """
    return _split(root, _frames(root), split)[0]


def _frames(root: Path) -> pd.DataFrame:
    folder = find_folder(root, TITLE, FOLDERS)
    pattern, wanted = r"person_(?P<person>\d{4})/(?P<frame>\d{1,18})\.png", "person_<person>/<frame>.png"
    cameras = [Camera(n, f"{folder}/cam_{letter}", pattern, wanted) for n, letter in enumerate("ab", start=1)]
    return read_two_cameras(root, cameras, last_person=SHARED)


def _split(root: Path, frames: pd.DataFrame, split: int) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table of one split, and the files below root that say what it is."""
    persons = _persons_with(frames, SHORTEST)
    if len(persons) == 0:
        raise ValueError(f"root: {root} has no person with {SHORTEST} frames or more in both cameras; nobody is split")
    readers = {MAT: _read_mat, JSON: _read_json}
    splits = {name: read(root / name, frames, persons) for name, read in readers.items() if (root / name).is_file()}
    if not splits:
        raise ValueError(f"root: {root} holds neither {MAT} nor {JSON}; {REMEDY}")
    if len(splits) == 2 and not np.array_equal(splits[MAT], splits[JSON]):
        raise ValueError(f"root: {MAT} and {JSON} in {root} are not the same splits; {REMEDY}, and remove {JSON}")
    kept = frames[frames["person"].isin(persons)]
    return split_table(kept, next(iter(splits.values())), split), tuple(splits)


def _read_mat(path: Path, frames: pd.DataFrame, persons: np.ndarray) -> np.ndarray:
    return read_splits(path, persons, f"{_who(frames)}; {REMEDY}")


def _read_json(path: Path, frames: pd.DataFrame, persons: np.ndarray) -> np.ndarray:
    """The splits of the file with the folders' names, (S, P) bool as read_splits gives them."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        splits = [(set(each["train"]), set(each["test"]), len(each["train"]) + len(each["test"])) for each in listed]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f'root: {path} is not a list of {{"train": [...], "test": [...]}} ({error!r}); {REMEDY} in its place'
        ) from error
    names = [f"person_{person:04d}" for person in persons]
    bad = [number for number, (train, test, n) in enumerate(splits) if train | test != set(names) or n != len(names)]
    if bad or not splits:
        which = f"split {bad[0]}" if bad else "any split"
        raise ValueError(
            f"root: {path} does not have each of {len(names)} persons once in {which}; {_who(frames)}; {REMEDY} in its "
            "place"
        )
    return np.array([[name in test for name in names] for _, test, _ in splits])


def _who(frames: pd.DataFrame) -> str:
    """Whom the splits are of, for messages."""
    longer, shorter = len(_persons_with(frames, SHORTEST)), len(_persons_with(frames, WRITTEN))
    return (
        f"the splits are of the {longer} persons with {SHORTEST} frames or more in both cameras "
        f"({shorter} have {WRITTEN} or more)"
    )


def _persons_with(frames: pd.DataFrame, shortest: int) -> np.ndarray:
    """(P,) the persons with that many frames or more in both cameras, ascending."""
    fewest = frames.groupby(["person", "camera"]).size().groupby("person").min()
    return fewest.index[fewest >= shortest].to_numpy()


def _count(frames: pd.DataFrame) -> dict[str, int]:
    """What COUNTS counts."""
    numbers = frames["person"].nunique(), len(_persons_with(frames, SHORTEST)), len(_persons_with(frames, WRITTEN))
    return dict(zip(COUNTS, numbers, strict=True))
