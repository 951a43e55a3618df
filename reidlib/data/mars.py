"""MARS (Zheng et al., ECCV 2016), as its archives unpack, with the info/ folder of MARS-evaluation.

    bbox_train/<person>/<person>C<camera>T<tracklet>F<frame>.jpg    0001/0001C1T0001F001.jpg
    bbox_test/                                                      also 00-1/ (junk) and 0000/ (distractors)
    info/train_name.txt, test_name.txt                              the names of all images, one a line
    info/tracks_train_info.mat, tracks_test_info.mat                a row a tracklet: first line, last, person, camera
    info/query_IDX.mat                                              the rows of the test tracklets that are queries

Lines and rows are counted from 1, and a tracklet has its last line too. There is no validation split.

There are two galleries. The official program ranks all test tracklets but junk (11,310), the queries among them. Most
papers' code leaves the queries out (9,330), and 140 of the 1,980 queries then have no match. In the table a query's
tracklet has role query and any other test tracklet role gallery: rank all tracklets of split test, of both roles, under
the protocol "mars" (official) or "mars-9330" (which leaves out those whose sequence is a query's), see
reidlib.retrieval.metrics. Both take out junk (person -1) and count distractors (person 0) as wrong.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.listing import first_three
from reidlib.data.matfile import read_integers
from reidlib.data.paths import dataset_home
from reidlib.data.table import make_table
from reidlib.data.tracklets import find_folder, positions, refuse_counts, refuse_world

TITLE = "MARS"
NAME = re.compile(r"(\d{4}|00-1)C([1-9])T(\d{4})F(\d{3})\.jpg", re.ASCII)
WANTED = "<person>C<camera>T<tracklet>F<frame>.jpg"
JUNK = "00-1"
QUERIES = "info/query_IDX.mat"
REMEDY = "take info/ from github.com/liangzheng06/MARS-evaluation again"

# split -> images, their names, tracklets, and the variable that holds them
PARTS = {
    "train": ("bbox_train", "info/train_name.txt", "info/tracks_train_info.mat", "track_train_info"),
    "test": ("bbox_test", "info/test_name.txt", "info/tracks_test_info.mat", "track_test_info"),
}
SOURCES = (*(file for _, *files, _ in PARTS.values() for file in files), QUERIES)

# Counted in the files of MARS-evaluation.
COUNTS = {
    "training tracklets": 8298,
    "training images": 509914,
    "training persons": 625,
    "query tracklets": 1980,
    "query images": 114493,
    "query persons": 626,
    "junk tracklets": 870,
    "junk images": 23380,
    "distractor tracklets": 3248,
    "distractor images": 147743,
    "other gallery tracklets": 6082,
    "other gallery images": 395473,
}


def open_mars(root: Path | None) -> Dataset:
    """Opens the real MARS data: split train, and split test with its queries and gallery.

    root: the folder that holds bbox_train/, bbox_test/ and info/. None: data/mars in data_home().
    person and camera are those of the tracklet (-1 junk, 0 distractors); sequence counts the training tracklets from 0
    in the order of their rows, and the test tracklets after them; frame counts the images of a tracklet from 0 in the
    order of their names. Which galleries to make of the roles is said above.
    Raises ValueError when root lacks a part or holds a rendered world, when the files of info/ are broken or contradict
    the images or one another, and when the counts are not those of MARS.
    """
    root = root or dataset_home("mars")
    refuse_world(root, TITLE)
    table = read_layout(root)
    refuse_counts(root, TITLE, _count(table), COUNTS)
    return Dataset("mars", root, table, "ECCV 2016 (by its counts)", SOURCES)


def read_layout(root: Path) -> pd.DataFrame:
    """The table of images in the layout of MARS, of any size; its paths start from root.

    Raises ValueError as open_mars does, but for other counts.
    """
    find_folder(root, TITLE, [folder for folder, *_ in PARTS.values()])
    train, test = _read_part(root, "train"), _read_part(root, "test")
    nobody = list(train.loc[train["person"] < 1, "path"])
    if nobody:
        raise ValueError(
            f"root: {len(nobody)} of {len(train)} images that {root} trains on are junk or distractors, person -1 or 0 "
            f"({first_three(nobody)}); only a gallery has them: {REMEDY}"
        )
    asks = test["sequence"].isin(_read_queries(root, test))
    test = test.assign(role=np.where(asks, "query", "gallery"), sequence=test["sequence"] + train["sequence"].nunique())
    return make_table(pd.concat([train.assign(role="train"), test], ignore_index=True))


def _read_part(root: Path, split: str) -> pd.DataFrame:
    """path, person, camera, sequence (the row of its tracklet, from 0), frame and split of each image."""
    folder, names_file, tracks_file, variable = PARTS[split]
    if not (root / folder).is_dir():
        raise ValueError(f"root: {root} has no {folder}/; it looks half extracted: unpack or render it again")
    names = _read_names(root / names_file)
    tracks = read_integers(root / tracks_file, variable, (None, 4), REMEDY)
    sequence = _tracklet_of(tracks, names, root / tracks_file)
    paths = [f"{name[:4]}/{name}" for name in names]
    present = _files(root / folder, sorted({name[:4] for name in names}))
    missing = [path for path in paths if path not in present]
    if missing:
        raise ValueError(
            f"root: {len(missing)} of {len(paths)} images that {names_file} lists are not in {root / folder} "
            f"({first_three(missing)}); unpack the archive again"
        )
    whose = np.array([(-1 if name[:4] == JUNK else int(name[:4]), int(name[5])) for name in names])
    other = np.flatnonzero((whose != tracks[sequence, 2:]).any(axis=1))
    if len(other):
        person, camera = tracks[sequence[other[0]], 2:]
        raise ValueError(
            f"root: {root / tracks_file} says of {len(other)} of {len(names)} images another person or camera than "
            f"their names do (person {person}, camera {camera} of {names[other[0]]}); {REMEDY}"
        )
    frames = pd.DataFrame({"path": paths, "person": whose[:, 0], "camera": whose[:, 1], "sequence": sequence})
    number = pd.Series([int(name[7:11] + name[12:15]) for name in names])
    return frames.assign(path=f"{folder}/" + frames["path"], frame=positions(frames["sequence"], number), split=split)


def _read_names(path: Path) -> list[str]:
    """The lines of a list of images."""
    try:
        names = [line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"root: cannot read {path} ({error}); {REMEDY}") from error
    strangers = [f"line {number}: {name!r}" for number, name in enumerate(names, 1) if NAME.fullmatch(name) is None]
    if strangers or not names:
        raise ValueError(
            f"root: {len(strangers)} of {len(names)} lines of {path} are not {WANTED} "
            f"({first_three(strangers) or 'it is empty'}); {REMEDY}"
        )
    return names


def _files(folder: Path, persons: list[str]) -> set[str]:
    """<person>/<file> of what lies there, one listing a person: of a million files, asking for each takes minutes."""
    return {
        f"{person}/{name}" for person in persons if (folder / person).is_dir() for name in os.listdir(folder / person)
    }


def _tracklet_of(tracks: np.ndarray, names: list[str], path: Path) -> np.ndarray:
    """(N,) the row of each name's tracklet, from 0; tracks: (R, 4), a tracklet's first and last line, person, camera.

    Raises ValueError when a tracklet is empty or has lines that there are not, and when a line is of two or of none.
    """
    first, last = tracks[:, 0], tracks[:, 1]

    def refuse(bad: np.ndarray, what: str) -> None:
        if bad.any():
            rows = [f"row {row + 1}: {first[row]} to {last[row]}" for row in np.flatnonzero(bad)]
            raise ValueError(
                f"root: {len(rows)} of {len(tracks)} tracklets of {path} {what} ({first_three(rows)}); {REMEDY}"
            )

    refuse(first > last, "are empty")
    refuse((first < 1) | (last > len(names)), f"reach beyond the {len(names)} images listed")
    order = np.argsort(first, kind="stable")
    before = np.maximum.accumulate(np.r_[0, last[order][:-1]])
    refuse((first[order] <= before)[np.argsort(order)], "have images of another one")
    sequence = np.full(len(names), -1)
    for row, (start, end) in enumerate(tracks[:, :2]):
        sequence[start - 1 : end] = row
    lost = [names[line] for line in np.flatnonzero(sequence < 0)]
    if lost:
        raise ValueError(
            f"root: {len(lost)} of {len(names)} images listed are in no tracklet of {path} ({first_three(lost)}); "
            f"{REMEDY}"
        )
    return sequence


def _read_queries(root: Path, test: pd.DataFrame) -> np.ndarray:
    """The rows of the query tracklets, from 0; test: as _read_part gives it."""
    path = root / QUERIES
    person = test.groupby("sequence")["person"].first()
    rows = read_integers(path, "query_IDX", (1, None), REMEDY)[0]
    wrong = sorted(set(rows[(rows < 1) | (rows > len(person))]))
    if wrong:
        raise ValueError(f"root: {path} asks for tracklet {wrong[0]} and there are 1 to {len(person)}; {REMEDY}")
    if len(set(rows)) != len(rows):
        raise ValueError(f"root: {path} has {len(rows) - len(set(rows))} of {len(rows)} queries twice; {REMEDY}")
    nobody = [f"tracklet {row}" for row in rows if person[row - 1] < 1]
    if nobody:
        raise ValueError(
            f"root: {len(nobody)} of {len(rows)} queries of {path} are junk or distractors, person -1 or 0 "
            f"({first_three(nobody)}); {REMEDY}"
        )
    return rows - 1


def _count(table: pd.DataFrame) -> dict[str, int]:
    """What COUNTS counts."""

    def count(part: pd.DataFrame) -> tuple[int, int, int]:
        return part["sequence"].nunique(), len(part), part["person"].nunique()

    train, query, gallery = (table[table["role"] == role] for role in ("train", "query", "gallery"))
    person = gallery["person"]
    others = (gallery[person == -1], gallery[person == 0], gallery[person > 0])
    numbers = [*count(train), *count(query), *(number for part in others for number in count(part)[:2])]
    return dict(zip(COUNTS, numbers, strict=True))
