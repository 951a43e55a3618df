"""SynergyReID, as the VIPriors and DeepSportradar challenges distribute it.

    data_reid/reid_training/<person>_<sequence>_<frame>.jpeg
    data_reid/reid_val/{query,gallery}/<person>_<sequence>_<frame>.jpeg
    data_reid/reid_test/{query,gallery}/<image>.jpeg            labels are kept by the organisers

That is the 2021 edition; in 2022 and 2023 the last two folders are called reid_test and reid_challenge. The table
calls them val and test in every edition. The first frame of a person is the query (camera 0), the others are the
gallery (camera 1); training images are of camera 0.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.listing import first_three, list_images
from reidlib.data.paths import dataset_home
from reidlib.data.table import count_table, make_table

LABELLED = re.compile(r"(\d{1,18})_(\d{1,18})_(\d{1,18})\.jpe?g", re.ASCII | re.IGNORECASE)
UNLABELLED = re.compile(r"\d+\.jpe?g", re.ASCII | re.IGNORECASE)

# Where each split lies, by the folder that gives the layout away.
LAYOUTS = {
    "reid_val": {"train": "reid_training", "val": "reid_val", "test": "reid_test"},
    "reid_challenge": {"train": "reid_training", "val": "reid_test", "test": "reid_challenge"},
}


@dataclass(frozen=True)
class Edition:
    """One published edition: its archive's MD5, its layout, and images (persons) by split and role."""

    year: str
    md5: str
    layout: str
    test_query: int
    test_gallery: int

    @property
    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(persons, images) by (split, role); the test split's persons are not known, 0."""
        return {
            ("train", "train"): (436, 8569),
            ("val", "query"): (50, 50),
            ("val", "gallery"): (50, 910),
            ("test", "query"): (0, self.test_query),
            ("test", "gallery"): (0, self.test_gallery),
        }


# From the challenges' own loaders: VIPriors toolkit (2021), DeepSportradar player-reidentification-challenge.
EDITIONS = (
    Edition("2021", "05050b5d9388563021315a81b531db7d", "reid_val", 468, 8703),
    Edition("2022", "05715857791e2e88b2f11e4037fbec7d", "reid_challenge", 468, 8703),
    Edition("2023", "2a1cdbd10d2b8f0da6575e3581343e31", "reid_challenge", 618, 9505),
)


def open_synergyreid(root: Path | None) -> Dataset:
    """Opens the real SynergyReID data and says which edition it found.

    root: the folder that holds data_reid/ (or data_reid/ itself); the archive may lie in it, and is checked then.
        None: data/synergyreid in data_home().
    The test split has person, sequence and frame -1: its labels are not public.
    Raises ValueError when the folder is missing or half extracted, when the counts are of no known edition, when the
    archive's MD5 is of none or of another one than the folders', and when root holds a rendered world.
    """
    root = root or dataset_home("synergyreid")
    if find_world(root) is not None:
        raise ValueError(f"root: {root} holds a rendered world and no SynergyReID images; open it as 'courtside'")
    archives = _archives(root)
    base = _base(root, archives)
    layout = next((marker for marker in ("reid_challenge", "reid_val") if (base / marker).is_dir()), None)
    if layout is None:
        raise ValueError(
            f"root: {base} has neither reid_val/ (2021) nor reid_challenge/ (2022, 2023); it looks half extracted: "
            "unpack the archive again"
        )
    table = read_layout(base, LAYOUTS[layout])
    edition = _edition_by_counts(base, table, [known for known in EDITIONS if known.layout == layout])
    if not archives:
        return Dataset("synergyreid", base, table, f"{edition.year} (by its counts; no archive to check)")
    digests = {archive.name: _md5(archive) for archive in archives}
    if edition.md5 not in digests.values():
        found = ", ".join(f"{name} with MD5 {digest} ({_year_of(digest)})" for name, digest in digests.items())
        raise ValueError(
            f"root: {base} holds the images of the {edition.year} edition, whose archive has MD5 {edition.md5}; "
            f"found {found}; download the archive again, or remove it if it is another file"
        )
    return Dataset("synergyreid", base, table, f"{edition.year} (by its counts and its archive's MD5)")


def find_world(root: Path) -> Path | None:
    """The world.json of a rendered world at this root (or in the folder above data_reid/), if there is one."""
    beside = [root / "world.json"] + ([root.parent / "world.json"] if root.name == "data_reid" else [])
    return next((path for path in beside if path.is_file()), None)


def read_layout(root: Path, folders: dict[str, str]) -> pd.DataFrame:
    """The table of images in SynergyReID's layout; its paths start from root.

    folders: split -> folder below root, for example one of LAYOUTS.
    Raises ValueError for a missing or empty folder and for names that do not read <person>_<sequence>_<frame>.jpeg
    (in the test split alone, all names may be <image>.jpeg).
    """
    columns: dict[str, list] = {name: [] for name in ("path", "person", "camera", "sequence", "frame", "split", "role")}
    for split, folder in folders.items():
        roles = {"train": folder} if split == "train" else {r: f"{folder}/{r}" for r in ("query", "gallery")}
        names = {role: _list(root, place) for role, place in roles.items()}
        every = [name for listed in names.values() for name in listed]
        hidden = split == "test" and all(UNLABELLED.fullmatch(name) for name in every)
        strangers = [name for name in every if not hidden and LABELLED.fullmatch(name) is None]
        if strangers:
            raise ValueError(
                f"root: {len(strangers)} of {len(every)} images in {root / folder} are not named "
                f"<person>_<sequence>_<frame>.jpeg ({first_three(strangers)}); move them out, or restore their names"
            )
        for role, listed in names.items():
            for name in listed:
                person, sequence, frame = (-1, -1, -1) if hidden else parse_name(name)
                values = (f"{roles[role]}/{name}", person, int(role == "gallery"), sequence, frame, split, role)
                for column, value in zip(columns.values(), values, strict=True):
                    column.append(value)
    return make_table(columns)


def parse_name(name: str) -> tuple[int, int, int]:
    """Person, sequence and frame of <person>_<sequence>_<frame>.jpeg, digits of any width up to 18.

    Raises ValueError for any other name.
    """
    match = LABELLED.fullmatch(name)
    if match is None:
        raise ValueError(f"name: wants <person>_<sequence>_<frame>.jpeg, got {name!r}")
    person, sequence, frame = map(int, match.groups())
    return person, sequence, frame


def _list(root: Path, folder: str) -> list[str]:
    if not (root / folder).is_dir():
        raise ValueError(f"root: {root} has no {folder}/; it looks half extracted: unpack or render it again")
    return list_images(root / folder)


def _archives(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*.zip") if path.is_file())


def _base(root: Path, archives: list[Path]) -> Path:
    """The folder that holds reid_training/."""
    if not root.is_dir():
        raise ValueError(f"root: there is no folder {root}; unpack SynergyReID's archive there")
    for base in (root / "data_reid", root):
        if base.name == "data_reid" and base.is_dir() or (base / "reid_training").is_dir():
            return base
    if archives:
        raise ValueError(f"root: {archives[0]} is not unpacked; run `unzip {archives[0].name}` in {root}")
    raise ValueError(f"root: {root} holds no data_reid/; unpack SynergyReID's archive there")


def _edition_by_counts(base: Path, table: pd.DataFrame, candidates: list[Edition]) -> Edition:
    counts = count_table(table)
    found = {key: (int(row["persons"]), int(row["images"])) for key, row in counts.iterrows()}
    for edition in candidates:
        if found == edition.counts:
            return edition
    wanted = "; ".join(f"{edition.year} has {_in_words(edition.counts)}" for edition in candidates)
    raise ValueError(
        f"root: {base} has {_in_words(found)}, which is no edition known ({wanted}); "
        "if images are missing it is half extracted: unpack the archive again"
    )


def _in_words(counts: dict[tuple[str, str], tuple[int, int]]) -> str:
    parts = []
    for (split, role), (persons, images) in sorted(counts.items()):
        where = split if role == "train" else f"{split} {role}"
        parts.append(f"{where} {images}" + (f" of {persons} persons" if persons else ""))
    return ", ".join(parts)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _year_of(md5: str) -> str:
    return next((f"the {known.year} edition" for known in EDITIONS if known.md5 == md5), "no edition known")
