"""Where data live: one folder, moved by one environment variable.

    worlds/            rendered worlds, one folder per specification
    store/             runs: weights, features, records
    data/<name>/       real data sets, for example data/synergyreid/
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "REID_DATA"


def data_home() -> Path:
    """The folder that holds worlds, runs and real data sets, as an absolute path; it need not exist yet.

    $REID_DATA when it is set; else `.reid/` in the checkout's root, when the package is used from a checkout; else
    `reid/` in the user's cache folder ($XDG_CACHE_HOME or ~/.cache).
    Raises ValueError when $REID_DATA names something that is not a folder.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        home = Path(chosen).expanduser().absolute()
        if home.exists() and not home.is_dir():
            raise ValueError(f"{VARIABLE}: wants a folder, and {home} is a file; set it to a folder or unset it")
        return home
    checkout = _checkout()
    if checkout is not None:
        return checkout / ".reid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "reid"


def worlds_home() -> Path:
    """Where worlds are rendered to: `worlds/` in data_home()."""
    return data_home() / "worlds"


def dataset_home(name: str) -> Path:
    """Where the real data set of this name is looked for when no root is given: `data/<name>/` in data_home()."""
    return data_home() / "data" / name


def _checkout() -> Path | None:
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None
