"""The table: one row per image, the same columns whatever the data set.

    path      str      relative to the data set's root, with forward slashes
    person    int64    identity; -1 where the organisers keep the labels to themselves, and for a gallery's junk
    camera    int64
    sequence  int64    -1 where unknown
    frame     int64    -1 where unknown
    split     str      train, val, test
    role      str      train, query, gallery
    visible   float64  0..1, fraction of the person that nothing hides (worlds only)
    detection int64    number of the box in its frame (where a detector drew them: several may show one person)

Sorted by split, role, person, sequence, frame, then path; the index counts the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from reidlib.data.listing import first_three

NUMBERS = ("person", "camera", "sequence", "frame")
COLUMNS = ("path", *NUMBERS, "split", "role")
ROLES = {"train": ("train",), "val": ("query", "gallery"), "test": ("query", "gallery")}


def make_table(columns: Mapping[str, Sequence | np.ndarray]) -> pd.DataFrame:
    """Types, sorts and checks the columns of a data set; extra columns are kept behind the table's own.

    Rows with equal numbers (unlabelled images) are sorted by the length of the path and then by the path, so that
    9.jpeg comes before 10.jpeg. Raises ValueError as check_table does.
    """
    table = pd.DataFrame(dict(columns))
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(f"columns: {', '.join(missing)} missing; the table wants {', '.join(COLUMNS)}")
    table = table.astype(dict.fromkeys(NUMBERS, np.int64))
    table = table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]]
    order = table.assign(length=table["path"].str.len()).sort_values(
        ["split", "role", "person", "sequence", "frame", "length", "path"]
    )
    table = table.loc[order.index].reset_index(drop=True)
    check_table(table)
    return table


def check_table(table: pd.DataFrame) -> None:
    """Raises ValueError, naming the file, when a table is not what its users rely on.

    Wants: the columns and types above; no path twice; no two images of one person with the same split, role, camera,
    sequence, frame and, where there is one, detection; splits and roles that belong together; labels in training;
    queries and a gallery in each evaluated split. A query without a match in the gallery is allowed: metrics skip and
    count it.
    """
    for name in COLUMNS:
        if name not in table:
            raise ValueError(f"table: no column {name}; it wants {', '.join(COLUMNS)}")
    for name in NUMBERS:
        if table[name].dtype != np.int64:
            raise ValueError(f"table: column {name} wants int64, got {table[name].dtype}")
    if len(table) == 0:
        raise ValueError("table: holds no image")
    _refuse(table, ~table["split"].isin(list(ROLES)), f"have a split other than {', '.join(ROLES)}")
    role_fits = [role in ROLES[split] for split, role in zip(table["split"], table["role"], strict=True)]
    _refuse(table, ~np.array(role_fits), "have a role that their split does not know")
    _refuse(table, table["path"].duplicated(), "are listed twice")
    _refuse(table, table["person"] < -1, "have a person below -1")
    _refuse(table, (table["split"] == "train") & (table["person"] < 0), "are for training and have no label")
    *numbers, last = [*NUMBERS, "detection"] if "detection" in table else NUMBERS
    again = table.duplicated(["split", "role", *numbers, last], keep=False) & (table["person"] >= 0)
    _refuse(table, again, f"share {', '.join(numbers)} and {last} with another; keep one of each")
    if "visible" in table:
        _refuse(table, ~table["visible"].between(0, 1), "have a visible fraction outside 0..1")
    for split in sorted(set(table["split"]) - {"train"}):
        present = set(table.loc[table["split"] == split, "role"])
        if present != {"query", "gallery"}:
            lacking = "gallery" if "gallery" not in present else "query"
            raise ValueError(f"table: the {lacking} of split {split} is empty; evaluation wants queries and a gallery")


def refuse_singles(table: pd.DataFrame) -> None:
    """Raises ValueError, naming the file, when a training identity has one image only.

    Published data sets keep theirs (the sampler draws with replacement); in one's own folder a lone image is mostly
    a slip of the pattern, and a triplet with it has no positive but a copy.
    """
    train = table[table["split"] == "train"]
    lone = train[~train["person"].duplicated(keep=False)]
    if len(lone):
        raise ValueError(
            f"root: {len(lone)} of {train['person'].nunique()} training identities have one image only "
            f"({first_three(list(lone['path']))}), and a triplet wants two; add images, take them out, or pass "
            "allow_single=True to train on augmented copies of them"
        )


def count_table(table: pd.DataFrame) -> pd.DataFrame:
    """Persons, images, and persons with one image, by (split, role); unlabelled images count as no person."""
    rows = {}
    for key, part in table.groupby(["split", "role"]):
        sizes = part.loc[part["person"] >= 0, "person"].value_counts()
        rows[key] = {"persons": len(sizes), "images": len(part), "singles": int((sizes == 1).sum())}
    counts = pd.DataFrame.from_dict(rows, orient="index")
    counts.index = pd.MultiIndex.from_tuples(rows, names=["split", "role"])
    return counts


def unmatched_queries(table: pd.DataFrame) -> pd.DataFrame:
    """The labelled queries whose person is nowhere in the gallery of their split, whatever the camera."""
    missing = []
    for _, part in table.groupby("split"):
        query, gallery = part[part["role"] == "query"], part[part["role"] == "gallery"]
        missing.append(query[(query["person"] >= 0) & ~query["person"].isin(gallery["person"])])
    return pd.concat(missing)


def _refuse(table: pd.DataFrame, bad: pd.Series | np.ndarray, what: str) -> None:
    if bad.any():
        paths = list(table.loc[bad, "path"])
        raise ValueError(f"table: {len(paths)} of {len(table)} images {what}: {first_three(paths)}")
