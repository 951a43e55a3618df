"""A data set: a table of images, where they lie, and a hash of what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with ground truth.

    name: as given to open_dataset. root: the folder that the table's paths start from. table: see reidlib.data.table.
    edition: which edition of the data set this is, and how that is known.
    sources: further files below root that the table was made from. written_hash: the manifest hash that the files had
    when they were written, "" where nobody wrote it down.
    """

    name: str
    root: Path
    table: pd.DataFrame
    edition: str
    sources: tuple[str, ...] = ()
    written_hash: str = ""

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 (hex) over the sorted lines "path sha256(file)" of the table's images and sources.

        It depends on names and bytes only: not on the folder, and not on the order in which files are listed.
        Raises ValueError when a file cannot be read, and when files have changed since they were written.
        """
        found = manifest_hash(self.root, [*self.table["path"], *self.sources])
        if self.written_hash not in ("", found):
            raise ValueError(
                f"root: files in {self.root} have changed since they were written (manifest hash {found}, then "
                f"{self.written_hash}); delete the folder and make it again"
            )
        return found

    def rows(self, split: str, role: str | None = None) -> pd.DataFrame:
        """The rows of a split (train, val, test), or of one role in it (train, query, gallery), in the table's order.

        Raises ValueError when the data set has none.
        """
        chosen = self.table["split"] == split
        if not chosen.any():
            has = ", ".join(sorted(set(self.table["split"])))
            raise ValueError(f"split: {self.name} in {self.root} has no {split!r}; it has {has}")
        if role is not None:
            chosen &= self.table["role"] == role
            if not chosen.any():
                raise ValueError(f"role: split {split!r} of {self.name} has no {role!r}")
        return self.table[chosen]


def manifest_hash(root: Path, paths: list[str]) -> str:
    """SHA-256 (hex) over the sorted lines "path sha256(file)"; see Dataset.manifest_hash."""
    lines = []
    for path in paths:
        try:
            content = (root / path).read_bytes()
        except OSError as error:
            raise ValueError(f"root: cannot read {root / path} ({error.strerror}); restore the file") from error
        lines.append(f"{path} {hashlib.sha256(content).hexdigest()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
