"""Every benchmark runs at a tiny size and checks its own answers; the page is what its records make; no times."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import augmentation, compare, crowd, curves, dense, metrics, page, renderer, rerank, rerank_large, vtrm

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    rerank: ["--queries", "12", "--gallery", "90", "--rounds", "1"],
    rerank_large: ["--queries", "30", "--gallery", "300", "--persons", "20"],
    metrics: ["--queries", "12", "--gallery", "90", "--large", "20", "--large_gallery", "200", "--rounds", "1"],
    vtrm: ["--queries", "5", "--gallery", "40", "--sample", "2", "--rounds", "1"],
    renderer: ["--identities", "3", "--rounds", "1"],
    augmentation: ["--batch", "4", "--height", "32", "--width", "16", "--rounds", "1"],
    curves: ["--queries", "8", "--largest", "1000", "--walked", "50", "--rounds", "1"],
}


class Threads:
    """In place of a context of processes, each of which would import everything anew; those have tests below."""

    @staticmethod
    def Pipe():
        ours, theirs = multiprocessing.Pipe()
        return ours, SimpleNamespace(send=theirs.send, recv=theirs.recv, close=lambda: None)  # its thread has it too

    class Process(threading.Thread):
        def terminate(self):
            pass


@pytest.mark.parametrize("module", TINY, ids=lambda module: module.__name__.split(".")[-1])
def test_it_runs_and_its_record_makes_a_page(module, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "multiprocessing", SimpleNamespace(get_context=lambda kind: Threads))
    module.main([*TINY[module], "--out", str(tmp_path)])
    records = page.load(tmp_path)
    assert len(records) == 1 and records[0]["name"] == module.__name__.split(".")[-1]
    machine = records[0]["machine"]
    assert machine["cores"] > 0 and len(machine["load"]) == 3 and set(machine["versions"]) == set(compare.LIBRARIES)
    for row in records[0]["rows"]:
        assert all(min(side["seconds"]) > 0 for side in row["sides"].values())
        assert row["work"] in page.page(records)
    curved = {"benchmarks-gallery.svg", "benchmarks-persons.svg"} if module is curves else set()
    assert set(page.drawings(records)) == curved


def test_the_page_of_the_book_is_what_its_records_make():
    records = page.load()
    assert (ROOT / "book" / "benchmarks.md").read_text() == page.page(records, page.faults())
    for name, text in page.drawings(records).items():
        assert (ROOT / "book" / page.DRAWINGS / name).read_text() == text


def test_a_goal_is_met_by_its_bound_and_on_the_right_side(tmp_path):
    def line(value, **bound):
        return compare.row("walk", "1 × 1", "a stone", "as said", value, **bound)

    assert [line(2, at_least=3)["met"], line(3, at_least=3)["met"]] == [False, True]
    assert [line(2, at_most=1)["met"], line(0.5, at_most=1)["met"]] == [False, True]
    with pytest.raises(ValueError, match="one of at_least and at_most"):
        line(1)
    compare.write("later", 2, [line(2, at_least=3)], tmp_path)
    compare.write("sooner", 1, [line(3, at_least=3)], tmp_path, notes=["No device here."])
    records = page.load(tmp_path)
    assert [record["name"] for record in records] == ["sooner", "later"]
    assert "Of 2 goals 1 are met and 1 are missed." in page.page(records) and "No device here." in page.page(records)
    assert json.loads((tmp_path / "later.json").read_text())["rows"][0]["bound"] == 3


def test_the_goals_on_a_gpu_count_where_they_were_measured():
    """A training on the CPU has none."""
    ratios = {"what": "ratios", "real_over_fixed_time": 1.05, "times_conventional": 2.49}
    record = {"title": "Training MGN (big) at 384 x 128, batches of 128, bf16", "rows": [ratios], "order": 100,
              "machine": {"device": "NVIDIA H100", "commit": "c0ffee"}}
    shown = page.page([record | {"name": "training-cuda"}])
    assert "Of 2 goals 1 are met and 1 are missed." in shown
    assert "| training step, MGN (big), NVIDIA H100 | 384 x 128, batches of 128, bf16 | conventional loader |" in shown
    assert "2.49 × | **no** |" in shown and "1.05 × | yes |" in shown
    assert "goals" not in page.page([record | {"name": "training-cpu"}])


def test_no_record_no_page():
    with pytest.raises(ValueError, match="python -m benchmarks.run"):
        page.page([])


def allocate(mebibytes):
    return lambda: int(np.ones(mebibytes << 17).sum()) >> 17  # float64, so every page is touched


def threads():
    return lambda: [os.environ[name] for name in compare.THREADS]


def test_each_side_has_its_threads_and_this_process_keeps_its_own():
    before = dict(os.environ)
    found = compare.measure({"three": compare.Side(threads)}, rounds=1, threads=3)
    assert found["three"].answer == ["3"] * len(compare.THREADS) and os.environ == before


def fail():
    return lambda: 1 / 0


def test_each_side_has_its_own_memory_and_answer():
    sides = {"small": compare.Side(allocate, (20,)), "large": compare.Side(allocate, (200,), once=True)}
    found = compare.measure(sides, rounds=2)
    assert [found[name].answer for name in sides] == [20, 200]
    assert 15 < found["small"].memory < 60 and 190 < found["large"].memory < 260
    assert [len(found[name].seconds) for name in sides] == [2, 1]
    assert found["large"].total > found["large"].memory


def zeros(mebibytes):
    return lambda: np.zeros(mebibytes << 17)


def touched(values):
    values += 1
    return len(values) >> 17


def test_what_is_told_of_an_answer_is_no_part_of_the_work():
    found = compare.measure({"zeros": compare.Side(zeros, (200,), tell=touched)}, rounds=2)
    assert found["zeros"].answer == 200 and found["zeros"].memory < 20  # untouched pages take no memory


def test_a_share_of_the_work_is_multiplied_up():
    found = compare._measured([(2.0, 4.0, 1.0, 3.0, "answer")], share=0.5)
    assert found.seconds == [4.0] and found.cpu_seconds == [8.0] and found.memory == 1.0


def test_a_side_that_fails_ends_the_benchmark(capfd):
    with pytest.raises(RuntimeError, match="broken: its process ended"):
        compare.measure({"broken": compare.Side(fail)}, rounds=1)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_an_exponent_is_that_of_the_power():
    sizes = np.array([10, 100, 1000])
    assert curves.exponent(sizes, 3 * sizes**2.0) == pytest.approx(2)


def test_the_crowd_is_what_it_says():
    x, y, query_person, gallery_person = crowd.crowd(30, 400, 25, 16)
    assert x.shape == (30, 16) and y.shape == (400, 16) and x.dtype == np.float32
    assert set(query_person) <= set(gallery_person) == set(range(25))
    again = crowd.crowd(30, 400, 25, 16)
    assert all((a == b).all() for a, b in zip((x, y, query_person, gallery_person), again, strict=True))
    squared = crowd.squared(x, y)
    want = ((x[:, None].astype(float) - y[None]) ** 2).sum(2)
    np.testing.assert_allclose(squared, want, rtol=1e-5)
    same = query_person[:, None] == gallery_person
    assert squared[same].mean() < squared[~same].mean()


def test_the_dense_methods_by_hand():
    """A query at 0 and images at 1, 3 and 4: from 3, 4 is nearer than 1, and so it is seen in both walks."""
    place = np.array([1.0, 3.0, 4.0])
    query_gallery, gallery_gallery = place[None], abs(place[:, None] - place)
    assert dense.mine(query_gallery, gallery_gallery).tolist() == [[0, 1, 2]]
    assert dense.mine(np.array([[3.0, 0.1, 9.0]]), gallery_gallery).tolist() == [[1, 2, 0]]
    rankings = np.array([[[2, 0, 1, 3]], [[2, 1, 0, 3]], [[3, 2, 0, 1]]])
    distances = np.array([[[0.4, 0.5, 0.1, 0.9]], [[0.6, 0.45, 0.2, 0.9]], [[0.7, 0.8, 0.3, 0.2]]])
    assert dense.vote(rankings, distances).tolist() == [[2, 3, 0, 1]]
