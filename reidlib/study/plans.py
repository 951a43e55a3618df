"""What each chapter needs from the store, and how it is computed: every core a run, one bar with the time left."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

from tqdm import tqdm

from reidlib.data.sampling import iterations_per_epoch
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import vtrm
from reidlib.study.runner import Study
from reidlib.study.store import Entry


@dataclass(frozen=True)
class Need:
    """One recipe under some rankings; publish_features when the chapter ranks its features anew."""

    recipe: Recipe
    rankings: tuple[Ranking, ...]
    publish_features: bool = False


def _mgn() -> list[Need]:
    plain_and_reranked = (Ranking(rerank=False), Ranking(rerank=True))
    return [Need(recipe, plain_and_reranked) for recipe in vtrm.table1().values()]


def _vtrm() -> list[Need]:
    reranked = [*vtrm.table2("mean").values(), *vtrm.table2("min").values()]
    return [Need(vtrm.six_times(), (*dict.fromkeys(reranked), *vtrm.on_plain().values()), publish_features=True)]


def _worlds() -> list[Need]:
    return []  # drawn from the spec


CHAPTERS: dict[str, Callable[[], list[Need]]] = {"worlds": _worlds, "mgn": _mgn, "vtrm": _vtrm}


def run(study: Study, chapters: list[str]) -> None:
    """Computes everything that the chapters need and the store lacks.

    On the CPU each core trains one run on one thread: two runs of two threads each wait for each other, and one
    thread's sums do not depend on the number of cores. A GPU takes one run after the other.
    """
    if not _jobs(study, chapters):
        return
    study.data.dataset  # noqa: B018  opened or rendered now, so that keys are those of the data on this disk
    jobs = _jobs(study, chapters)
    form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} elapsed, {remaining} left"
    workers = 1 if study.device.type == "cuda" else max(1, min(os.cpu_count() or 1, len(jobs)))
    context = multiprocessing.get_context("spawn")
    done = context.Value("d", 0.0)
    os.environ["TQDM_DISABLE"] = "1"  # for the workers: this process has its own bar
    try:
        with (
            tqdm(total=sum(_cost(study, *job) for job in jobs), bar_format=form) as bar,
            ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(study, done)) as pool,
        ):
            bar.set_description(f"{study.profile.profile}: {len(jobs)} runs")
            _follow({pool.submit(_compute, need, seed) for need, seed in jobs}, bar, done)
    except BrokenProcessPool as error:
        raise ValueError(
            "a training process was killed, perhaps for want of memory; the same command resumes"
        ) from error
    finally:
        del os.environ["TQDM_DISABLE"]


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
    for chapter in chapters:
        for need in CHAPTERS[chapter]():
            for seed in study.profile.seeds:
                if _lacks(study, need, seed):
                    key = study.train_key(need.recipe, seed)
                    before = jobs[key][0].rankings if key in jobs else ()
                    features = need.publish_features or (key in jobs and jobs[key][0].publish_features)
                    rankings = tuple(dict.fromkeys(before + need.rankings))
                    jobs[key] = replace(need, rankings=rankings, publish_features=features), seed
    return sorted(jobs.values(), key=lambda job: -_cost(study, *job))  # no core is idle at the end


def _cost(study: Study, need: Need, seed: int) -> float:
    """Training cost in arbitrary units, iterations times branches; next to nothing for a run that is trained."""
    if study.store.find("train", study.train_key(need.recipe, seed), needs="weights.safetensors"):
        return 1e-3
    options = need.recipe.scaled(study.profile).training
    images = len(study.data.dataset.rows("train"))
    return options.epochs * iterations_per_epoch(images, options.persons, options.images) * _branches(need.recipe)


def _branches(recipe: Recipe) -> int:
    return 1 + len(recipe.model_options.get("parts", ()))


def _lacks(study: Study, need: Need, seed: int) -> bool:
    if need.publish_features:
        key = study.features_key(need.recipe, seed, "val")
        if study.store.find("features", key, needs="features.safetensors") is None:
            return True
    return any(
        study.store.find("evaluate", study.evaluate_key(need.recipe, seed, ranking)) is None
        for ranking in need.rankings
    )


_worker: dict = {}


def _begin_worker(study: Study, done) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    study.threads = 1 if study.device.type == "cpu" else study.threads
    _worker.update(study=study, done=done)


def _compute(need: Need, seed: int) -> None:
    study, done = _worker["study"], _worker["done"]
    branches = _branches(need.recipe)

    def advance(iterations: int) -> None:
        with done.get_lock():
            done.value += iterations * branches

    study.advance = advance
    if need.publish_features:
        study.features(need.recipe, seed)
    for ranking in need.rankings:
        study.evaluate(need.recipe, seed, ranking)


def entries(study: Study, chapters: list[str]) -> list[tuple[Entry, bool]]:
    """Every record behind the chapters, once, and whether its features are published with it; after `run`."""
    found: dict[str, tuple[Entry, bool]] = {}
    for chapter in chapters:
        for need in CHAPTERS[chapter]():
            for seed in study.profile.seeds:
                key = study.features_key(need.recipe, seed, "val")
                published = need.publish_features or (key in found and found[key][1])
                file = "features.safetensors" if published else None
                found[key] = study.store.find("features", key, needs=file), published
                others = [study.evaluate(need.recipe, seed, ranking) for ranking in need.rankings]
                found |= {entry.key: (entry, False) for entry in [*others, study.find_training(need.recipe, seed)]}
    return list(found.values())
