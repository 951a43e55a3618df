"""Market-1501 (Zheng et al., ICCV 2015), as its archive Market-1501-v15.09.15.zip unpacks.

    bounding_box_train/<person>_c<camera>s<sequence>_<frame>_<detection>.jpg      0002_c1s1_000451_03.jpg
    query/                                                                        boxes drawn by hand
    bounding_box_test/                                                            the gallery

There is no validation split. A detector drew the boxes of training and gallery, at times several of one person in one
frame. The gallery also holds distractors (person 0, wrong for every query) and junk (person -1, neither right nor
wrong): the protocol "market1501" counts the first and takes out the second, see reidlib.retrieval.metrics. The boxes
drawn by hand for every image (gt_bbox/) and the lists of right and junk images (gt_query/) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.listing import first_three, list_images
from reidlib.data.paths import dataset_home
from reidlib.data.table import NUMBERS, make_table

NAME = re.compile(r"(-1|\d{1,18})_c(\d{1,18})s(\d{1,18})_(\d{1,18})_(\d{1,18})(?i:\.jpe?g)", re.ASCII)
WANTED = "<person>_c<camera>s<sequence>_<frame>_<detection>.jpg"
UNPACKED = "Market-1501-v15.09.15"      # the folder in the archive
WORLDS = ("crosswalk.json", "world.json")       # what a rendered world has beside its folders

FOLDERS = {
    ("train", "train"): "bounding_box_train",
    ("test", "query"): "query",
    ("test", "gallery"): "bounding_box_test",
}

# From the readme in the archive: 12936, 3368 and 19732 files; 751 persons to train on, 750 to test. How the 19732 are
# made up is what loaders find: 15913 without junk (torchreid, FastReID), 13115 without distractors (the attribute set).
COUNTS = {
    "images in bounding_box_train": 12936,
    "persons in bounding_box_train": 751,
    "images in query": 3368,
    "persons in query": 750,
    "images of persons in bounding_box_test": 13115,
    "persons in bounding_box_test": 750,
    "distractors (person 0)": 2798,
    "junk images (person -1)": 3819,
}


def open_market1501(root: Path | None) -> Dataset:
    """Opens the real Market-1501 data: split train, and split test with its queries and gallery.

    root: the folder that holds bounding_box_train/, query/ and bounding_box_test/, or the one that the archive was
        unpacked in. None: data/market1501 in data_home().
    Numbers are those of the names; beside the table's own columns it has `detection`.
    Raises ValueError when a folder is missing, when names are of another form, when the counts are not Market-1501's,
    and when root holds a rendered world.
    """
    base = _base(root or dataset_home("market1501"))
    if any((base / marker).is_file() for marker in WORLDS):
        raise ValueError(f"root: {base} holds a rendered world and no Market-1501 images; open it as 'crosswalk'")
    table = read_layout(base)
    found = _count(table)
    wrong = [f"{found[what]} {what}, not {wanted}" for what, wanted in COUNTS.items() if found[what] != wanted]
    if wrong:
        raise ValueError(f"root: {base} is not all of Market-1501: {'; '.join(wrong)}; unpack the archive again")
    return Dataset("market1501", base, table, "v15.09.15 (by its counts)")


def read_layout(root: Path, folders: Mapping[tuple[str, str], str] = FOLDERS) -> pd.DataFrame:
    """The table of images in Market-1501's layout, of any size; its paths start from root.

    folders: (split, role) -> folder below root. Beside the table's own columns it has `detection`, int64.
    Raises ValueError for a missing or empty folder, for names of another form, for person -1 or 0 outside a gallery,
    and as make_table does.
    """
    rows = []
    for (split, role), folder in folders.items():
        if not (root / folder).is_dir():
            raise ValueError(f"root: {root} has no {folder}/; it looks half extracted: unpack or render it again")
        names = list_images(root / folder)
        strangers = [name for name in names if NAME.fullmatch(name) is None]
        if strangers:
            raise ValueError(
                f"root: {len(strangers)} of {len(names)} images in {root / folder} are not named {WANTED} "
                f"({first_three(strangers)}); move them out, or restore their names"
            )
        nobody = [name for name in names if role != "gallery" and parse_name(name)[0] < 1]
        if nobody:
            raise ValueError(
                f"root: {len(nobody)} of {len(names)} images in {root / folder} are junk or distractors, person -1 or "
                f"0 ({first_three(nobody)}); only a gallery has them: move them out"
            )
        rows += [(f"{folder}/{name}", *parse_name(name), split, role) for name in names]
    return make_table(pd.DataFrame(rows, columns=["path", *NUMBERS, "detection", "split", "role"]))


def parse_name(name: str) -> tuple[int, int, int, int, int]:
    """Person, camera, sequence, frame and detection of <person>_c<camera>s<sequence>_<frame>_<detection>.jpg.

    Digits of any width up to 18; the person alone may be -1. Raises ValueError for any other name.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"name: wants {WANTED}, got {name!r}")
    person, camera, sequence, frame, detection = map(int, match.groups())
    return person, camera, sequence, frame, detection


def _base(root: Path) -> Path:
    """The folder that holds bounding_box_train/."""
    if not root.is_dir():
        raise ValueError(f"root: there is no folder {root}; unpack Market-1501's archive there")
    for base in (root, root / UNPACKED):
        if any((base / folder).is_dir() for folder in FOLDERS.values()):
            return base
    archives = sorted(path.name for path in root.glob("*.zip") if path.is_file())
    if archives:
        raise ValueError(f"root: {root / archives[0]} is not unpacked; run `unzip {archives[0]}` in {root}")
    raise ValueError(f"root: {root} holds no bounding_box_train/; unpack Market-1501's archive there")


def _count(table: pd.DataFrame) -> dict[str, int]:
    """What COUNTS counts."""
    train, query, gallery = (table.loc[table["role"] == role, "person"] for role in ("train", "query", "gallery"))
    known = gallery[gallery > 0]
    numbers = [number for part in (train, query, known) for number in (len(part), part.nunique())]
    return dict(zip(COUNTS, [*numbers, int((gallery == 0).sum()), int((gallery == -1).sum())], strict=True))
