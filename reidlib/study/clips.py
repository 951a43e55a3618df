"""Recipes of clips: the batches that they are trained on, and the features of whole tracklets.

Shapes: N frames, D feature.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from reidlib.data.sampling import clip_batches
from reidlib.features import extract_tracklets
from reidlib.study.data import Scene, StudyData
from reidlib.study.recipe import Recipe

LABELS = ("person", "camera", "sequence", "frame")
FRAMES_AT_ONCE = 60_000  # of a video benchmark: 6 GB at the reports' size, all of a small world


def batches_of(scaled: Recipe, labels: Tensor, rows: pd.DataFrame, seed: int) -> Callable[[int], Tensor] | None:
    """The batches of an epoch, for `train`; None for a recipe of single images, whose own these are.

    labels: (N,) of the rows, the training images.
    """
    if not scaled.clip_frames:
        return None
    t = scaled.training
    sequences = rows["sequence"].to_numpy()
    draw = partial(clip_batches, labels, sequences, t.persons, t.images, scaled.clip_frames, spread=scaled.spread)
    return lambda epoch: draw(seed=seed, epoch=epoch)


def tracklet_tensors(model: nn.Module, data: StudyData, scene: Scene, scaled: Recipe, device: torch.device) -> dict:
    """The features, float16, and labels of a scene's queries and gallery, as `Gallery.of` takes them; a row a tracklet.

    No more than `FRAMES_AT_ONCE` frames are in memory, but for a longer tracklet's. Of MARS the gallery has the queries
    too, as its official protocol wants it; "mars-9330" leaves them out again.
    Raises ValueError for a scene that is flipped or scaled, which no report on video does.
    """
    if scene.flip or scene.scales != (1.0,):
        raise ValueError("scene: flip and scales are for images, and the model takes clips")
    rows = data.opened(scene).rows(scene.split).sort_values(["sequence", "frame"], kind="stable")
    parts = []
    for part in in_parts(rows["sequence"].to_numpy(), FRAMES_AT_ONCE):
        some = rows.iloc[part]
        found = extract_tracklets(
            model,
            data.some_images(scene, some.index, scaled.height, scaled.width, device),
            torch.tensor(some["sequence"].to_numpy()),
            frames=scaled.clip_frames,
            names=some.groupby("sequence")["path"].first().tolist(),
            precision=scaled.training.precision,
            scale=scaled.augmentation.scale,
        )
        parts.append(found)
    tracklets = rows.groupby("sequence", as_index=False).first()
    if "visible" in rows:
        tracklets["visible"] = rows.groupby("sequence")["visible"].mean().to_numpy()
    everyone = ["query", "gallery"] if data.benchmark == "mars" else ["gallery"]
    return by_role(torch.cat(parts), tracklets, {"query": ["query"], "gallery": everyone})


def in_parts(sequences: np.ndarray, most: int) -> list[slice]:
    """Slices of rows that hold whole sequences and at most so many rows; one that is longer is a part of its own.

    sequences: (N,) of sorted rows.
    """
    ends = np.append(np.flatnonzero(np.diff(sequences)) + 1, len(sequences))
    parts, start, before = [], 0, 0
    for end in ends.tolist():
        if end - start > most and before > start:
            parts.append(slice(start, before))
            start = before
        before = end
    return [*parts, slice(start, before)]


def by_role(features: torch.Tensor, rows: pd.DataFrame, roles: dict[str, list[str]]) -> dict:
    """Features (N, D) and labels of N rows by the side of a ranking, which may have rows of several roles."""
    tensors = {}
    for side, wanted in roles.items():
        part = rows[rows["role"].isin(wanted)]
        tensors[side] = features[torch.tensor(part.index.to_numpy())]
        tensors |= {f"{side}_{name}": torch.tensor(part[name].to_numpy()) for name in LABELS}
        if "visible" in part:
            tensors[f"{side}_visible"] = torch.tensor(part["visible"].to_numpy()).float()
    return tensors
