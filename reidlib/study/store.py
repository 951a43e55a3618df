"""The store: results under the hash of what they were computed from, written whole or not at all.

    <root>/<stage>/<key>/record.json            what was computed, from what, where, how long; its own checksum
    <root>/<stage>/<key>/*.safetensors          weights or features, each with its SHA-256 in the record
    <root>/<stage>/<key>.work/                  checkpoints of an unfinished computation
    <root>/<stage>/<key>.lock                   locked while computing; the system unlocks it when the process dies
    <root>/<stage>/.<key>.partial-*             a result that is being written, or was when its process was killed

The published records (book/records) have the same layout and are looked at second, read-only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import Tensor

from reidlib.checkpoint import load_tensors
from reidlib.partial import flush, partial_folder


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
        check_file(path, self.record)
        return load_tensors(path)[0]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, record: dict[str, Any]) -> None:
    """Raises ValueError when a file of a result is not the one that its record was written with."""
    if file_hash(path) != record["files"].get(path.name):
        raise ValueError(f"{path}: differs from its record's checksum; delete {path.parent.name} and run again")


class Store:
    """Results by stage and key below `root`; `published` is a second, read-only root."""

    def __init__(self, root: Path, published: Path | None = None) -> None:
        self.root = Path(root)
        self.published = published

    def find(self, stage: str, key: str, *, needs: str | None = None) -> Entry | None:
        """The finished result of a key, or None. needs: a file that must be there (it may not be published)."""
        for root in (self.root, self.published):
            folder = root / stage / key if root else None
            if folder is not None and (needs is None or (folder / needs).exists()):
                try:
                    return read_entry(folder)
                except FileNotFoundError:
                    continue  # not there, or being replaced this moment
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
        stage_folder = self.root / stage
        if entry := self.find(stage, key, needs=needs):
            self._sweep(stage_folder, entry)
            return entry
        with _writing(self.root):
            stage_folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(stage_folder / f"{key}.lock").acquire()
        with lock:
            return self.find(stage, key, needs=needs) or self._compute(stage_folder, key, compute)

    def _sweep(self, stage_folder: Path, entry: Entry) -> None:
        """Removes the checkpoints of a result that is whole: its process was killed before it came to that."""
        work = stage_folder / f"{entry.key}.work"
        files = [entry.folder / name for name in entry.record["files"]]
        if entry.folder.parent == stage_folder and work.exists() and all(path.exists() for path in files):
            with suppress(OSError), FileLock(stage_folder / f"{entry.key}.lock", timeout=0):  # else it is in use
                shutil.rmtree(work)

    def _compute(self, stage_folder: Path, key: str, compute: Callable[[Path, Path], dict[str, Any]]) -> Entry:
        """Computes a key, whose lock is held, and puts its result in place."""
        work, target = stage_folder / f"{key}.work", stage_folder / key
        with ExitStack() as stack:
            with _writing(self.root):
                work.mkdir(exist_ok=True)
                folder = stack.enter_context(partial_folder(target))
            record = {"key": key, "stage": stage_folder.name} | compute(folder, work)
            with _writing(self.root):
                record["files"] = {path.name: file_hash(path) for path in sorted(folder.iterdir())}
                write_record(folder / "record.json", record)
                flush(folder)
                if target.exists():  # a record without a file that is needed now
                    os.replace(target, stack.enter_context(partial_folder(target)))
                os.replace(folder, target)
        shutil.rmtree(work)
        return Entry(target, record)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"store: cannot write to {root} ({error}); make room there, or set REID_DATA to a folder of yours"
        ) from error


def copy_entries(entries: Iterable[Entry], target: Path, *, files: Iterable[str] = ()) -> int:
    """Copies records, and the files of the given names, to another root; returns the bytes copied.

    An entry that the target has already stays as it is; each one comes into place whole.
    Raises ValueError, before that entry is in place, when a file differs from its record's checksum or is a link.
    """
    total, names = 0, set(files)
    for entry in entries:
        folder = target / entry.record["stage"] / entry.key
        if folder.exists():
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        with partial_folder(folder) as whole:
            write_record(whole / "record.json", entry.record)
            for name in sorted(names & set(entry.record["files"])):
                path = entry.folder / name
                if path.is_symlink():
                    raise ValueError(f"{path}: is a link, which is not followed; put the file itself there")
                if path.exists():
                    shutil.copyfile(path, whole / name)
                    check_file(whole / name, entry.record)
            total += sum(path.stat().st_size for path in whole.iterdir())
            flush(whole)
            try:
                os.replace(whole, folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
    return total


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Writes a record with its own checksum as last field, one field a line."""
    checksum = hashlib.sha256(canonical(record).encode()).hexdigest()
    lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in (record | {"checksum": checksum}).items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read_record(path: Path) -> dict[str, Any]:
    """Reads a record. Raises ValueError naming the file when it is not whole, FileNotFoundError when there is none."""
    try:
        record = json.loads(path.read_text())
        checksum = record.pop("checksum")
        found = hashlib.sha256(canonical(record).encode()).hexdigest()
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not a whole record ({error}); delete its folder and run again") from error
    if found != checksum:
        raise ValueError(f"{path}: differs from its own checksum; delete its folder and run again")
    return record


def read_entry(folder: Path) -> Entry:
    """The entry of a folder <stage>/<key>. Raises as `read_record` does, and ValueError for another result's record.

    A record's own checksum says that it is whole, not that it lies where it belongs; and it may come from elsewhere,
    naming files and folders that are none of its own.
    """
    record = read_record(folder / "record.json")
    names = record.get("files")
    if (record.get("stage"), record.get("key")) != (folder.parent.name, folder.name):
        raise ValueError(f"{folder}: holds the record of another result; delete this folder and run again")
    if not isinstance(names, dict) or not all(re.fullmatch(r"\w+\.safetensors", name) for name in names):
        raise ValueError(f"{folder}: its record names files that are no result's; delete this folder and run again")
    return Entry(folder, record)


def all_entries(root: Path) -> list[Entry]:
    """Every finished result below a root, by stage and time of its end. Raises ValueError when there is no root."""
    if not Path(root).is_dir():
        raise ValueError(f"{root}: no such folder of records")
    entries = [read_entry(path.parent) for path in Path(root).glob("*/[!.]*/record.json")]
    return sorted(entries, key=lambda entry: (entry.record["stage"], entry.record["end"]))
