"""A few kills of each cheap kind of work; `python benchmarks/faults.py` does hundreds, also of chapters and books."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from reidlib.study.provenance import ROOT

LOST = ("records_half_written", "locks_held", "runs_failed", "results_different", "left_behind")


@pytest.mark.parametrize(("kind", "kills"), [("store", 8), ("world", 4), ("train", 4)])
def test_nothing_is_lost(tmp_path, kind, kills):
    out = tmp_path / "faults.json"
    command = [sys.executable, "benchmarks/faults.py", "--kinds", kind, "--kills", str(kills), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert out.exists(), done.stderr
    count = json.loads(out.read_text())["kinds"][kind]
    assert count["kills"] == kills
    assert {name: count[name] for name in LOST} == dict.fromkeys(LOST, 0), count["messages"]
    assert done.returncode == 0
