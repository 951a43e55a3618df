"""Images below a folder, listed in one order whatever the file system's order is."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
LEFTOVERS = ("__macosx", "desktop.ini", "thumbs.db")    # what file managers leave behind; hidden files are skipped too

DEEPEST = 100   # folders in one another


def list_images(folder: Path) -> list[str]:
    """The images below a folder, as sorted POSIX paths relative to it.

    Hidden files and file managers' leftovers are skipped. Linked folders are followed.
    Raises ValueError when the folder is missing, when it or a folder below holds no image, when a link leads back to a
    folder above itself, when a link is dangling, when there are files that are not images, and when a folder cannot be
    read or is nested too deeply.
    """
    if not folder.is_dir():
        raise ValueError(f"root: there is no folder {folder}")
    images: list[str] = []
    strangers: list[str] = []
    try:
        _visit(folder, "", (), images, strangers)
    except OSError as error:
        raise ValueError(f"root: cannot list {folder} ({error.strerror}); make all below it readable") from error
    if strangers:
        raise ValueError(
            f"root: {len(strangers)} files below {folder} are not images ({first_three(strangers)}); move them out "
            f"(images end in {', '.join(SUFFIXES)})"
        )
    return sorted(images)


def first_three(names: Sequence[str]) -> str:
    """The first three of some names, and dots when there are more: for messages, on one line.

    A name may hold a line's end, or what a terminal takes for a command.
    """
    shown = [name if name.isprintable() else repr(name)[1:-1] for name in names[:3]]
    return ", ".join(shown) + (", ..." if len(names) > 3 else "")


def _visit(
    folder: Path, prefix: str, above: tuple[tuple[int, int], ...], images: list[str], strangers: list[str]
) -> None:
    here = os.stat(folder)
    real = (here.st_dev, here.st_ino)
    if real in above:
        raise ValueError(f"root: {folder} is a link back to {folder.resolve()}, which holds it; remove the link")
    if len(above) == DEEPEST:
        raise ValueError(f"root: folders in {folder} are nested deeper than {DEEPEST}; move the images further up")
    before = len(images) + len(strangers)
    for name in sorted(os.listdir(folder)):
        if name.startswith(".") or name.lower() in LEFTOVERS:
            continue
        kind = _kind(f"{folder}/{name}")
        if stat.S_ISDIR(kind):
            _visit(folder / name, f"{prefix}{name}/", (*above, real), images, strangers)
        elif name.lower().endswith(SUFFIXES) and stat.S_ISREG(kind) and _is_utf8(name):
            images.append(prefix + name)
        else:
            strangers.append(prefix + name)
    if len(images) + len(strangers) == before:
        raise ValueError(f"root: {folder} holds no image; fill the folder or remove it")


def _kind(path: str) -> int:
    """The mode of what a path leads to, 0 where that is nothing. A Path's own questions take six times as long."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
