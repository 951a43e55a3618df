"""A trained model with temporal attention looked at: what the frames of a clip weigh, and what a clip weighs in OSM.

The measurements of report `attention` as files of a stage of their own: weights are not published.
Shapes: m query tracklets, L training tracklets, T frames in a clip, N clips, H W pixels.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from reidlib.augment import Augmentation, draw_boxes, erase, normalise
from reidlib.checkpoint import save_tensors
from reidlib.losses import class_aware_attention
from reidlib.study.data import EVALUATED, Scene, StudyData
from reidlib.study.provenance import Stopwatch
from reidlib.study.recipe import Recipe
from reidlib.study.runner import VERSIONS, Study
from reidlib.study.store import Entry, key_of

FILE = "attended.safetensors"
SHOWN = 3  # clips whose pixels are kept
EACH = 4  # training tracklets of a person that are looked at, at most
BATCH = 16  # clips that the model sees at once


def attend_key(study: Study, recipe: Recipe, seed: int) -> str:
    return key_of("attend", VERSIONS["attend"], {}, [study.train_key(recipe, seed)])


def attended(study: Study, recipe: Recipe, seed: int) -> Entry:
    """A run with temporal attention looked at, `attended.safetensors`.

    Of one clip of every query tracklet of its benchmark's evaluation split: clean_weights and clean_scores (m, T), and
    erased_weights and erased_scores (m, T) of the same clip after the frame chosen[i] has lost a patch; visible (m, T)
    where the data know it. shown (SHOWN,): the clips in which it differs most, else the first; shown_pixels and
    shown_erased (SHOWN, T, 3, H, W).
    Of one clip of up to EACH training tracklets of every person: its class-aware attention (L,) with the classes
    "classifier" and "centers", <classes>_clean, and <classes>_erased after every frame has lost a patch.
    """

    def compute(folder: Path, work: Path) -> dict[str, Any]:
        run = study.train(recipe, seed)
        torch.set_num_threads(study.threads)
        watch = Stopwatch(study.device)
        scaled = recipe.scaled(study.profile)
        model = study.trained(recipe, seed).eval()
        data, scene = study.data_for(recipe, seed), EVALUATED[recipe.benchmark]
        tensors = of_frames(model, data, scene, scaled, study.device)
        centers = run.tensors("centers.safetensors")["centers"].to(study.device)
        tensors |= of_clips(model, data, scaled, {"classifier": model.classify.weight, "centers": centers})
        save_tensors(folder / FILE, tensors)
        config = {"scene": asdict(scene), "seed": seed, "parents": [run.key]}
        return study.record("attend", config, watch) | {"row": recipe.row}

    return study.store.get("attend", attend_key(study, recipe, seed), compute, needs=FILE)


def spread_clip(tracklet: np.ndarray, frames: int) -> np.ndarray:
    """(T,) of a tracklet's (n,) images, the middle ones of T equal parts: a training clip without its chance."""
    return tracklet[((np.arange(frames) + 0.5) * len(tracklet) / frames).astype(int)]


def one_clip_each(rows: pd.DataFrame, frames: int) -> np.ndarray:
    """(N, T) index of a clip of every tracklet of some rows, in the order of the tracklets."""
    rows = rows.sort_values(["sequence", "frame"], kind="stable")
    return np.stack([spread_clip(part.index.to_numpy(), frames) for _, part in rows.groupby("sequence")])


@torch.no_grad()
def of_frames(
    model: nn.Module, data: StudyData, scene: Scene, scaled: Recipe, device: torch.device
) -> dict[str, Tensor]:
    """What a clip's frames weigh, as they are and after one of them, drawn once for all models, was erased from."""
    rows = data.opened(scene).rows(scene.split)
    clips = one_clip_each(rows[rows["role"] == "query"], scaled.clip_frames)  # (m, T)
    pixels = data.some_images(scene, pd.Index(clips.ravel()), scaled.height, scaled.width, device)
    clean = normalise(pixels, scaled.augmentation.scale)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(scaled.clip_frames, (len(clips),), generator=generator)
    boxes = torch.zeros(clips.size, 4, dtype=torch.int64)
    boxes[torch.arange(len(clips)) * scaled.clip_frames + chosen] = patches(len(clips), scaled, generator)
    erased = erase(clean, boxes.to(device))
    tensors = {"chosen": chosen}
    for name, seen in (("clean", clean), ("erased", erased)):
        parts = seen.unflatten(0, clips.shape).split(BATCH)
        found = [model.aggregate(model.frames(x.flatten(0, 1)).unflatten(0, x.shape[:2])) for x in parts]
        tensors[f"{name}_weights"] = torch.cat([clip.weights for clip in found]).cpu()
        tensors[f"{name}_scores"] = torch.cat([clip.scores for clip in found]).cpu()
    shown = torch.arange(min(SHOWN, len(clips)))
    if "visible" in rows:
        tensors["visible"] = torch.tensor(rows["visible"].loc[clips.ravel()].to_numpy().reshape(clips.shape)).float()
        shown = (tensors["visible"].amax(1) - tensors["visible"].amin(1)).argsort(descending=True, stable=True)[:SHOWN]
    pixels = pixels.cpu().unflatten(0, clips.shape)[shown]
    patch = boxes.unflatten(0, clips.shape)[shown]
    gone = torch.stack([erase(x, b) for x, b in zip(pixels, patch, strict=True)])
    return tensors | {"shown": shown, "shown_pixels": pixels, "shown_erased": gone}


@torch.no_grad()
def of_clips(model: nn.Module, data: StudyData, scaled: Recipe, classes: dict[str, Tensor]) -> dict[str, Tensor]:
    """The class-aware attention of training clips, as they are and erased, by the vectors (K, D) of each kind."""
    device = next(iter(classes.values())).device
    rows = data.training_rows(*scaled.trained_on)
    images = data.training_images(*scaled.trained_on, scaled.height, scaled.width, device)
    kept = rows.drop_duplicates("sequence").groupby("label").head(EACH)["sequence"]
    clips = one_clip_each(rows[rows["sequence"].isin(kept)], scaled.clip_frames)  # (L, T)
    labels = torch.tensor(rows["label"].to_numpy()[clips[:, 0]]).to(device)
    boxes = patches(clips.size, scaled, torch.Generator().manual_seed(0)).to(device).unflatten(0, clips.shape)
    features = {"clean": [], "erased": []}
    for part, patch in zip(torch.from_numpy(clips).to(device).split(BATCH), boxes.split(BATCH), strict=True):
        seen = normalise(images[part.flatten()], scaled.augmentation.scale)
        for name, x in (("clean", seen), ("erased", erase(seen, patch.flatten(0, 1)))):
            features[name].append(model.clips(model.frames(x).unflatten(0, part.shape)))
    temperature = scaled.training.osm_temperature
    return {
        f"{kind}_{name}": class_aware_attention(torch.cat(x), labels, vectors, temperature=temperature).float().cpu()
        for kind, vectors in classes.items()
        for name, x in features.items()
    }


def patches(count: int, scaled: Recipe, generator: torch.Generator) -> Tensor:
    """(count, 4) boxes as random erasing draws them in training, each of them erased."""
    seen: Augmentation = scaled.augmentation
    return draw_boxes(
        count, scaled.height, scaled.width, area=seen.erasing_area, aspect=seen.erasing_aspect, generator=generator
    )
