"""The Courtside world: rendered where it is missing, and read back by the loader that reads SynergyReID."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reidlib.data.dataset import Dataset
from reidlib.data.paths import worlds_home
from reidlib.data.synergyreid import LAYOUTS, find_world, read_layout
from reidlib.data.truth import check_counts, join_truth, read_description

if TYPE_CHECKING:
    from reidlib.data.worlds import CourtsideSpec


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
    world = read_description(described)
    folders = {split: f"data_reid/{LAYOUTS['reid_val'][split]}" for split, roles in world["counts"].items() if roles}
    table = read_layout(root, folders)
    check_counts(root, table, world["counts"])
    edition = f"version {world['version']}, spec {world['key']}"
    return Dataset("courtside", root, join_truth(root, table), edition, ("truth.csv",), world["manifest_hash"])
