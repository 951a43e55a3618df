"""A run killed with SIGKILL and started again ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
from PIL import Image

from reidlib.study.provenance import ROOT
from reidlib.study.store import read_record

SCRIPT = """
import sys
import torch
from pathlib import Path
from reidlib.study.own import train_on_folder
torch.set_num_threads(1)
train_on_folder(Path(sys.argv[1]), None, height=32, width=16, epochs=8, backbone_width=0.125, device="cpu")
"""


def start(root, home):
    environment = os.environ | {"REID_DATA": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(root)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def weights(home):
    (record,) = [read_record(path) for path in home.glob("store/train/*/record.json")]
    return record["files"]["weights.safetensors"], record["resumed"]


def test_sigkill_and_again(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 2)):
        for person in range(16):
            for number in range(count):
                path = tmp_path / "images" / split / f"p{person}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(person, 255, (32, 16, 3), dtype=np.uint8)).save(path)
    killed = start(tmp_path / "images", tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("store/train/*.work/checkpoint.safetensors")):
        assert killed.poll() is None and time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert not list((tmp_path / "killed").glob("store/train/*/record.json")), "it was over before it was killed"
    assert start(tmp_path / "images", tmp_path / "killed").wait() == 0
    assert start(tmp_path / "images", tmp_path / "whole").wait() == 0
    (after_kill, resumed), (undisturbed, fresh) = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert resumed and not fresh
    assert after_kill == undisturbed


WORKER = """
import multiprocessing, sys, time
from pathlib import Path
from types import SimpleNamespace
from reidlib.study import pool

def work():
    pool._begin_worker(SimpleNamespace(), None)
    Path(sys.argv[1]).write_text("begun")
    time.sleep(600)

if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=work).start()
    time.sleep(600)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """They would train for nobody. Both hold the write end of a pipe: its end is read when both are gone."""
    begun = tmp_path / "begun"
    parent = subprocess.Popen([sys.executable, "-c", WORKER, str(begun)], cwd=ROOT, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    reader = threading.Thread(target=parent.stdout.read, daemon=True)
    reader.start()
    reader.join(timeout=30)
    assert begun.exists() and not reader.is_alive(), "the worker is still there"
