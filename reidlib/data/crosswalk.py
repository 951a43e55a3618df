"""The Crosswalk world: rendered where it is missing, and read back by the loaders that read the real data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from reidlib.data import ilidsvid, market1501, mars, prid2011
from reidlib.data.dataset import Dataset
from reidlib.data.paths import worlds_home
from reidlib.data.truth import REMEDY, check_counts, join_truth, read_description

if TYPE_CHECKING:
    from reidlib.data.worlds.crosswalk import CrosswalkSpec

# layout -> what is read beside the images
SOURCES = {
    "market1501": (),
    "mars": mars.SOURCES,
    "ilidsvid": (ilidsvid.SPLITS,),
    "prid2011": (prid2011.MAT,),
}


def open_crosswalk(
    root: Path | None, *, spec: CrosswalkSpec | None = None, split: int = 0, progress: bool = True
) -> Dataset:
    """Opens a Crosswalk world: split train, and split test with its queries and gallery, as its layout's loader does.

    root: the world's folder. None: worlds/crosswalk-<spec.key> in data_home().
    spec: the world wanted; it is rendered into its folder unless it is there already. None: whatever world root holds,
        or, without a root, CrosswalkSpec().
    split: 0 to 9, which of the splits of a world in the layout of iLIDS-VID or PRID 2011; 0 in the other layouts.
    progress: show a bar while rendering.
    Beside the loader's columns the table has `visible` (0..1, the fraction of the person that nothing hides) and
    `true_person`, which differs from `person` where the spec asks for label noise, and for junk.
    Raises ValueError when root holds no world, an incomplete one, or another one than spec, and for a split that the
    world does not have.
    """
    if root is None or spec is not None:
        # Here and not above: it compiles the renderer, which reading does not need.
        from reidlib.data.worlds.crosswalk import CrosswalkSpec, write_crosswalk

        spec = spec or CrosswalkSpec()
        root = write_crosswalk(spec, root or worlds_home() / f"crosswalk-{spec.key}", progress=progress)
    if not (root / "world.json").is_file():
        raise ValueError(f"root: {root} holds no world (no world.json); pass spec=CrosswalkSpec(...) to render one")
    world = read_description(root / "world.json")
    layout = world.get("spec", {}).get("layout", "market1501")
    if layout not in SOURCES:
        raise ValueError(f"root: {root} holds a world in the layout {layout!r}, not {', '.join(SOURCES)}; {REMEDY}")
    table = join_truth(root, _read(root, layout, world, split))
    edition = f"version {world['version']}, spec {world['key']}" + (f", split {split}" if "splits" in world else "")
    return Dataset("crosswalk", root, table, edition, ("truth.csv", *SOURCES[layout]), world["manifest_hash"])


def _read(root: Path, layout: str, world: dict[str, Any], split: int) -> pd.DataFrame:
    """The table that the layout's loader reads, its numbers of images as world.json has them."""
    if layout == "ilidsvid":
        table = ilidsvid.read_layout(root, split)
    elif layout == "prid2011":
        table = prid2011.read_layout(root, split)
    elif split != 0:
        raise ValueError(f"split: a world in the layout {layout!r} has one split, 0, got {split!r}")
    elif layout == "mars":
        table = mars.read_layout(root)
    else:
        only_train = {("train", "train"): market1501.FOLDERS["train", "train"]}
        table = market1501.read_layout(root, market1501.FOLDERS if world["counts"]["test"] else only_train)
    check_counts(root, table, world["splits"][split] if "splits" in world else world["counts"])
    return table
