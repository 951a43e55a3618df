"""From a folder of one's own images to a trained embedding and its mAP, through the same loaders, loop and store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reidlib.data import load_images, open_dataset
from reidlib.data.paths import data_home
from reidlib.data.table import unmatched_queries
from reidlib.study.data import TEST
from reidlib.study.profile import Profile
from reidlib.study.ranking import Ranking
from reidlib.study.recipes.own import own_images
from reidlib.study.runner import Study
from reidlib.study.store import Store


def train_on_folder(
    root: Path,
    pattern: str | None,
    *,
    height: int = 128,
    width: int = 64,
    epochs: int = 60,
    seed: int = 0,
    device: str = "auto",
    backbone_width: float = 1.0,
    allow_single: bool = False,
) -> dict[str, Any]:
    """Trains on root/train, ranks root/test (or query/ and gallery/), and returns the evaluation's record.

    pattern: see `open_dataset("folder")`; None: one sub-folder a person. The protocol is "market1501": images of the
    same person by a query's own camera do not count. Weights and features stay in the store: asking again is free.
    Raises ValueError for sizes out of range, and as the loaders and the training do.
    """
    for name, value, most in (("height", height, 4096), ("width", width, 4096), ("epochs", epochs, 100_000)):
        if not 1 <= value <= most:
            raise ValueError(f"{name}: wants 1 to {most}, got {value}")
    dataset = open_dataset("folder", root, allow_single=allow_single, **({"pattern": pattern} if pattern else {}))
    per_person = dataset.rows("train").groupby("person").size()
    images = min(4, max(2, int(per_person.median())))
    persons = min(64 // images, len(per_person))
    recipe = own_images(height=height, width=width, epochs=epochs, persons=persons, images=images)
    load_images(dataset, dataset.rows("test"), height, width)  # what does not open is found now, not at the end
    alone = unmatched_queries(dataset.table)["path"].tolist()
    if alone:
        print(f"{len(alone)} queries have no match in the gallery and are left out, first {alone[0]}")
    profile = Profile(
        profile="own",
        data="folder",
        data_root=str(root),
        train_ids=len(per_person),
        val_ids=1,
        test_ids=1,
        image_scale=1.0,
        epoch_scale=1.0,
        batch_scale=1.0,
        backbones={},
        backbone_width=backbone_width,
        part_dim=0,
        seeds=(seed,),
        device=device,
        precision="fp32",
    )
    study = Study(profile, Store(data_home() / "store"), dataset=dataset)
    return study.evaluate(recipe, seed, Ranking(protocol="market1501"), TEST).record
