"""Held-out persons: disjoint from those trained on, as MARS asks and answers, and the same images in all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reidlib.data import Dataset
from reidlib.data.holdout import hold_out


def dataset(persons: int = 12, alone: tuple[int, ...] = (1, 2)) -> Dataset:
    """Two cameras with two tracklets of three frames each, but for some persons that one camera alone has seen."""
    rows = []
    for person in range(1, persons + 3):
        split = "train" if person <= persons else "test"
        for camera in (1,) if person in alone else (1, 2):
            for tracklet in (0, 1):
                for frame in range(3):
                    sequence = 10 * person + 2 * camera + tracklet
                    role = "train" if split == "train" else "query"
                    rows.append((f"{sequence}_{frame}.png", person, camera, sequence, frame, split, role))
    columns = ["path", "person", "camera", "sequence", "frame", "split", "role"]
    return Dataset("folder", Path("."), pd.DataFrame(rows, columns=columns), "")


def test_persons_are_disjoint_and_nothing_is_lost():
    whole = dataset()
    held = hold_out(whole, 0.25)
    train, val = (held.rows(split) for split in ("train", "val"))
    assert val["person"].nunique() == 3 and train["person"].nunique() == 9
    assert not set(train["person"]) & set(val["person"]) and not set(val["person"]) & {1, 2}
    assert sorted(held.table["path"]) == sorted(whole.table["path"])
    assert held.rows("test").equals(whole.rows("test"))
    assert hold_out(whole, 0.25).table.equals(held.table), "the same persons every time"
    assert (whole.table["split"] != "val").all(), "the data set itself stays as it was"


def test_the_first_tracklet_of_every_camera_asks():
    val = hold_out(dataset(), 0.25).rows("val")
    for _, part in val.groupby(["person", "camera"]):
        roles = part.groupby("sequence")["role"].unique()
        assert [list(role) for role in roles] == [["query"], ["gallery"]]


@pytest.mark.parametrize(
    ("given", "share", "message"),
    [
        (dataset(), 1.0, r"held_out: wants a share .* got 1.0"),
        (dataset(alone=tuple(range(1, 12))), 0.25, r"wants 3 of 12 training persons, seen by two cameras \(1 are\)"),
        (dataset(persons=1, alone=()), 0.5, "others left to train on"),
        (hold_out(dataset(), 0.25), 0.25, "has a validation split of its own"),
    ],
)
def test_what_cannot_be_held_out(given, share, message):
    with pytest.raises(ValueError, match=message):
        hold_out(given, share)
