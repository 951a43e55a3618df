"""Jobs one after the other, each by several processes together: torchrun and DistributedDataParallel.

    reid study --profile paper --executor torchrun --processes 4

For runs that are too long or too large for one GPU; many small ones are done sooner side by side. Training and features
are shared out (see reidlib.parallel), everything else is rank 0's. This module is also what torchrun starts.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from reidlib import parallel
from reidlib.study.jobs import Job, compute
from reidlib.study.needs import Need
from reidlib.study.pool import side_by_side
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study
from reidlib.study.store import Entry, Store

PATIENCE = timedelta(days=7)  # with a run that another machine is computing


def torchrun(study: Study, jobs: Sequence[Job], *, processes: int) -> None:
    """Computes jobs, each by so many processes of this machine together.

    A job whose batches they cannot share, such as one that mines its triplets in the whole batch, is computed by one.
    Raises ValueError for fewer than two processes, or more than there are GPUs when the study's device is one, and when
    a process stops.
    """
    if processes < 2:
        raise ValueError(f"processes: a group wants 2 or more, got {processes}")
    if study.device.type == "cuda" and processes > torch.cuda.device_count():
        raise ValueError(f"processes: each wants a GPU, and there are {torch.cuda.device_count()}, got {processes}")
    together = [job for job in jobs if _can_share(study, job[0].recipe, processes)]
    alone = [job for job in jobs if job not in together]
    if alone:
        print(f"{len(alone)} of {len(jobs)} runs cannot share their batches among {processes}: one process each")
    if together:
        with tempfile.TemporaryDirectory(prefix="reid-group-") as folder:
            path = Path(folder) / "jobs.pickle"
            path.write_bytes(pickle.dumps((replace(study, benchmarks={}, galleries={}, threads=1), together)))
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
            done = subprocess.run(
                [sys.executable, *launch, "-m", "reidlib.study.group", str(path)],
                check=False,
                env={"OMP_NUM_THREADS": "1"} | os.environ,
            )
        if done.returncode:
            raise ValueError("executor: a process of the group stopped, see the lines above; the same command resumes")
    if alone:
        side_by_side(study, alone)


def _can_share(study: Study, recipe: Recipe, processes: int) -> bool:
    """Whether a recipe and the ones whose runs it reads can be trained by so many processes."""
    for each in (recipe, recipe.first_model, recipe.pretrained):
        if each is not None:
            t = each.scaled(study.profile).training
            try:
                parallel.check_share(t.persons, t.images, t.triplet_shard, processes)
            except ValueError:
                return False
    return True


@dataclass(frozen=True)
class SharedStore:
    """A store as all processes of a group see it: what is there is what rank 0 finds, and what rank 0 writes.

    Every process must ask for the same results in the same order, as those do that compute the same thing.
    """

    store: Store
    device: torch.device

    @property
    def root(self) -> Path:
        return self.store.root

    def find(self, stage: str, key: str, *, needs: str | None = None) -> Entry | None:
        """As `Store.find`; another machine may write a result between the looks of two processes."""
        found = self.store.find(stage, key, needs=needs) if parallel.is_first() else None
        if parallel.first_says(found is not None, self.device):
            return found or self.store.find(stage, key, needs=needs)
        return None

    def get(
        self,
        stage: str,
        key: str,
        compute: Callable[[Path, Path], dict[str, Any]],
        *,
        needs: str | None = None,
    ) -> Entry:
        """As `Store.get`; where it is rank 0's to compute, all compute, and only rank 0's files are kept."""
        if parallel.is_first():
            begun = []

            def together(folder: Path, work: Path) -> dict[str, Any]:
                begun.append(parallel.first_says(True, self.device))
                return compute(folder, work)

            self.store.get(stage, key, together, needs=needs)
            if not begun:
                parallel.first_says(False, self.device)
        elif parallel.first_says(False, self.device):
            with tempfile.TemporaryDirectory(prefix="reid-group-") as folder:
                compute(Path(folder), self.store.root / stage / f"{key}.work")
        parallel.first_says(True, self.device)  # once rank 0's files are in their place
        return self.store.find(stage, key, needs=needs)


def share(study: Study, need: Need, seed: int) -> None:
    """One job by all processes of the group: training and features together, the rest by rank 0."""
    shared = replace(study, store=SharedStore(study.store, study.device))
    if need.audit:
        shared.audit(need.recipe, seed)
    if need.features or need.evaluations:
        for scene in dict.fromkeys([*need.features, *(scene for _, scene in need.evaluations)]):
            shared.features(need.recipe, seed, scene)
    else:
        shared.train(need.recipe, seed)
    if parallel.is_first():
        compute(study, need, seed)
    parallel.first_says(True, study.device)


def main(path: str) -> None:
    """What each process does: all jobs of a file that `torchrun` has written."""
    study, jobs = pickle.loads(Path(path).read_bytes())
    cuda = study.device.type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    for need, seed in jobs:
        share(study, need, seed)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
