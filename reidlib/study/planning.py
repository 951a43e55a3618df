"""What a profile would train, run by run, without training, rendering or reading anything that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from reidlib.data import Dataset
from reidlib.data.holdout import hold_out
from reidlib.data.worlds import CourtsideSpec, crosswalk, frozen_manifest, plan
from reidlib.study import plans
from reidlib.study.data import SPLITS, WORLDS, StudyData
from reidlib.study.estimate import Speed, memory, network_of
from reidlib.study.jobs import iterations
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import attention
from reidlib.study.runner import Study
from reidlib.study.search import search_of

# Persons and images of a benchmark's splits, as published with it; of every split of those that have several.
PUBLISHED = {
    "synergyreid": {"train": (436, 8_569), "val": (50, 960)},  # the challenge of 2021
    "market1501": {"train": (751, 12_936)},  # Zheng et al. (ICCV 2015)
    "mars": {"train": (625, 509_914)},  # Zheng et al. (ECCV 2016), its list of tracklets
    "ilidsvid": {"train": (150, 2 * 150 * 73)},  # Wang et al. (ECCV 2014): 73 frames a tracklet in the mean
    "prid2011": {"train": (89, 2 * 89 * 100)},  # Hirzer et al. (SCIA 2011): 100, likewise
}
UNLABELLED = ("synergyreid",)  # whose test split's labels the organisers keep


@dataclass(frozen=True)
class StandIn:
    """Data that are not on this disk, as far as a plan asks for them: how many persons and images they have."""

    name: str
    table: pd.DataFrame
    manifest_hash: str
    root: Path = Path()

    rows = Dataset.rows


@dataclass(frozen=True)
class Planned:
    """One recipe's runs. images: of the training set, before a curation; shown: drawn in all steps of one run; bytes:
    see `estimate.memory`; flop: of a step; runs: its seeds; done: how many of them the store has."""

    recipe: Recipe
    images: int
    steps: int
    shown: int
    parameters: int
    bytes: float
    flop: float
    runs: int
    done: int


def planned(study: Study, chapters: Sequence[str]) -> list[Planned]:
    """The runs behind some chapters, one entry a recipe, in the chapters' order.

    Counts and keys of data that are not on this disk are those of what would be there: see `missing`.
    """
    for which, data in _missing(study).items():
        study.benchmarks[which] = data
    groups: dict[str, list[tuple[str, Recipe, int]]] = {}
    for key, (recipe, seed) in plans.runs(study, list(chapters)).items():
        groups.setdefault(repr((recipe.scaled(study.profile).config(), recipe.row)), []).append((key, recipe, seed))
    bar = tqdm(groups.values(), desc="plan", unit="recipe", leave=False)
    return [_planned(study, group) for group in bar]


def _planned(study: Study, runs: list[tuple[str, Recipe, int]]) -> Planned:
    _, recipe, seed = runs[0]
    scaled = recipe.scaled(study.profile)
    # The same people: a world with other knobs need not be there.
    plain = replace(recipe, knobs=(), curation=None, first_model=None, pretrained=None)
    rows = study.data_for(plain, seed).training_rows(plain.train_on)
    network = network_of(scaled, rows["label"].nunique())
    steps = iterations(study, plain, seed)
    return Planned(
        recipe=recipe,
        images=len(rows),
        steps=steps,
        shown=steps * scaled.batch_images,
        parameters=network.parameters,
        bytes=memory(scaled, network, len(rows)),
        flop=network.flop,
        runs=len(runs),
        done=sum(study.store.find("train", key) is not None for key, _, _ in runs),
    )


def missing(study: Study, benchmarks: Iterable[str] = WORLDS) -> dict[str, str]:
    """For each benchmark whose data are not on this disk: what has to be done about it."""
    found = {}
    for benchmark in benchmarks:
        data = StudyData(study.profile, study.dataset, benchmark)
        if data.spec is not None:
            if not data.world_folder().exists():
                found[benchmark] = f"the world {data.world_folder().name} is not rendered yet; `reid study` renders it"
        else:
            try:
                data.dataset  # noqa: B018  opened
            except ValueError as error:
                found[benchmark] = str(error)
    return found


def _missing(study: Study) -> dict[tuple[str, int, float], StudyData]:
    """Data with stand-ins, for what `Study.data_of` is asked for."""
    found = {}
    for benchmark in missing(study):
        for split, held_out in product(range(SPLITS.get(benchmark, 1)), (0.0, attention.HELD_OUT)):
            data = StudyData(study.profile, None, benchmark, split, held_out)
            table = _world_table(data.spec) if data.spec is not None else _published_table(benchmark)
            frozen = frozen_manifest(data.spec) if data.spec is not None else None
            whole = StandIn(benchmark, table, frozen or f"{benchmark}, not on this disk")
            if held_out and (table["split"] == "val").any():
                continue  # it has one of its own
            data.dataset = hold_out(whole, held_out) if held_out else whole
            found[benchmark, split, held_out] = data
    return found


@lru_cache
def _world_table(spec: CourtsideSpec | crosswalk.CrosswalkSpec) -> pd.DataFrame:
    if isinstance(spec, CourtsideSpec):
        return plan(spec)
    return crosswalk.plan(spec).rename(columns={"tracklet": "sequence"})


@lru_cache
def _published_table(benchmark: str) -> pd.DataFrame:
    """So many persons and images, the images dealt out one by one; everyone is seen by two cameras."""
    parts = []
    for split, (persons, images) in PUBLISHED[benchmark].items():
        number = np.arange(images)
        camera = number // persons % 2
        sequence = 2 * (number % persons) + camera
        role = "train" if split == "train" else np.where(number < persons, "query", "gallery")
        columns = {"person": number % persons, "camera": camera, "sequence": sequence, "split": split, "role": role}
        parts.append(pd.DataFrame(columns))
    person = -1 if benchmark in UNLABELLED else 0
    parts.append(pd.DataFrame({"person": [person], "camera": 0, "sequence": 0, "split": "test", "role": "query"}))
    return pd.concat(parts, ignore_index=True)


def plan_text(study: Study, chapters: Sequence[str], speeds: Sequence[Speed]) -> str:
    """The plan as text: a line a recipe, the totals, and what is not known. speeds: see `estimate.speeds`."""
    absent = missing(study)
    found = planned(study, chapters)
    letters = [chr(ord("a") + number) for number in range(len(speeds))]
    header = ["runs", "done", "images", "steps", "shown", "parameters", "memory", "TFLOP"]
    lines = [header + [f"time {letter}" for letter in letters]]
    lines += [_cells(one, speeds) for one in found]
    names = ["benchmark, report, row", *_names([one.recipe for one in found])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join([*(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), name])
        for line, name in zip(lines, names, strict=True)
    ]
    text += [
        "",
        f"{sum(one.runs for one in found)} runs, {sum(one.done for one in found)} of them done.",
        "steps, shown (images in all steps), TFLOP and time: of one run's training. memory: of its tensors, with all "
        "training images.",
    ]
    for letter, speed in zip(letters, speeds, strict=True):
        left = sum((one.runs - one.done) * speed.seconds(one.flop, one.steps) for one in found)
        text.append(
            f"time {letter}: on {speed.device}, {1e3 * speed.overhead:.1f} ms a step and {speed.rate / 1e12:.3g} "
            f"TFLOP/s, measured by benchmarks/training.py; what is left, one run after the other: {_duration(left)}."
        )
    if not speeds:
        text.append("No times: they are computed from what benchmarks/training.py measures, and it has no record here.")
    if "attention" in chapters and not (search := search_of(study)).finished:
        text.append(f"Not listed: {search.total - len(search.trials)} later trials of the search, and its winner.")
    counts = "those of its specification" if study.profile.data == "worlds" else "the published ones"
    used = {one.recipe.benchmark for one in found}
    return "\n".join(text + [f"{b}: counts are {counts}; {absent[b]}." for b in absent if b in used])


def _cells(one: Planned, speeds: Sequence[Speed]) -> list[str]:
    counts = [f"{number:,}" for number in (one.runs, one.done, one.images, one.steps, one.shown)]
    cost = [f"{one.parameters / 1e6:.1f} M", f"{one.bytes / 1e9:.2f} GB", f"{one.steps * one.flop / 1e12:,.0f}"]
    return counts + cost + [_duration(speed.seconds(one.flop, one.steps)) for speed in speeds]


def _names(recipes: Sequence[Recipe]) -> list[str]:
    """Benchmark, report and row; where another recipe has the same, what differs from the first that has it."""
    first: dict[str, Recipe] = {}
    names = []
    for recipe in recipes:
        name = f"{recipe.benchmark}, {recipe.report}, {recipe.row}"
        changes = recipe.changes(first.setdefault(name, recipe))
        names.append(", ".join([name, *(f"{field} {value}" for field, value, _ in changes)]))
    return names


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"
