"""Arrays of jobs through submitit's local executor: real processes, a real store, no Slurm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from filelock import FileLock

from reidlib.cli import main
from reidlib.study import cluster, group, plans, publish
from reidlib.study.cluster import Task, submit_array
from reidlib.study.needs import CHAPTERS, Need
from reidlib.study.pool import side_by_side
from reidlib.study.profile import load_profile
from reidlib.study.provenance import source
from reidlib.study.recipes import ica
from reidlib.study.runner import Study
from reidlib.study.store import Store, all_entries

pytest.importorskip("submitit")


@pytest.fixture
def study(clip_study, tmp_path) -> Study:
    """Two seeds of one recipe are a chapter of its own, on a store of its own."""
    return Study(replace(load_profile("smoke"), epoch_scale=0.0001), Store(tmp_path / "store"), clip_study.dataset)


@pytest.fixture
def chapter(monkeypatch) -> list[str]:
    own, scene = ica.own(ica.MARS)
    models = ica.table1(ica.MARS)
    needs = [Need(recipe, ((own, scene),)) for recipe in list(models.values())[:1]]
    monkeypatch.setitem(CHAPTERS, "ica", lambda _: needs)
    return ["ica"]


def local(study, jobs):
    submit_array(study, jobs, cluster="local", parameters={"timeout_min": 10})


def stages(study) -> dict[str, int]:
    found = [entry.record["stage"] for entry in all_entries(study.store.root)]
    return {stage: found.count(stage) for stage in sorted(set(found))}


def test_a_chapters_runs_are_one_array_and_each_is_computed_once(study, chapter):
    sizes = []

    def executor(study, jobs):
        sizes.append(len(jobs))
        local(study, [*jobs, *jobs[:1]])  # one run is asked for by two processes at the same time

    plans.run(study, chapter, executor)
    assert sizes == [2], "all seeds at once, and nothing left for a second array"
    assert stages(study) == {"evaluate": 2, "features": 2, "train": 2}
    ends = {entry.key: entry.record["end"] for entry in all_entries(study.store.root)}
    assert not list(study.store.root.glob("*/*.work")), "no run was begun a second time"

    submitted = list((study.store.root.parent / "jobs").glob("*_submitted.pkl"))
    assert len(submitted) == 3
    plans.run(study, chapter, local)
    again = {entry.key: entry.record["end"] for entry in all_entries(study.store.root)}
    assert again == ends and len(sizes) == 1
    assert list((study.store.root.parent / "jobs").glob("*_submitted.pkl")) == submitted, "nothing was submitted"


def test_jobs_of_other_code_do_nothing(study, chapter, monkeypatch):
    stale = source() | {"source": "0" * 64}
    monkeypatch.setattr(cluster, "source", lambda: stale)  # of the process that submits
    jobs = plans._jobs(study, chapter)
    with pytest.raises(ValueError, match="2 of 2 jobs failed, first '.*', seed .: .*reidlib has changed since") as said:
        local(study, jobs)
    assert "source hash" in str(said.value) and "submit again" in str(said.value)
    assert not study.store.root.exists(), "no stage was begun"


def test_a_job_that_is_stopped_is_queued_again_as_it_was(study):
    need = Need(next(iter(ica.table1(ica.MARS).values())), ())
    again = Task(study, "hash").checkpoint(need, 3)
    assert again.function == Task(study, "hash") and again.args == (need, 3)


def test_a_run_that_another_process_computes_is_waited_for(study, chapter):
    """A lock that is held stands for a machine that is at it."""
    job, _ = plans._jobs(study, chapter)
    train = study.store.root / "train"
    train.mkdir(parents=True)
    key = study.train_key(job[0].recipe, job[1])
    with ThreadPoolExecutor(1) as pool:
        with FileLock(train / f"{key}.lock"):
            array = pool.submit(local, study, [job])
            with pytest.raises(TimeoutError):
                array.result(timeout=20)  # what an undisturbed job takes, twice over
            assert [path.name for path in train.iterdir()] == [f"{key}.lock"], "a second process was at it too"
        array.result()
    assert study.store.find("train", key)


def test_parameters_that_submitit_does_not_know(study, chapter):
    with pytest.raises(ValueError, match="^slurm: submitit takes no such parameter .*partitoin"):
        submit_array(study, plans._jobs(study, chapter), cluster="local", parameters={"partitoin": "gpu"})


def test_no_jobs_no_array(study):
    local(study, [])
    assert not (study.store.root.parent / "jobs").exists()


def test_the_commands_options_reach_the_executor(monkeypatch):
    """`reid study` with each of them; what the book is built of is not asked here."""
    given = []
    monkeypatch.setattr(publish, "study_book", lambda profile, **options: given.append(options))
    array = ["--executor", "submitit", "--slurm", "slurm_partition=gpu", "--slurm", "timeout_min=60"]
    for options in ([], ["--executor", "torchrun", "--processes", "4", "--compile"], array):
        assert main(["study", *options]) == 0
    inline, torchrun, submitit = (one["executor"] for one in given)
    assert inline is side_by_side and [one["compiled"] for one in given] == [False, True, False]
    assert torchrun.func is group.torchrun and torchrun.keywords == {"processes": 4}
    assert submitit.keywords == {"parameters": {"slurm_partition": "gpu", "timeout_min": 60}}


def test_a_parameter_without_a_value(capsys):
    assert main(["study", "--executor", "submitit", "--slurm", "gpu"]) == 2
    assert "--slurm: wants KEY=VALUE, such as slurm_partition=gpu, got 'gpu'" in capsys.readouterr().err
