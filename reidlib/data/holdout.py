"""Some of the training persons kept out of training, to choose between settings without a look at the test split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset

SEED = 0  # of who is held out: the same persons for every run


def hold_out(dataset: Dataset, share: float) -> Dataset:
    """The same images, a share of the training persons moved from split "train" to a split "val" of tracklets.

    share: in (0, 1) of the persons, at least one of them; only persons seen by two cameras can be held out.
    As in MARS, of every held-out person and camera one tracklet, the first, is a query and the others are the gallery;
    a person's only tracklet of a camera is a query alone, and part of MARS's gallery with the other queries.
    The manifest hash is the data set's: it is the same files.
    Raises ValueError for another share, for data with a split "val", and for too few persons.
    """
    if not 0 < share < 1:
        raise ValueError(f"held_out: wants a share of the training persons in (0, 1), got {share!r}")
    table = dataset.table
    if (table["split"] == "val").any():
        raise ValueError(f"held_out: {dataset.name} has a validation split of its own; rank on that one")
    train = table[table["split"] == "train"]
    cameras = train.groupby("person")["camera"].nunique()
    count = max(1, round(share * len(cameras)))
    able = cameras.index[cameras > 1].to_numpy()
    if count > len(able) or count == len(cameras):
        raise ValueError(
            f"held_out: wants {count} of {len(cameras)} training persons, seen by two cameras ({len(able)} are), and "
            "others left to train on; raise train_ids or lower the share"
        )
    chosen = np.random.default_rng(SEED).choice(np.sort(able), size=count, replace=False)
    held = train[train["person"].isin(chosen)]
    first = held.groupby(["person", "camera"])["sequence"].transform("min") == held["sequence"]
    moved = table.copy()
    moved.loc[held.index, "split"] = "val"
    moved.loc[held.index, "role"] = pd.Series(np.where(first, "query", "gallery"), held.index)
    return replace(dataset, table=moved)
