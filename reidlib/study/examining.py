"""A trained model of clips looked at: where it looks, and how far augmentation scatters the frames of a clip.

The figures of report `ica` and the numbers that go with them, as files of a stage of their own: weights are not
published. Shapes: m queries, L clips, T frames in a clip, D feature, h w a layer's map, H W pixels, R draws.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from reidlib import gradcam
from reidlib.augment import normalise
from reidlib.checkpoint import save_tensors
from reidlib.data.sampling import every_clip
from reidlib.study.data import EVALUATED, Scene, StudyData
from reidlib.study.provenance import Stopwatch
from reidlib.study.recipe import Recipe
from reidlib.study.runner import VERSIONS, Study
from reidlib.study.scatter import AS_IT_IS, MODES, ratio, silhouette
from reidlib.study.store import Entry, key_of

FILE = "examined.safetensors"
SHOWN = 3  # clips whose pixels and maps are kept
# Figure 3 of the report: "ten identities, and each ID contains two video clips with twelve frames".
PERSONS, CLIPS, FRAMES = 10, 2, 12
DRAWS = 10  # of the augmentation


def examine_key(study: Study, recipe: Recipe, seed: int) -> str:
    return key_of("examine", VERSIONS["examine"], {}, [study.train_key(recipe, seed)])


def examined(study: Study, recipe: Recipe, seed: int) -> Entry:
    """A run of a recipe of clips looked at on its benchmark's evaluation split, `examined.safetensors`.

    cam_entropy, cam_consistency: (m,) of the maps of every query's first clip. cam_stage: the backbone's, whose maps
    they are; cam_cells: (2,) its h and w. cam_maps, cam_pixels: (SHOWN, T, h, w) and (SHOWN, T, 3, H, W) of some
    queries, evenly spread. person: (L,) whose clips are augmented. For each of
    `scatter.MODES`: <mode>_ratio and <mode>_silhouette, (R, L), and <mode>_features, (L, T, D) float16 of one draw.
    """

    def compute(folder: Path, work: Path) -> dict[str, Any]:
        run = study.train(recipe, seed)
        query = study.gallery(recipe, seed, EVALUATED[recipe.benchmark]).query
        torch.set_num_threads(study.threads)
        watch = Stopwatch(study.device)
        scaled = recipe.scaled(study.profile)
        model = study.trained(recipe, seed)
        data, scene = study.data_of(recipe.benchmark, seed), EVALUATED[recipe.benchmark]
        tensors = looked_at(model, data, scene, scaled, query.to(study.device))
        tensors |= scattered(model, data, scene, scaled, study.device)
        save_tensors(folder / FILE, tensors)
        config = {"scene": asdict(scene), "seed": seed, "parents": [run.key]}
        return study.record("examine", config, watch) | {"row": recipe.row}

    return study.store.get("examine", examine_key(study, recipe, seed), compute, needs=FILE)


def _tracklets(data: StudyData, scene: Scene) -> pd.DataFrame:
    """A scene's images in the order of tracklets and frames."""
    return data.opened(scene).rows(scene.split).sort_values(["sequence", "frame"], kind="stable")


def looked_at(
    model: nn.Module, data: StudyData, scene: Scene, scaled: Recipe, towards: Tensor, batch: int = 16
) -> dict[str, Tensor]:
    """The maps of the first clip of every query, weighted by what it shares with the whole tracklet's feature.

    towards: (m, D) the features of the queries, in the order of their tracklets.
    """
    name, layer = gradcam.cam_layer(model.backbone, scaled.height, scaled.width)
    rows = _tracklets(data, scene)
    clips = [
        part.index.to_numpy()[every_clip(len(part), scaled.clip_frames)[0]]
        for _, part in rows[rows["role"] == "query"].groupby("sequence")
    ]
    index = pd.Index(np.concatenate(clips))
    pixels = data.some_images(scene, index, scaled.height, scaled.width, towards.device)
    pixels = pixels.unflatten(0, (len(clips), scaled.clip_frames))  # (m, T, 3, H, W)
    maps = []
    for start in range(0, len(clips), batch):
        part = pixels[start : start + batch]
        normal = normalise(part.flatten(0, 1), scaled.augmentation.scale).unflatten(0, part.shape[:2])
        maps.append(gradcam.grad_cam(model, normal, towards[start : start + batch], layer).float().cpu())
    found = torch.cat(maps)  # (m, T, h, w)
    shown = torch.linspace(0, len(found) - 1, SHOWN).long()
    return {
        "cam_entropy": gradcam.entropy(found).nanmean(dim=1),
        "cam_consistency": gradcam.consistency(found),
        "cam_cells": torch.tensor(found.shape[2:]),
        "cam_stage": torch.tensor(int(name[-1])),
        "cam_maps": found[shown].half(),
        "cam_pixels": pixels[shown.to(pixels.device)].cpu(),
    }


@torch.no_grad()
def scattered(
    model: nn.Module, data: StudyData, scene: Scene, scaled: Recipe, device: torch.device
) -> dict[str, Tensor]:
    """The frame features of the persons with the longest tracklets, their clips augmented in each of the modes.

    Fewer persons than PERSONS where the split has fewer; a tracklet shorter than FRAMES is looped.
    """
    rows = _tracklets(data, scene)
    rows = rows[rows["person"] > 0]
    lengths = rows.groupby(["person", "sequence"]).size().sort_values(ascending=False, kind="stable")
    chosen = lengths.groupby("person").head(CLIPS)
    shortest = chosen.groupby("person").agg(["min", "size"])
    longest = shortest[shortest["size"] == CLIPS]["min"].sort_values(ascending=False, kind="stable")
    persons = sorted(longest.index[:PERSONS])
    index, of = [], []
    for person in persons:
        for sequence in sorted(chosen[person].index):
            part = rows.index[rows["sequence"] == sequence].to_numpy()
            index.append(part[np.arange(FRAMES) % len(part)])
            of.append(person)
    pixels = data.some_images(scene, pd.Index(np.concatenate(index)), scaled.height, scaled.width, device)
    tensors: dict[str, Tensor] = {"person": torch.tensor(of)}
    for mode, frames in MODES.items():
        draws = []
        for seed in range(1 if mode == AS_IT_IS else DRAWS):
            generator = torch.Generator(device).manual_seed(seed)
            changed = replace(scaled.augmentation, frames=frames) if frames else None
            seen = changed.apply(pixels, generator) if changed else normalise(pixels, scaled.augmentation.scale)
            draws.append(model.eval().frames(seen).float().cpu().unflatten(0, (len(of), FRAMES)))  # (L, T, D)
        tensors[f"{mode}_ratio"] = torch.stack([ratio(x) for x in draws])
        tensors[f"{mode}_silhouette"] = torch.stack([silhouette(x) for x in draws])
        tensors[f"{mode}_features"] = draws[0].half()
    return tensors
