"""The book's explorer: the first images of every ranking of every query, and the pictures that they are.

A page of plain JavaScript shows them (book/_extra/explorer/explorer.js). It computes no distances: what it shows was
ranked by `reidlib.retrieval`, here from the features of the chapter on VTRM or, five models fused, when they were;
average precisions are the records' own, where there is one.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reidlib.study.data import VAL
from reidlib.study.fusing import RANKING, Fusion, score_fused
from reidlib.study.needs import explored
from reidlib.study.ranking import rank
from reidlib.study.recipes import vtrm
from reidlib.study.runner import Study

FOLDER = Path("_extra") / "explorer"
FIRST = 24  # images of each ranking
HEIGHT, WIDTH = 64, 32  # pixels of a picture
ACROSS, DOWN = 20, 20  # pictures on a sheet
QUALITY = 45  # of JPEG: the whole explorer stays below 3 MB


def write_explorer(study: Study, book: Path) -> list[Path]:
    """Writes data.js and the sheets of pictures into a book, in place of those there; returns their paths.

    The first seed's rankings, but for the vote of all seeds. Draws the world when it is not on disk. Raises ValueError
    when a gallery has more images than 16 bits can number.
    """
    folder = book / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("sheet-*.jpg"):
        old.unlink()
    found = explorer_data(study)
    text = json.dumps(found, separators=(",", ":"), allow_nan=False)
    paths = [folder / "data.js"]
    paths[0].write_text(f"window.EXPLORER_DATA = {text};\n", encoding="utf-8")
    pictures = _pictures(study)
    for number, start in enumerate(range(0, len(pictures), ACROSS * DOWN)):
        paths.append(folder / f"sheet-{number}.jpg")
        sheet = _sheet(pictures[start : start + ACROSS * DOWN])
        Image.fromarray(sheet).save(paths[-1], "jpeg", quality=QUALITY, optimize=True)
    return paths


def explorer_data(study: Study) -> dict[str, Any]:
    """What the page knows, as JSON values. Queries and gallery images are numbered as in the features' files."""
    recipe, seed = vtrm.six_times(), study.profile.seeds[0]
    gallery = study.gallery(recipe, seed)
    if len(gallery.gallery) >= 1 << 16:
        raise ValueError(f"gallery: the explorer numbers images in 16 bits, got {len(gallery.gallery)} images")
    rankings = []
    for ranking in [r for rerank in (False, True) for r in vtrm.table2("mean", rerank=rerank).values()]:
        entry = study.evaluate(recipe, seed, ranking)
        rankings.append(
            {"method": "walk" if ranking.vtrm else "distance", "reranked": ranking.rerank}
            | ({"window": ranking.window or 0, "reference": ranking.reference} if ranking.vtrm else {})
            | {"record": f"{entry.record['stage']}/{entry.key}"}
            | _of_queries(entry.record["metrics"]["average_precision"], rank(gallery, ranking))
        )
    rankings += _fusions(study)
    return {
        "profile": study.profile.profile,
        "seed": seed,
        "first": min(FIRST, len(gallery.gallery)),
        "picture": {"height": HEIGHT, "width": WIDTH, "across": ACROSS, "down": DOWN},
        "query": _numbers(gallery.query_labels),
        "gallery": _numbers(gallery.gallery_labels),
        "rankings": rankings,
    }


def _fusions(study: Study) -> list[dict[str, Any]]:
    """The vote of one recipe's models of all seeds and, where published or in the store, that of report vtrm's five.

    The features of the five are too large to be published: their ranking is, as it was when they were fused.
    """
    need, seed = explored(study), study.profile.seeds[0]
    models = {study.train_key(recipe, seed): name.removesuffix(" Local-2") for name, recipe in vtrm.table3().items()}
    one = models[study.train_key(vtrm.six_times(), seed)]
    ranking, precision = vote(study, need.fusion)
    seeds = [f"{one}, seed {number}" for number in study.profile.seeds]
    found = [_voted(seeds, need.fusion) | _of_queries(precision, ranking)]
    if entry := need.find(study, seed):
        found.append(
            _voted(list(models.values()), need.fusion)
            | {"record": f"{entry.record['stage']}/{entry.key}"}
            | _of_queries(entry.record["metrics"]["average_precision"], entry.tensors(RANKING)["ranking"])
        )
    return found


def _voted(models: list[str], fusion: Fusion) -> dict[str, Any]:
    walk = fusion.ranking
    return {"method": fusion.method, "models": models, "window": walk.window, "reranked": walk.rerank}


def vote(study: Study, fusion: Fusion) -> tuple[Tensor, list[float | None]]:
    """(m, n) one recipe's models of all seeds fused, and each query's average precision."""
    galleries = [study.gallery(vtrm.six_times(), seed) for seed in study.profile.seeds]
    metrics, ranking = score_fused(galleries, fusion)
    return ranking, metrics["average_precision"]


def _of_queries(precision: list[float | None], ranking: Tensor) -> dict[str, Any]:
    """Average precision in percent, and the first images as base64 of little-endian 16 bits, query after query."""
    first = ranking[:, :FIRST].numpy().astype("<u2")
    percent = [None if value is None else round(100 * value, 3) for value in precision]
    return {"precision": percent, "order": base64.b64encode(first.tobytes()).decode()}


def _numbers(found) -> dict[str, list[int]]:
    return {name: found[name].tolist() for name in ("person", "frame")}


def _pictures(study: Study) -> np.ndarray:
    """(n + m, H, W, 3) uint8: the gallery, then the queries."""
    rows = study.data.opened(VAL).rows(VAL.split).reset_index(drop=True)
    images = study.data.images(VAL, HEIGHT, WIDTH, torch.device("cpu")).permute(0, 2, 3, 1).numpy()
    return np.concatenate([images[rows["role"] == role] for role in ("gallery", "query")])


def _sheet(pictures: np.ndarray) -> np.ndarray:
    """Up to ACROSS * DOWN pictures in reading order on one (H, W, 3) picture of full width."""
    lines = -(-len(pictures) // ACROSS)
    grid = np.zeros((lines * ACROSS, HEIGHT, WIDTH, 3), np.uint8)
    grid[: len(pictures)] = pictures
    grid = grid.reshape(lines, ACROSS, HEIGHT, WIDTH, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(lines * HEIGHT, ACROSS * WIDTH, 3)
