"""The benchmark of training: every row of it at the smoke profile on the CPU, and `reid plan` reads its record."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from benchmarks import training
from reidlib.study.estimate import speeds


def test_every_row_measures_something(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))

    def here(arguments, seconds, alone):
        path = tmp_path / "row.json"
        {"compiled": training.compiled_rows, "worker": training.worker_row}[alone](training.Bench("cpu", True), path)
        return json.loads(path.read_text())

    monkeypatch.setattr(training, "in_another_process", here)
    out = tmp_path / "records" / "training-cpu.json"
    arguments = ["training.py", "--device", "cpu", "--tiny", "--seconds", "100000", "--out", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    training.main()
    record = json.loads(out.read_text())
    assert record["title"].startswith("Training MGN (resnet18_ibn, width 0.125) at 48 x 32, batches of 16, fp32")
    assert not [row for row in record["rows"] if "failed" in row or "left_out" in row]
    rows = {row["what"]: row for row in record["rows"]}
    assert rows["images of the world"]["images"] == 200 and rows["waits for the device"]["waits"] == 0
    steps = [name for name, row in rows.items() if "step_ms" in row]
    assert len(steps) == 13 and all(rows[name]["step_ms"] > 0 for name in steps)
    wanted = {"real_over_fixed_time", "worker_over_real_time", "times_conventional", "share_of_matrix_rate"}
    assert wanted <= rows["ratios"].keys()
    assert [speed.device for speed in speeds(out.parent, ["cpu", "cuda"])] == [record["machine"]["device"]]


def test_a_row_that_fails_and_one_without_time_are_rows(tmp_path):
    record = training.Record(training.Bench("cpu", tiny=True), tmp_path / "out.json", until=0.0)
    assert record.row("late", lambda: 1.0) is None
    record.until = float("inf")
    assert record.row("broken", lambda: 1 / 0) is None and record.row("whole", lambda: 2.0) == 2.0
    late, broken, whole = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert late["left_out"] == "0 s were left" and broken["failed"] == "ZeroDivisionError: division by zero"
    assert whole["step_ms"] == 2000 and whole["images_per_second"] == 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="says so where there is no CUDA device")
def test_without_a_device_it_says_so_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["training.py", "--out", str(tmp_path / "out.json")])
    training.main()
    assert "no CUDA device here, and nothing is measured" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
