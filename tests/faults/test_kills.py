"""A few kills of the cheap kinds of work; `python benchmarks/faults.py` does hundreds, also of chapters and books."""

from __future__ import annotations

import json
import subprocess
import sys

from reidlib.study.provenance import ROOT

LOST = ("records_half_written", "locks_held", "runs_failed", "results_different", "left_behind")


def test_nothing_is_lost(tmp_path):
    out, kinds = tmp_path / "faults.json", ("store", "world", "train")
    command = [sys.executable, "benchmarks/faults.py", "--kinds", *kinds, "--kills", "3", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert out.exists(), done.stderr
    counts = json.loads(out.read_text())["kinds"]
    for kind in kinds:
        assert counts[kind]["kills"] == 3
        assert {name: counts[kind][name] for name in LOST} == dict.fromkeys(LOST, 0), counts[kind]["messages"]
    assert done.returncode == 0
