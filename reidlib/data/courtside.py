"""The Courtside world: rendered where it is missing, and read back by the loader that reads SynergyReID."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.paths import worlds_home
from reidlib.data.synergyreid import LAYOUTS, find_world, read_layout
from reidlib.data.table import count_table, make_table

if TYPE_CHECKING:
    from reidlib.data.worlds import CourtsideSpec

TRUTH = {"path": str, "true_person": np.int64, "visible": np.float64}      # what the table takes from truth.csv
REMEDY = "delete the world and render it again"


def open_courtside(root: Path | None, *, spec: CourtsideSpec | None = None, progress: bool = True) -> Dataset:
    """Opens a Courtside world.

    root: the world's folder. None: worlds/courtside-<spec.key> in data_home().
    spec: the world wanted; it is rendered into its folder unless it is there already. None: whatever world root holds,
        or, without a root, CourtsideSpec().
    progress: show a bar while rendering.
    Beside the table's own columns it has `visible` (0..1, the fraction of the person that nothing hides) and
    `true_person`, which differs from `person` where the spec asks for label noise.
    Raises ValueError when root holds no world, an incomplete one, or another one than spec.
    """
    if root is None or spec is not None:
        # Here and not above: it compiles the renderer, which reading does not need.
        from reidlib.data.worlds import CourtsideSpec, write_courtside

        spec = spec or CourtsideSpec()
        root = write_courtside(spec, root or worlds_home() / f"courtside-{spec.key}", progress=progress)
    described = find_world(root)
    if described is None:
        raise ValueError(f"root: {root} holds no world (no world.json); pass spec=CourtsideSpec(...) to render one")
    root = described.parent
    world = _read_json(described)
    folders = {split: f"data_reid/{LAYOUTS['reid_val'][split]}" for split, roles in world["counts"].items() if roles}
    table = read_layout(root, folders)
    wanted = {(split, role): n for split, roles in world["counts"].items() for role, n in roles.items()}
    found = {key: int(n) for key, n in count_table(table)["images"].items()}
    if found != wanted:
        raise ValueError(f"root: {root} holds {found} images where world.json says {wanted}; {REMEDY}")
    edition = f"version {world['version']}, spec {world['key']}"
    return Dataset("courtside", root, _with_truth(root, table), edition, ("truth.csv",), world["manifest_hash"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        world = json.loads(path.read_text(encoding="utf-8"))
        missing = {"counts", "version", "key", "manifest_hash"} - set(world)
    except (ValueError, TypeError) as error:
        raise ValueError(f"root: {path} is not JSON ({error}); {REMEDY}") from error
    if missing:
        raise ValueError(f"root: {path} lacks {', '.join(sorted(missing))}; {REMEDY}")
    return world


def _with_truth(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    try:
        truth = pd.read_csv(root / "truth.csv", usecols=list(TRUTH), dtype=TRUTH)
    except (OSError, ValueError) as error:
        raise ValueError(f"root: cannot read {root / 'truth.csv'} ({error}); {REMEDY}") from error
    if sorted(truth["path"]) != sorted(table["path"]):
        raise ValueError(f"root: {root / 'truth.csv'} lists other images than there are; {REMEDY}")
    return make_table(table.merge(truth, on="path", validate="one_to_one"))
