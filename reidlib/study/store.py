"""The store: results under the hash of what they were computed from, written whole or not at all.

    <root>/<stage>/<key>/record.json            what was computed, from what, where, how long; its own checksum
    <root>/<stage>/<key>/*.safetensors          weights or features, each with its SHA-256 in the record
    <root>/<stage>/<key>.work/                  checkpoints of an unfinished computation
    <root>/<stage>/<key>.lock                   held while computing; the system drops it when the process dies

The published records (book/records) have the same layout and are looked at second, read-only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import Tensor

from reidlib.checkpoint import load_tensors


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(stage: str, version: int, config: dict, parents: Iterable[str] = ()) -> str:
    """The key of a stage's result: SHA-256 of everything that its numbers depend on.

    config: JSON values: the recipe after scaling, the seed, the data's manifest hash, options. Not the device and the
    number of threads: the last bits depend on them, and the record names them.
    parents: keys of the results it reads.
    """
    text = canonical({"stage": stage, "version": version, "config": config, "parents": sorted(parents)})
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One finished result: its folder and its record."""

    folder: Path
    record: dict[str, Any]

    @property
    def key(self) -> str:
        return self.record["key"]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one of its files. Raises ValueError when the file is not the one that was recorded."""
        path = self.folder / name
        if name not in self.record["files"]:
            raise ValueError(f"{name}: the record of {self.key[:12]} has no such file")
        if not path.exists():
            raise ValueError(f"{path}: not published with its record; `reid study` computes it")
        if file_hash(path) != self.record["files"][name]:
            raise ValueError(f"{path}: differs from its record's checksum; delete {path.parent.name} and run again")
        return load_tensors(path)[0]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """Results by stage and key below `root`; `published` is a second, read-only root."""

    def __init__(self, root: Path, published: Path | None = None) -> None:
        self.root = Path(root)
        self.published = published

    def find(self, stage: str, key: str, *, needs: str | None = None) -> Entry | None:
        """The finished result of a key, or None. needs: a file that must be there (it may not be published)."""
        for root in (self.root, self.published):
            folder = root / stage / key if root else None
            if folder is None or not (folder / "record.json").exists():
                continue
            if needs is None or (folder / needs).exists():
                return Entry(folder, read_record(folder / "record.json"))
        return None

    def get(
        self,
        stage: str,
        key: str,
        compute: Callable[[Path, Path], dict[str, Any]],
        *,
        needs: str | None = None,
    ) -> Entry:
        """The result of a key; computed when it is not there.

        compute(folder, work): writes the result's files into folder and returns the record's fields; work is a folder
        that outlives a killed process, for checkpoints. Any number of processes may ask for one key: one computes.
        """
        if entry := self.find(stage, key, needs=needs):
            return entry
        stage_folder = self.root / stage
        try:
            stage_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"store: cannot write to {self.root} ({error}); set REID_DATA to a folder of yours"
            ) from error
        with FileLock(stage_folder / f"{key}.lock"):
            if entry := self.find(stage, key, needs=needs):
                return entry
            work = stage_folder / f"{key}.work"
            work.mkdir(exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f".{key[:12]}.", dir=stage_folder))
            try:
                record = {"key": key, "stage": stage} | compute(folder, work)
                record["files"] = {path.name: file_hash(path) for path in sorted(folder.iterdir())}
                write_record(folder / "record.json", record)
                target = stage_folder / key
                if target.exists():  # a record without a file that is needed now
                    shutil.rmtree(target)
                os.chmod(folder, 0o755)
                os.replace(folder, target)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(work)
            return Entry(target, record)


def copy_entries(entries: Iterable[Entry], target: Path, *, files: Iterable[str] = ()) -> int:
    """Copies records, and the files of the given names, to another root; returns the bytes copied.

    An entry that the target has already stays as it is; each one comes into place whole.
    """
    total, names = 0, {"record.json", *files}
    for entry in entries:
        folder = target / entry.record["stage"] / entry.key
        if folder.exists():
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{entry.key[:12]}.", dir=folder.parent) as temporary:
            whole = Path(temporary) / "entry"
            whole.mkdir()
            for path in entry.folder.iterdir():
                if path.name in names:
                    shutil.copyfile(path, whole / path.name)
                    total += path.stat().st_size
            os.replace(whole, folder)
    return total


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Writes a record with its own checksum as last field, one field a line."""
    checksum = hashlib.sha256(canonical(record).encode()).hexdigest()
    lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in (record | {"checksum": checksum}).items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read_record(path: Path) -> dict[str, Any]:
    """Reads a record. Raises ValueError naming the file when it is not whole."""
    try:
        record = json.loads(path.read_text())
        checksum = record.pop("checksum")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a whole record ({error}); delete its folder and run again") from error
    if hashlib.sha256(canonical(record).encode()).hexdigest() != checksum:
        raise ValueError(f"{path}: differs from its own checksum; delete its folder and run again")
    return record


def all_entries(root: Path) -> list[Entry]:
    """Every finished result below a root, by stage and time of its end. Raises ValueError when there is no root."""
    if not Path(root).is_dir():
        raise ValueError(f"{root}: no such folder of records")
    entries = [Entry(path.parent, read_record(path)) for path in Path(root).glob("*/*/record.json")]
    return sorted(entries, key=lambda entry: (entry.record["stage"], entry.record["end"]))
