"""Which runs the chapters need, and what is published of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from reidlib.study.attending import FILE as ATTENDED
from reidlib.study.attending import attend_key, attended
from reidlib.study.examining import FILE as EXAMINED
from reidlib.study.examining import examine_key, examined
from reidlib.study.jobs import Job, cost
from reidlib.study.needs import CHAPTERS, JOINT, Need
from reidlib.study.pool import side_by_side
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study
from reidlib.study.store import Entry

FEATURES, AUDIT = "features.safetensors", "audit.safetensors"
Executor = Callable[[Study, Sequence[Job]], None]


def run(study: Study, chapters: list[str], executor: Executor = side_by_side) -> None:
    """Computes everything that the chapters need and the store lacks.

    executor: what computes jobs into the study's store, by itself or elsewhere, and comes back when they are there:
    `pool.side_by_side`, `group.torchrun` or `cluster.submit_array`, with their options bound.
    """
    while True:  # a search knows its next trials, and a choice what is to be confirmed, when the last needs are met
        if jobs := _jobs(study, chapters):
            for benchmark in sorted(set().union(*(_benchmarks(need) for need, _ in jobs))):
                study.data_of(benchmark).dataset  # noqa: B018  rendered now: keys are those of the data on this disk
            _render_scenes(study, jobs)
            executor(study, _jobs(study, chapters))
            continue
        joint = [
            job for job in _with_seeds(study, _needs(study, chapters, JOINT)) if job[0].find(study, job[1]) is None
        ]
        if not joint:
            return
        joint.sort(key=lambda job: job[1])  # seed by seed: its members' distances are kept
        for need, seed in tqdm(joint, desc="of several runs", leave=False):
            need.compute(study, seed)


def _render_scenes(study: Study, jobs: Sequence[Job]) -> None:
    """Renders the worlds of scenes with knobs: the seeds of a recipe reach one side by side, and each would draw it."""
    for need, seed in jobs:
        ranked = {
            scene
            for ranking, scene in need.evaluations
            if scene.knobs and not study.store.find("evaluate", study.evaluate_key(need.recipe, seed, ranking, scene))
        }
        for scene in ranked | {scene for scene in need.features if scene.knobs}:
            if not study.store.find("features", study.features_key(need.recipe, seed, scene), needs=FEATURES):
                study.scene_data(need.recipe, seed, scene).opened(scene)


def _benchmarks(need: Need) -> set[str]:
    """On which a need is trained and ranked."""
    scenes = [*need.features, *(scene for _, scene in need.evaluations)]
    return {need.recipe.benchmark} | {scene.benchmark for scene in scenes if scene.benchmark}


def _jobs(study: Study, chapters: list[str]) -> list[Job]:
    """One job a training run that lacks something, the rankings of all chapters together; long runs first."""
    jobs: dict[str, Job] = {}
    for need, seed in _with_seeds(study, _members(study, chapters)):
        if _lacks(study, need, seed):
            key = study.train_key(need.recipe, seed)
            before = jobs[key][0] if key in jobs else Need(need.recipe, ())
            evaluations = tuple(dict.fromkeys(before.evaluations + need.evaluations))
            features = tuple(dict.fromkeys(before.features + need.features))
            audit, examine = before.audit or need.audit, before.examine or need.examine
            jobs[key] = Need(need.recipe, evaluations, features, audit, examine, before.attend or need.attend), seed
    # what others read first, then the longest: no core is idle at the end
    read = {study.train_key(need.recipe.pretrained, seed) for need, seed in jobs.values() if need.recipe.pretrained}

    def order(item: tuple[str, Job]) -> tuple[bool, float]:
        key, (need, seed) = item
        return not (need.audit or key in read), -cost(study, need, seed)

    return [job for _, job in sorted(jobs.items(), key=order)]


def runs(study: Study, chapters: list[str]) -> dict[str, tuple[Recipe, int]]:
    """Every training run behind the chapters by its key, with those that others read; trained or not."""
    asked = [(need.recipe, seed) for need, seed in _with_seeds(study, _needs(study, chapters, Need))]
    joint = _with_seeds(study, _needs(study, chapters, JOINT))
    asked += [(recipe, seed) for need, seed in joint for recipe in need.recipes]
    asked += [(read, seed) for recipe, seed in asked for read in (recipe.first_model, recipe.pretrained) if read]
    return {study.train_key(recipe, seed): (recipe, seed) for recipe, seed in asked}


def _with_seeds(study: Study, needs: list) -> Iterator[tuple[Any, int]]:
    return ((need, seed) for need in needs for seed in need.seeds or study.profile.seeds)


def _needs(study: Study, chapters: list[str], kind: type | tuple[type, ...]) -> list:
    return [need for chapter in chapters for need in CHAPTERS[chapter](study) if isinstance(need, kind)]


def _members(study: Study, chapters: list[str]) -> list[Need]:
    """The needs of single runs: the chapters' own, first models, and members of fusions, where these are missing."""
    needs = _needs(study, chapters, Need)
    for need in _needs(study, chapters, JOINT):
        lacking = tuple(seed for seed in need.seeds or study.profile.seeds if need.find(study, seed) is None)
        if lacking:
            needs += [Need(recipe, (), features=need.scenes, seeds=lacking) for recipe in need.recipes]
    lacking = [need.recipe for need, seed in _with_seeds(study, needs) if _lacks(study, need, seed)]
    return needs + [Need(recipe.first_model, (), audit=True) for recipe in lacking if recipe.first_model]


def _lacks(study: Study, need: Need, seed: int) -> bool:
    wanted = [("features", study.features_key(need.recipe, seed, scene), FEATURES) for scene in need.features]
    wanted += [("train", study.train_key(need.recipe, seed), AUDIT)] if need.audit else []
    wanted += [("examine", examine_key(study, need.recipe, seed), EXAMINED)] if need.examine else []
    wanted += [("attend", attend_key(study, need.recipe, seed), ATTENDED)] if need.attend else []
    wanted += [("evaluate", study.evaluate_key(need.recipe, seed, *asked), None) for asked in need.evaluations]
    return any(study.store.find(stage, key, needs=file) is None for stage, key, file in wanted)


def entries(study: Study, chapters: list[str]) -> list[tuple[Entry, list[str]]]:
    """Every record behind the chapters, once, and which of its files are published with it; what lacks is computed."""
    run(study, chapters)  # side by side: asked for one by one below, a chapter's runs would be trained one by one
    found: dict[str, tuple[Entry, list[str]]] = {}

    def add(entry: Entry, files: list[str]) -> None:
        found[entry.key] = max((entry, files), found.get(entry.key, (entry, [])), key=lambda pair: len(pair[1]))

    for need, seed in _with_seeds(study, _needs(study, chapters, Need)):
        for ranking, scene in need.evaluations:
            add(study.evaluate(need.recipe, seed, ranking, scene), [])
        if need.audit:
            add(study.audit(need.recipe, seed), [AUDIT])
        else:
            add(study.find_training(need.recipe, seed), [])
        if need.examine:
            add(examined(study, need.recipe, seed), [EXAMINED])
        if need.attend:
            add(attended(study, need.recipe, seed), [ATTENDED])
        for scene in {scene for _, scene in need.evaluations} | set(need.features):
            files = [FEATURES] if scene in need.features else []
            key = study.features_key(need.recipe, seed, scene)
            add(study.store.find("features", key, needs=files[0] if files else None), files)
    for need, seed in _with_seeds(study, _needs(study, chapters, JOINT)):
        add(need.compute(study, seed), list(need.files))
    return list(found.values())
