"""Jobs side by side on one machine: every core a run, or as many as a GPU holds, with one bar of the time left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace

import torch
from tqdm import tqdm

from reidlib.study.jobs import GPU_BYTES, Job, compute, cost, gpu_memory, weight
from reidlib.study.needs import Need
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study

# How a worker takes memory, which glibc reads when a process starts and other C libraries do not: it keeps what it has
# got, as large pages. A step asks for the sizes of the step before, and a virtual machine is slow to give pages: see
# `benchmarks/training.py`.
MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # madvise
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # bytes; larger blocks go back; the most that all versions take
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


def side_by_side(study: Study, jobs: Sequence[Job]) -> None:
    """Computes jobs in processes of this machine, in their order.

    On the CPU each core trains one run on one thread: two runs of two threads each wait for each other, and one
    thread's sums do not depend on the number of cores. A GPU takes as many runs side by side as `_at_once` says.
    """
    form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} elapsed, {remaining} left"
    workers = min(len(jobs), _at_once(study, [need.recipe for need, _ in jobs])) or 1
    # Without its tables: a worker reads more than a pipe holds only when it has imported torch, and until then the next
    # one is not started.
    bare = replace(study, benchmarks={}, galleries={})
    context = multiprocessing.get_context("spawn")
    done = context.Value("d", 0.0)
    try:
        with (
            _environment({"TQDM_DISABLE": "1"} | MEMORY),  # of the workers: this process has its own bar
            tqdm(total=sum(cost(study, *job) for job in jobs), bar_format=form) as bar,
            ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(bare, done)) as pool,
        ):
            bar.set_description(f"{study.profile.profile}: {len(jobs)} runs")
            _follow({pool.submit(_compute, need, seed) for need, seed in jobs}, bar, done)
    except BrokenProcessPool as error:
        raise ValueError(
            "a training process was killed, perhaps for want of memory; the same command resumes"
        ) from error


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets those that the user has not set, for processes that are started within."""
    added = variables.keys() - os.environ.keys()
    os.environ.update({name: variables[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _at_once(study: Study, recipes: list[Recipe]) -> int:
    """How many runs are computed side by side: one a core; on a GPU no more than its free memory holds.

    A small run leaves most of a GPU idle while it waits for its own next kernel, and others fill it.
    """
    cores = os.cpu_count() or 1
    if study.device.type != "cuda":
        return cores
    free, _ = torch.cuda.mem_get_info(study.device)
    largest = max((gpu_memory(study, recipe) for recipe in recipes), default=GPU_BYTES)
    return max(1, min(cores, int(free // largest)))


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
    each = weight(study, need.recipe)

    def advance(iterations: int) -> None:
        with done.get_lock():
            done.value += iterations * each

    study.advance = advance
    compute(study, need, seed)
