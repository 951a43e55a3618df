"""iLIDS-VID (Wang et al., ECCV 2014), as its archive iLIDS-VID.tar unpacks.

    i-LIDS-VID/sequences/cam<camera>/person<person>/cam<camera>_person<person>_<frame>.png
                                                                        cam1/person001/cam1_person001_00317.png
    train-test people splits/train_test_splits_ilidsvid.mat             ten splits, one a row of ls_set

300 persons, numbered up to 319 with gaps, each with one tracklet in each of two cameras; there is no validation split.
A split is meant for the persons' folders in sorted order: read in the order in which a file system lists them, it is
another split on every machine. The single images (i-LIDS-VID/images/) are not read.
"""

from __future__ import annotations

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

TITLE = "iLIDS-VID"
SEQUENCES = "i-LIDS-VID/sequences"
SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"
REMEDY = "unpack the archive again"

# A frame's name has the camera and the person of its folders again.
CAMERAS = tuple(
    Camera(
        number,
        f"{SEQUENCES}/cam{number}",
        rf"person(?P<person>\d{{3}})/cam{number}_person(?P=person)_(?P<frame>\d{{1,18}})\.png",
        f"person<person>/cam{number}_person<the same>_<frame>.png",
    )
    for number in (1, 2)
)

# From the paper: 600 tracklets of 23 to 192 frames.
COUNTS = {"persons": 300, "tracklets": 600, "frames in the shortest tracklet": 23, "frames in the longest": 192}


def open_ilidsvid(root: Path | None, *, split: int = 0) -> Dataset:
    """Opens the real iLIDS-VID data in one of its ten splits: 150 persons to train on, 150 to test.

    root: the folder that holds i-LIDS-VID/ and "train-test people splits/". None: data/ilidsvid in data_home().
    split: 0 to 9, the row of ls_set. Results are published as means over all ten.
    Camera 1 asks (query), camera 2 answers (gallery): every query has one match, so that rank-1 is the measure.
    person is the number of the folder, sequence counts the 600 tracklets from 0 (by person and then by camera), frame
    the frames of a tracklet from 0 in the order of the numbers in their names.
    Raises ValueError when root lacks a part or holds a rendered world, when names are of another form or contradict
    their folders, when the counts are not iLIDS-VID's, for a broken file of splits, and for a split that there is not.
    """
    root = root or dataset_home("ilidsvid")
    refuse_world(root, TITLE)
    frames = _frames(root)
    refuse_counts(root, TITLE, _count(frames), COUNTS)
    return Dataset("ilidsvid", root, _split(root, frames, split), f"split {split} (by its counts)", (SPLITS,))


def read_layout(root: Path, split: int = 0) -> pd.DataFrame:
    """The table of one split in iLIDS-VID's layout, with any number of persons and splits; its paths start from root.

    Raises ValueError as open_ilidsvid does, but for other counts.
    """
    return _split(root, _frames(root), split)


def _frames(root: Path) -> pd.DataFrame:
    find_folder(root, TITLE, [SEQUENCES])
    return read_two_cameras(root, CAMERAS)


def _split(root: Path, frames: pd.DataFrame, split: int) -> pd.DataFrame:
    return split_table(frames, read_splits(root / SPLITS, np.unique(frames["person"]), REMEDY), split)


def _count(frames: pd.DataFrame) -> dict[str, int]:
    """What COUNTS counts."""
    lengths = frames["sequence"].value_counts()
    numbers = frames["person"].nunique(), len(lengths), int(lengths.min()), int(lengths.max())
    return dict(zip(COUNTS, numbers, strict=True))
