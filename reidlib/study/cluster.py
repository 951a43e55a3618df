"""Jobs on a Slurm cluster, through submitit: all of them as one array, into a store that its machines share.

    reid study --profile gpu --executor submitit --slurm slurm_partition=gpu --slurm slurm_array_parallelism=32

A job computes what the store lacks of it, one that finds everything does nothing, and of several that ask for the same
run one computes and the others wait: an array may be submitted again at any time, also beside one that runs. A job that
Slurm stops before its time is queued again, and goes on from its last checkpoint. Jobs see the folders of the machine
that submits them, REID_DATA and the checkout, at the same paths.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from reidlib.study.jobs import Job, compute
from reidlib.study.needs import Need
from reidlib.study.provenance import source
from reidlib.study.runner import Study

MINUTES = 24 * 60  # of a job, before it is queued again
POLL = 1.0  # s


@dataclass(frozen=True)
class Task:
    """What a job runs: `compute` for a need and a seed, when the package's source is the one it was submitted with."""

    study: Study
    source: str

    def __call__(self, need: Need, seed: int) -> None:
        found = source()["source"]
        if found != self.source:
            raise ValueError(
                f"source: reidlib has changed since this job was submitted (source hash {found[:12]}, then "
                f"{self.source[:12]}); submit again, and leave the checkout alone until jobs have started"
            )
        compute(self.study, need, seed)

    def checkpoint(self, need: Need, seed: int):
        """What submitit queues when a job is preempted or out of time: the same again, from the run's checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, need, seed)


def submit_array(
    study: Study,
    jobs: Sequence[Job],
    *,
    cluster: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> None:
    """Submits jobs as one array and waits for all of them.

    cluster: "slurm", "local" (processes of this machine, all at once: for tests) or None, Slurm where there is one.
    parameters: of submitit's executor, such as timeout_min, mem_gb, slurm_partition, slurm_array_parallelism; a job has
    a GPU when the profile's device is "cuda", and one CPU core else.
    folder: of scripts and logs; None: `jobs/` beside the store.
    Raises ValueError without submitit, and when jobs failed, after the others are done, naming the first.
    """
    try:
        import submitit
    except ImportError as error:
        raise ValueError("executor: submitit is not installed; pip install 'reidlib[slurm]'") from error
    if not jobs:
        return
    folder = folder or study.store.root.parent / "jobs"
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
    resources = {"gpus_per_node": 1} if study.profile.device == "cuda" else {}
    given = {"name": f"reid-{study.profile.profile}", "timeout_min": MINUTES, "cpus_per_task": 1} | resources
    try:
        executor.update_parameters(**given | dict(parameters or {}))
    except (NameError, TypeError, ValueError) as error:
        raise ValueError(f"slurm: submitit takes no such parameter ({' '.join(str(error).split())})") from error
    bare = replace(study, benchmarks={}, galleries={}, advance=None, threads=1)  # one thread, as in a pool
    submitted = executor.map_array(Task(bare, source()["source"]), *zip(*jobs, strict=True))
    _wait(submitted, jobs, study.profile.profile)


def _wait(submitted: Sequence[Any], jobs: Sequence[Job], profile: str) -> None:
    failures = []
    waiting = list(zip(submitted, jobs, strict=True))
    with tqdm(total=len(jobs), desc=f"{profile}: {len(jobs)} jobs", unit="job") as bar:
        while waiting:
            done = [(job, asked) for job, asked in waiting if job.done()]
            waiting = [pair for pair in waiting if pair not in done]
            failures += [(job, asked) for job, asked in done if job.exception() is not None]
            bar.update(len(done))
            if not done:
                time.sleep(POLL)
    if failures:
        job, (need, seed) = failures[0]
        raise ValueError(
            f"executor: {len(failures)} of {len(jobs)} jobs failed, first {need.recipe.row!r}, seed {seed}: "
            f"{_reason(job)}; its log is {job.paths.stderr}, and the same command goes on with what is missing"
        )


def _reason(job: Any) -> str:
    """The last line of a failed job's traceback, which submitit puts between dashes, or what there is instead."""
    message = str(job.exception()).strip()
    parts = re.split(r"^-{5,}$", message, flags=re.MULTILINE)
    return parts[1].strip().splitlines()[-1] if len(parts) > 2 else message.splitlines()[0]
