"""What a model makes of a scene, and what is noted of a run while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from reidlib.data.sampling import epoch_batches
from reidlib.features import extract
from reidlib.probes import probe
from reidlib.retrieval import distance, metrics
from reidlib.study.clips import by_role, tracklet_tensors
from reidlib.study.data import EVALUATED, Scene, StudyData
from reidlib.study.ranking import Gallery, labels
from reidlib.study.recipe import Recipe

LOOKS = 12  # at a run, at most: evenly spread over its epochs, the last one among them
GROUPS = 20  # of persons, whose mAP is noted after every epoch: an interval over them without every query's value
PROBED = 16  # batches of 8 persons x 4 images, report `stronger`'s own, the same each time and for all seeds


def scene_tensors(model: nn.Module, data: StudyData, scene: Scene, scaled: Recipe, device: torch.device) -> dict:
    """The features, float16, and labels of a scene's queries and gallery, as `Gallery.of` takes them.

    Of images, or of tracklets for a model of clips.
    """
    if scaled.clip_frames:
        return tracklet_tensors(model, data, scene, scaled, device)
    images = data.images(scene, scaled.height, scaled.width, device)
    rows = data.opened(scene).rows(scene.split).reset_index(drop=True)
    features = extract(
        model,
        images,
        names=rows["path"].tolist(),
        precision=scaled.training.precision,
        flip=scene.flip,
        scales=scene.scales,
    )
    return by_role(features, rows, {role: [role] for role in ("query", "gallery")})


def follower(
    model: nn.Module, data: StudyData, scaled: Recipe, images: Tensor, classes: Tensor
) -> Callable[[int], dict[str, Any]]:
    """For `train(at_epoch=...)`: mAP of the benchmark's evaluation split by plain distances, and the probes.

    images, classes: (N, 3, H, W) uint8 and (N,) of the training set, of which the probed batches are drawn, augmented.
    """
    device = images.device
    generator = torch.Generator(device).manual_seed(0)
    batches = []
    for batch in epoch_batches(classes, 8, 4, seed=0, epoch=0)[:PROBED]:
        batch = batch.to(device)
        batches.append((scaled.augmentation.apply(images[batch], generator), classes.to(device)[batch]))

    every = -(-scaled.training.epochs // LOOKS)

    def look(epoch: int) -> dict[str, Any]:
        if (scaled.training.epochs - epoch) % every:
            return {}
        threads = torch.get_num_threads()
        gallery = Gallery.of(scene_tensors(model, data, EVALUATED[data.benchmark], scaled, device))
        between = distance.cosine(gallery.query, gallery.gallery)
        found = metrics.evaluate(between, *labels(gallery), protocol=data.benchmark)
        person = np.unique(gallery.query_labels["person"], return_inverse=True)[1]
        known = ~np.isnan(found.average_precision)
        torch.set_num_threads(threads)  # numba's OpenMP layer, in the metrics, has changed it: see `Study.train`
        by_group = pd.Series(found.average_precision[known]).groupby(person[known] % GROUPS).mean().tolist()
        return {"mAP": float(found.mAP), "mAP_of_groups": by_group, "probe": probe(model, batches, scaled.training)}

    return look
