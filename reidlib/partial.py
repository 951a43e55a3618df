"""Folders that are being filled: beside the place they will take, and gone when the process that fills them is.

A folder is filled under a hidden name of its own and renamed when it is whole, so that a reader sees all of it or
nothing. While it is filled its process holds a lock on it, which the system drops when the process dies, however it
dies: whoever comes next for the same place removes what is left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """A new empty folder in the folder that target is in; it is removed at the end unless it was renamed.

    Those that processes which were killed left for the same target are removed first. Raises OSError when the folder
    cannot be made.
    """
    _sweep(target)
    folder, held = _held_folder(target)
    try:
        os.chmod(folder, 0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def flush(folder: Path) -> None:
    """Waits until a folder's files are on the disk, so that a power cut cannot leave empty ones under their names."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prefix(target: Path) -> str:
    return f".{target.name}.partial-"


def _held_folder(target: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that holds its lock. Another process may sweep it before the lock is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
        descriptor = _try_to_hold(folder)
        if descriptor is not None:
            with suppress(OSError):
                if os.path.samestat(os.stat(folder), os.fstat(descriptor)):
                    return folder, descriptor
            os.close(descriptor)


def _try_to_hold(folder: Path) -> int | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None  # gone, or no folder
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # held by another process
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(target: Path) -> None:
    for name in os.listdir(target.parent):
        if name.startswith(_prefix(target)):
            descriptor = _try_to_hold(target.parent / name)
            if descriptor is not None:
                shutil.rmtree(target.parent / name, ignore_errors=True)
                os.close(descriptor)
