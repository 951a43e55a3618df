"""A stage of the store: the models of the synthesis under every choice of post-processing, each scored and timed.

Shapes: C cells, m queries.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidlib.checkpoint import save_tensors
from reidlib.retrieval.metrics import Evaluation, evaluate, evaluate_rankings
from reidlib.study.costs import one_thread
from reidlib.study.data import VAL
from reidlib.study.fusing import rank_fused
from reidlib.study.provenance import Stopwatch
from reidlib.study.ranking import Gallery, distances, forget, labels, rank
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import processing, synthesis
from reidlib.study.recipes.processing import Cell
from reidlib.study.runner import VERSIONS, Study
from reidlib.study.store import Entry, key_of

FILE = "factorial.safetensors"
SCENES = (VAL, synthesis.FLIPPED)
NOTHING = Cell((synthesis.FULL,), ())


def factorial_key(study: Study, seed: int) -> str:
    parents = [study.features_key(r, seed, scene) for r in synthesis.models().values() for scene in SCENES]
    config = {"cells": [cell.config() for cell in processing.cells()]}
    return key_of("factorial", VERSIONS["factorial"], config, parents)


def factorial(study: Study, seed: int) -> Entry:
    """Every cell of `processing.cells` with one seed, `factorial.safetensors`: average_precision (C, m) float64.

    The record has the cells' names, mAP and seconds: of expansion, distances, re-ranking, walk and fusion, from
    features in memory to a ranking, on one thread, nothing kept from the cell before; without the metrics.
    """

    def compute(folder: Path, work: Path) -> dict[str, Any]:
        galleries = {
            (name, flip): study.gallery(recipe, seed, scene)
            for name, recipe in synthesis.models().items()
            for flip, scene in enumerate(SCENES)
        }
        with one_thread():
            watch = Stopwatch(torch.device("cpu"))
            _timed(Cell(synthesis.MEMBERS, processing.STEPS, processing.VOTE), galleries)  # compiles what is compiled
            found = [_timed(cell, galleries) for cell in processing.cells()]
            record = study.record("factorial", {"seed": seed, "data": study.data.manifest_hash}, watch)
        scores = torch.tensor(np.stack([evaluation.average_precision for _, evaluation in found]))
        save_tensors(folder / FILE, {"average_precision": scores})
        cells = [
            {"name": cell.name, "seconds": round(seconds, 4), "mAP": float(evaluation.mAP)}
            for cell, (seconds, evaluation) in zip(processing.cells(), found, strict=True)
        ]
        return record | {
            "row": "post-processing",
            "images": sum(map(len, (galleries[synthesis.FULL, 0].query, galleries[synthesis.FULL, 0].gallery))),
            "cells": cells,
        }

    return study.store.get("factorial", factorial_key(study, seed), compute, needs=FILE)


def _timed(cell: Cell, galleries: Mapping[tuple[str, int], Gallery]) -> tuple[float, Evaluation]:
    """Seconds and scores of a cell, with no distance in memory when it begins."""
    used = [galleries[name, int("flip" in cell.steps)] for name in cell.models]
    forget()
    start = time.perf_counter()
    if cell.fused is None:
        rankings = rank(used[0], cell.ranking)
        by_distance = None if cell.ranking.vtrm else distances(used[0], cell.ranking)[0]
    else:
        rankings, by_distance, _ = rank_fused(used, cell.fused)
    seconds = time.perf_counter() - start
    asked, protocol = labels(used[0]), cell.ranking.protocol
    if by_distance is None:
        return seconds, evaluate_rankings(rankings, *asked, protocol=protocol)
    return seconds, evaluate(by_distance, *asked, protocol=protocol)


@dataclass(frozen=True)
class FactorialNeed:
    """The stage as a chapter's need, computed by one process: the cells are timed."""

    seeds: tuple[int, ...] = ()
    files: tuple[str, ...] = (FILE,)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(synthesis.models().values())

    @property
    def scenes(self) -> tuple:
        return SCENES

    def find(self, study: Study, seed: int) -> Entry | None:
        return study.store.find("factorial", factorial_key(study, seed), needs=FILE)

    def compute(self, study: Study, seed: int) -> Entry:
        return factorial(study, seed)
