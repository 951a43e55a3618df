"""The stage fuse: several runs of one seed ranked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from reidlib.study.data import VAL, Scene
from reidlib.study.fusing import RANKING, Fusion, save_ranking, score_fused
from reidlib.study.provenance import Stopwatch
from reidlib.study.recipe import Recipe, plain
from reidlib.study.runner import VERSIONS, Study
from reidlib.study.store import Entry, key_of


def fuse_key(study: Study, recipes: Sequence[Recipe], seed: int, fusion: Fusion, scene: Scene = VAL) -> str:
    config = plain(fusion) | {"query_frame": scene.query_frame}
    return key_of("fuse", VERSIONS["fuse"], config, [study.features_key(recipe, seed, scene) for recipe in recipes])


def fuse(
    study: Study,
    recipes: Sequence[Recipe],
    seed: int,
    fusion: Fusion,
    scene: Scene = VAL,
    *,
    needs: str | None = None,
) -> Entry:
    """The metrics of several runs of one seed fused; the galleries are the same images in the same order.

    needs: RANKING asks for the ranking too, `ranking.safetensors`, which most are published without.
    """
    parents = [study.features_key(recipe, seed, scene) for recipe in recipes]

    def compute(folder: Path, work: Path) -> dict[str, Any]:
        watch = Stopwatch(torch.device("cpu"))
        metrics, ranking = score_fused((study.gallery(recipe, seed, scene) for recipe in recipes), fusion)
        save_ranking(folder / RANKING, ranking)
        data = study.scene_data(recipes[0], seed, scene)
        config = {"fusion": asdict(fusion), "scene": asdict(scene), "seed": seed, "data": data.manifest_hash}
        config |= {"members": [recipe.row for recipe in recipes], "parents": parents}
        return study.record("fuse", config, watch) | {"row": f"{len(recipes)} models", "metrics": metrics}

    return study.store.get("fuse", fuse_key(study, recipes, seed, fusion, scene), compute, needs=needs)
