"""Anyone's own images, in folders or under names that a pattern reads.

    train/                    optional; what models learn from
    val/, test/               optional; each may hold query/ and gallery/
    query/ and gallery/       in place of test/

Below each of these, the pattern is matched with the whole path of an image without its suffix. The default reads
person sub-folders: `train/alice/anything.jpg`.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.listing import first_three, list_images
from reidlib.data.table import NUMBERS, make_table, refuse_singles

PERSON_FOLDERS = r"(?P<person>[^/]+)/.+"


def open_folder(root: Path | None, *, pattern: str = PERSON_FOLDERS, allow_single: bool = False) -> Dataset:
    """Opens images in folders.

    pattern: a regular expression with a group `person` and, if wanted, `camera`, `sequence` and `frame`; for
    truck_0001_cam2.jpg it is r"(?P<person>\\w+_\\d+)_cam(?P<camera>\\d+)".
    allow_single: accept training identities with one image; they are trained on augmented copies.

    Persons are numbered by the sorted order of their names over the whole set. A group of digits is read as a number,
    any other is numbered by sorted order. Without `sequence` all images are of sequence 0; without `frame` the images
    of a person, camera and sequence are numbered in the order of their paths.
    In a split without query/ and gallery/, the queries are the images of each person's first camera and the rest is
    the gallery; without `camera`, each person's first image is the query. Without `camera`, queries are of camera 0
    and the gallery of camera 1, so that protocols that leave out matches of one camera leave out none.

    Raises ValueError for a missing or empty folder, a pattern that is none, files that are not images or do not match,
    images that share all their numbers, and (unless allow_single) training identities with one image.
    """
    if root is None:
        raise ValueError("root: 'folder' wants the folder that holds the images")
    expression = _compile(pattern)
    folders = _folders(root)
    parts = [_match(root, folder, split, role, expression) for folder, split, role in folders]
    images = pd.concat(parts, ignore_index=True)
    images["person"] = _numbered(images["person"].map(lambda name: unicodedata.normalize("NFC", name)))
    for name in ("camera", "sequence", "frame"):
        if name in images:
            images[name] = _as_numbers(images[name])
    if "sequence" not in images:
        images["sequence"] = 0
    if "frame" not in images:
        alike = [name for name in ("split", "role", "person", "camera", "sequence") if name in images]
        images["frame"] = images.sort_values("path").groupby(alike).cumcount()
    images = _with_roles(images)
    table = make_table({name: images[name] for name in ("path", *NUMBERS, "split", "role")})
    if not allow_single:
        refuse_singles(table)
    return Dataset("folder", root, table, "unversioned")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern: {pattern!r} is not a regular expression ({error})") from error
    groups = set(expression.groupindex)
    if "person" not in groups or not groups <= set(NUMBERS):
        raise ValueError(
            f"pattern: {pattern!r} wants a group (?P<person>...) and may have {', '.join(NUMBERS[1:])}; "
            f"it has {', '.join(sorted(groups)) or 'no named group'}"
        )
    return expression


def _folders(root: Path) -> list[tuple[str, str, str]]:
    """The folders to read below the root, as (folder, split, role); role "" where it is still to be found."""
    if not root.is_dir():
        raise ValueError(f"root: there is no folder {root}")
    held = [name for name in ("query", "gallery") if (root / name).is_dir()]
    if held and (root / "test").is_dir():
        raise ValueError(f"root: {root} holds test/ and {held[0]}/; query/ and gallery/ stand in place of test/")
    folders = [("train", "train", "train")] if (root / "train").is_dir() else []
    for split, prefix in (("val", "val/"), ("test", "test/" if not held else "")):
        if prefix and not (root / prefix).is_dir():
            continue
        roles = [role for role in ("query", "gallery") if (root / prefix / role).is_dir()]
        if len(roles) == 1:
            raise ValueError(f"root: {root / prefix} holds {roles[0]}/ alone; evaluation wants query/ and gallery/")
        folders += [(prefix + role, split, role) for role in roles] or ([(split, split, "")] if prefix else [])
    if not folders:
        raise ValueError(
            f"root: {root} holds neither train/ nor val/ nor test/ nor query/ and gallery/; sort the images into them"
        )
    return folders


def _match(root: Path, folder: str, split: str, role: str, expression: re.Pattern[str]) -> pd.DataFrame:
    """The images of one folder, with the pattern's groups as strings."""
    rows, strangers = [], []
    names = list_images(root / folder)
    for name in names:
        match = expression.fullmatch(str(PurePosixPath(name).with_suffix("")))
        groups = match.groupdict() if match else {}
        if not groups or None in groups.values():
            strangers.append(name)
            continue
        rows.append({"path": f"{folder}/{name}", "split": split, "role": role} | groups)
    if strangers:
        raise ValueError(
            f"pattern: {len(strangers)} of {len(names)} images in {root / folder} do not match "
            f"{expression.pattern!r} ({first_three(strangers)}); change the pattern, or move the files out"
        )
    return pd.DataFrame(rows)


def _numbered(names: pd.Series) -> pd.Series:
    """0, 1, ... by the sorted order of the distinct names."""
    return names.map({name: number for number, name in enumerate(sorted(set(names)))})


def _as_numbers(names: pd.Series) -> pd.Series:
    """Digits as the numbers they are (of at most 18 digits: int64), anything else by sorted order."""
    if all(name.isdecimal() and len(name) <= 18 for name in names):
        return names.map(int)
    return _numbered(names)


def _with_roles(images: pd.DataFrame) -> pd.DataFrame:
    """Fills the roles that folders left open, and cameras where the pattern has none."""
    images = images.sort_values(["sequence", "frame", "path"])
    persons = images.groupby(["split", "person"])
    if "camera" in images:
        first = images["camera"] == persons["camera"].transform("min")
    else:
        first = persons.cumcount() == 0
    undecided = images["role"] == ""
    images.loc[undecided, "role"] = first[undecided].map({True: "query", False: "gallery"})
    if "camera" not in images:
        images["camera"] = (images["role"] == "gallery").astype(int)
    return images
