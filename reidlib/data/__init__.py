"""Data: worlds, real data sets and one's own images, all as a table and uint8 tensors."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidlib.data.courtside import open_courtside
from reidlib.data.dataset import Dataset
from reidlib.data.folder import open_folder
from reidlib.data.images import load_images
from reidlib.data.paths import data_home
from reidlib.data.synergyreid import open_synergyreid

__all__ = ["Dataset", "data_home", "load_images", "open_dataset"]

_OPENERS = {"courtside": open_courtside, "folder": open_folder, "synergyreid": open_synergyreid}


def open_dataset(name: str, root: str | Path | None = None, **options: Any) -> Dataset:
    """Opens a data set by its name.

    "courtside"    a rendered world. root: its folder; None: worlds/ in data_home(), where it is rendered if it is not
                   there yet. Option spec: a CourtsideSpec.
    "synergyreid"  the real data. root: the folder that holds data_reid/; None: data/synergyreid in data_home().
    "folder"       one's own images. root: the folder that holds train/ and test/ (or query/ and gallery/).
                   Options pattern and allow_single: see reidlib.data.folder.open_folder.

    Raises ValueError for a name or an option that is not known, and as the opener itself does.
    """
    if name not in _OPENERS:
        raise ValueError(f"name: no data set {name!r}{_did_you_mean(name, _OPENERS)}; there are {', '.join(_OPENERS)}")
    opener = _OPENERS[name]
    known = [option for option in inspect.signature(opener).parameters if option != "root"]
    for option in options:
        if option not in known:
            wants = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"options: {name} has no option {option!r}{_did_you_mean(option, known)}; {wants}")
    return opener(None if root is None else Path(root).expanduser().absolute(), **options)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
