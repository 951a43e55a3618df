"""A stage of the store: what a recipe costs on one thread of a CPU, from the time of some of its iterations.

Runs are trained side by side, on machines that differ, so that the seconds in their records do not compare. Here the
real loop is timed, alone, for a few iterations, and the rest is a product.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from reidlib import models
from reidlib.data.sampling import iterations_per_epoch
from reidlib.features import extract
from reidlib.study.provenance import Stopwatch
from reidlib.study.recipe import Recipe
from reidlib.study.runner import VERSIONS, Study
from reidlib.study.store import Entry, key_of
from reidlib.training import Harder, train

TIMED, FIRST_TIMED, EXTRACTED = 24, 8, 256  # iterations of a round, and for a first look; images
ROUNDS = 5  # a first look has one
SKIPPED = 4  # iterations before memory and caches are warm


@contextmanager
def one_thread() -> Iterator[None]:
    """What is computed within has one thread, of torch and of numba, which counts its own."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


def cost_key(study: Study, recipe: Recipe) -> str:
    return key_of("cost", VERSIONS["cost"], {}, [study.train_key(recipe, study.profile.seeds[0])])


def cost(study: Study, recipe: Recipe) -> Entry:
    """Seconds on one thread of this machine's CPU, of an iteration and of an image's features, medians over ROUNDS.

    A round's are the median over TIMED iterations and the mean over EXTRACTED images; a first look has one round of
    FIRST_TIMED. The record has iteration, image, and rounds, each one's iteration, in seconds, of a recipe of single
    images. It is a measurement: the same key gives another number on another machine.
    """

    def compute(folder: Path, work: Path) -> dict[str, Any]:
        cpu = torch.device("cpu")
        with one_thread():
            watch = Stopwatch(cpu)
            timed, rounds = (FIRST_TIMED, 1) if study.profile.first_look else (TIMED, ROUNDS)
            found = [_measured(recipe.scaled(study.profile), cpu, timed) for _ in range(rounds)]
            record = study.record("cost", {"recipe": recipe.scaled(study.profile).config()}, watch)
        iterations, images = zip(*found, strict=True)
        medians = {"iteration": float(np.median(iterations)), "image": float(np.median(images))}
        return record | {"row": recipe.row} | medians | {"rounds": list(iterations)}

    return study.store.get("cost", cost_key(study, recipe), compute)


def _measured(scaled: Recipe, device: torch.device, timed: int) -> tuple[float, float]:
    """Seconds of an iteration and of an image's features, of pixels that mean nothing and cost the same."""
    # One epoch in which every person is drawn once, at a rate at which nothing diverges.
    once = {"epochs": 1, "learning_rate": 1e-6, "milestones": (), "warmup_epochs": 0.0, "freeze_epochs": 0.0}
    options = replace(scaled.training, **once)
    persons = options.persons * (timed + SKIPPED)
    labels = torch.arange(persons).repeat_interleave(options.images)
    size = len(labels), 3, scaled.height, scaled.width
    images = torch.randint(256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = models.build(scaled.model, num_classes=persons, **scaled.model_options).to(device)
    ticks: list[float] = []
    train(
        model,
        images,
        labels,
        augmentation=scaled.augmentation,
        options=options,
        seed=0,
        harder=Harder(torch.zeros(len(labels), dtype=torch.bool), scaled.harder) if scaled.harder else None,
        advance=lambda done: ticks.append(time.perf_counter()),
    )
    start = time.perf_counter()
    extract(model, images[:EXTRACTED], precision=options.precision)
    image = (time.perf_counter() - start) / min(EXTRACTED, len(images))
    return float(np.median(np.diff(ticks)[SKIPPED:])), image


def with_first_models(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes, and what their curations read."""
    return [*recipes, *(recipe.first_model for recipe in recipes if recipe.first_model)]


def training_seconds(study: Study, recipes: Sequence[Recipe], seed: int) -> float:
    """What the runs of a seed cost by `cost`, and the first models of their curations; each run counts once."""
    total = 0.0
    for recipe in {study.train_key(recipe, seed): recipe for recipe in with_first_models(recipes)}.values():
        t = recipe.scaled(study.profile).training
        images = study.find_training(recipe, seed).record["images"]
        total += t.epochs * iterations_per_epoch(images, t.persons, t.images) * cost(study, recipe).record["iteration"]
    return total


@dataclass(frozen=True)
class CostNeed:
    """The stage as a chapter's need, computed by one process: what runs beside it would slow it down."""

    recipe: Recipe
    seeds: tuple[int, ...]  # the first one of the profile; a cost has no seed
    recipes: tuple[Recipe, ...] = ()
    scenes: tuple = ()
    files: tuple[str, ...] = ()

    def find(self, study: Study, seed: int) -> Entry | None:
        return study.store.find("cost", cost_key(study, self.recipe))

    def compute(self, study: Study, seed: int) -> Entry:
        return cost(study, self.recipe)
