"""What a rendered world says about itself: world.json, checked, and truth.csv, joined to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reidlib.data.table import count_table, make_table

TRUTH = {"path": str, "true_person": np.int64, "visible": np.float64}      # what the table takes from truth.csv
REMEDY = "delete the world and render it again"


def read_description(path: Path) -> dict[str, Any]:
    """The content of a world.json. Raises ValueError naming the file when it is broken."""
    try:
        world = json.loads(path.read_text(encoding="utf-8"))
        missing = {"world", "spec", "counts", "version", "key", "manifest_hash"} - set(world)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"root: {path} is not JSON ({error}); {REMEDY}") from error
    if not isinstance(world, dict) or missing:
        raise ValueError(f"root: {path} lacks {', '.join(sorted(missing)) or 'names'}; {REMEDY}")
    wanted = {"world": str, "spec": dict, "key": str, "manifest_hash": str}
    wrong = [name for name, kind in wanted.items() if not isinstance(world[name], kind)]
    wrong += [name for name in ("counts", "splits") if name in world and not _are_counts(world[name], name == "splits")]
    if wrong:
        raise ValueError(f"root: {path} has {', '.join(wrong)} of another kind than a world has; {REMEDY}")
    return world


def _are_counts(value: Any, listed: bool) -> bool:
    """Whether it is {split: {role: number}}, or a list of those."""
    if listed:
        return isinstance(value, list) and bool(value) and all(_are_counts(one, False) for one in value)
    roles = list(value.values()) if isinstance(value, dict) else [None]
    return all(isinstance(one, dict) and all(type(n) is int for n in one.values()) for one in roles)


def check_counts(root: Path, table: pd.DataFrame, counts: dict[str, dict[str, int]]) -> None:
    """Raises ValueError when a table does not have the numbers of images, by split and role, of a world.json."""
    wanted = {(split, role): n for split, roles in counts.items() for role, n in roles.items()}
    found = {key: int(n) for key, n in count_table(table)["images"].items()}
    if found != wanted:
        raise ValueError(f"root: {root} holds {found} images where world.json says {wanted}; {REMEDY}")


def join_truth(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns of TRUTH. Raises ValueError when truth.csv is missing or is of other images."""
    try:
        truth = pd.read_csv(root / "truth.csv", usecols=list(TRUTH), dtype=TRUTH)
    except (OSError, ValueError) as error:
        raise ValueError(f"root: cannot read {root / 'truth.csv'} ({error}); {REMEDY}") from error
    if sorted(truth["path"]) != sorted(table["path"]):
        raise ValueError(f"root: {root / 'truth.csv'} lists other images than there are; {REMEDY}")
    return make_table(table.merge(truth, on="path", validate="one_to_one"))
