"""How what the chapters need is computed: every core a run, one bar with the time left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

import torch
from tqdm import tqdm

from reidlib.data.sampling import iterations_per_epoch
from reidlib.study.attending import FILE as ATTENDED
from reidlib.study.attending import attend_key, attended
from reidlib.study.examining import FILE as EXAMINED
from reidlib.study.examining import examine_key, examined
from reidlib.study.needs import CHAPTERS, JOINT, Need
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study
from reidlib.study.store import Entry

FEATURES, AUDIT = "features.safetensors", "audit.safetensors"
GPU_BYTES, GPU_BYTES_PER_PIXEL = 1.5e9, 9e3  # of a run: CUDA and the images; of a pixel of its batch at full width


def run(study: Study, chapters: list[str]) -> None:
    """Computes everything that the chapters need and the store lacks.

    On the CPU each core trains one run on one thread: two runs of two threads each wait for each other, and one
    thread's sums do not depend on the number of cores. A GPU takes as many runs side by side as `_at_once` says.
    """
    while True:  # a search knows its next trials, and a choice what is to be confirmed, when the last needs are met
        if jobs := _jobs(study, chapters):
            for benchmark in sorted(set().union(*(_benchmarks(need) for need, _ in jobs))):
                study.data_of(benchmark).dataset  # noqa: B018  rendered now: keys are those of the data on this disk
            _run_jobs(study, _jobs(study, chapters))
            continue
        joint = [
            job for job in _with_seeds(study, _needs(study, chapters, JOINT)) if job[0].find(study, job[1]) is None
        ]
        if not joint:
            return
        joint.sort(key=lambda job: job[1])  # seed by seed: its members' distances are kept
        for need, seed in tqdm(joint, desc="of several runs", leave=False):
            need.compute(study, seed)


def _benchmarks(need: Need) -> set[str]:
    """On which a need is trained and ranked."""
    scenes = [*need.features, *(scene for _, scene in need.evaluations)]
    return {need.recipe.benchmark} | {scene.benchmark for scene in scenes if scene.benchmark}


def _run_jobs(study: Study, jobs: list[tuple[Need, int]]) -> None:
    form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} elapsed, {remaining} left"
    workers = min(len(jobs), _at_once(study, [need.recipe for need, _ in jobs])) or 1
    # Without its tables: a worker reads more than a pipe holds only when it has imported torch, and until then the next
    # one is not started.
    bare = replace(study, benchmarks={}, galleries={})
    context = multiprocessing.get_context("spawn")
    done = context.Value("d", 0.0)
    os.environ["TQDM_DISABLE"] = "1"  # for the workers: this process has its own bar
    try:
        with (
            tqdm(total=sum(_cost(study, *job) for job in jobs), bar_format=form) as bar,
            ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(bare, done)) as pool,
        ):
            bar.set_description(f"{study.profile.profile}: {len(jobs)} runs")
            _follow({pool.submit(_compute, need, seed) for need, seed in jobs}, bar, done)
    except BrokenProcessPool as error:
        raise ValueError(
            "a training process was killed, perhaps for want of memory; the same command resumes"
        ) from error
    finally:
        del os.environ["TQDM_DISABLE"]


def _at_once(study: Study, recipes: list[Recipe]) -> int:
    """How many runs are computed side by side: one a core; on a GPU no more than its free memory holds.

    A small run leaves most of a GPU idle while it waits for its own next kernel, and others fill it.
    """
    cores = os.cpu_count() or 1
    if study.device.type != "cuda":
        return cores
    free, _ = torch.cuda.mem_get_info(study.device)
    largest = max((_gpu_memory(study, recipe) for recipe in recipes), default=GPU_BYTES)
    return max(1, min(cores, int(free // largest)))


def _gpu_memory(study: Study, recipe: Recipe) -> float:
    """Bytes that a training run takes at most: its batch by the pixels and channels, and what any process takes."""
    scaled = recipe.scaled(study.profile)
    pixels = scaled.batch_images * scaled.height * scaled.width
    return GPU_BYTES + GPU_BYTES_PER_PIXEL * pixels * scaled.model_options["width"]


def _follow(waiting: set[Future], bar: tqdm, done) -> None:
    """Moves the bar until all jobs are done; the first error, or Ctrl-C, ends them all."""
    try:
        while waiting:
            finished, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            bar.update(min(done.value, bar.total) - bar.n)
            for future in finished:
                future.result()
    except BaseException:
        for future in waiting:
            future.cancel()
        for process in multiprocessing.active_children():
            process.terminate()  # checkpoints are kept
        raise


def _jobs(study: Study, chapters: list[str]) -> list[tuple[Need, int]]:
    """One job a training run that lacks something, the rankings of all chapters together; long runs first."""
    jobs: dict[str, tuple[Need, int]] = {}
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

    def order(item: tuple[str, tuple[Need, int]]) -> tuple[bool, float]:
        key, (need, seed) = item
        return not (need.audit or key in read), -_cost(study, need, seed)

    return [job for _, job in sorted(jobs.items(), key=order)]


def _with_seeds(study: Study, needs: list) -> Iterator[tuple[Any, int]]:
    return ((need, seed) for need in needs for seed in need.seeds or study.profile.seeds)


def _needs(study: Study, chapters: list[str], kind: type | tuple[type, ...]) -> list:
    return [need for chapter in chapters for need in CHAPTERS[chapter](study) if isinstance(need, kind)]


def _members(study: Study, chapters: list[str]) -> list[Need]:
    """The needs of single runs: the chapters' own, first models, and members of fusions, where these are missing."""
    needs = _needs(study, chapters, Need)
    for need in _needs(study, chapters, JOINT):
        if any(need.find(study, seed) is None for seed in need.seeds or study.profile.seeds):
            needs += [Need(recipe, (), features=need.scenes) for recipe in need.recipes]
    lacking = [need.recipe for need, seed in _with_seeds(study, needs) if _lacks(study, need, seed)]
    return needs + [Need(recipe.first_model, (), audit=True) for recipe in lacking if recipe.first_model]


def _cost(study: Study, need: Need, seed: int) -> float:
    """Training cost in arbitrary units, iterations by weight; next to nothing for a run that is trained."""
    if study.store.find("train", study.train_key(need.recipe, seed), needs="weights.safetensors"):
        return 1e-3
    options = need.recipe.scaled(study.profile).training
    rows = study.data_for(need.recipe, seed).training_rows(*need.recipe.trained_on)
    if need.recipe.clip_frames:
        iterations = rows["label"].nunique() // options.persons
    else:
        iterations = iterations_per_epoch(len(rows), options.persons, options.images)  # before a curation
    return options.epochs * iterations * _weight(study, need.recipe)


def _weight(study: Study, recipe: Recipe) -> float:
    """What an iteration costs: images, branches and pixels."""
    scaled = recipe.scaled(study.profile)
    return scaled.batch_images * (1 + len(recipe.model_options.get("parts", ()))) * scaled.height * scaled.width


def _lacks(study: Study, need: Need, seed: int) -> bool:
    wanted = [("features", study.features_key(need.recipe, seed, scene), FEATURES) for scene in need.features]
    wanted += [("train", study.train_key(need.recipe, seed), AUDIT)] if need.audit else []
    wanted += [("examine", examine_key(study, need.recipe, seed), EXAMINED)] if need.examine else []
    wanted += [("attend", attend_key(study, need.recipe, seed), ATTENDED)] if need.attend else []
    wanted += [("evaluate", study.evaluate_key(need.recipe, seed, *asked), None) for asked in need.evaluations]
    return any(study.store.find(stage, key, needs=file) is None for stage, key, file in wanted)


_worker: dict = {}


def _begin_worker(study: Study, done) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    study.threads = 1
    _worker.update(study=study, done=done)


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on training for nobody; checkpoints are kept."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _compute(need: Need, seed: int) -> None:
    study, done = _worker["study"], _worker["done"]
    weight = _weight(study, need.recipe)

    def advance(iterations: int) -> None:
        with done.get_lock():
            done.value += iterations * weight

    study.advance = advance
    if need.audit:
        study.audit(need.recipe, seed)
    for scene in need.features:
        study.features(need.recipe, seed, scene)
    if need.examine:
        examined(study, need.recipe, seed)
    if need.attend:
        attended(study, need.recipe, seed)
    for ranking, scene in need.evaluations:
        study.evaluate(need.recipe, seed, ranking, scene)


def entries(study: Study, chapters: list[str]) -> list[tuple[Entry, list[str]]]:
    """Every record behind the chapters, once, and which of its files are published with it; after `run`."""
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
