"""The same numbers twice: bit-identical on one thread and in deterministic mode, within a tolerance on more threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from reidlib.study.provenance import ROOT, device_name
from reidlib.study.store import all_entries

# Of two threads against one, after a training of 4 epochs: sums in another order, and what the steps make of them.
TOLERANCE = 1e-3  # of a feature vector's length; 4e-5 was seen
SCRIPT = """
import sys, torch
from pathlib import Path
from reidlib.study.own import train_on_folder
torch.set_num_threads(int(sys.argv[2]))
torch.use_deterministic_algorithms(sys.argv[3] == "deterministic")
train_on_folder(Path(sys.argv[1]), None, height=32, width=16, epochs=4, backbone_width=0.125, device="cpu")
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same training in four processes; where each keeps it."""
    from PIL import Image

    home = tmp_path_factory.mktemp("same")
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 2)):
        for person in range(16):
            for number in range(count):
                path = home / "images" / split / f"p{person}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(person, 255, (32, 16, 3), dtype=np.uint8)).save(path)
    runs = {"first": (1, "usual"), "again": (1, "usual"), "threads": (2, "usual")}
    runs |= {"deterministic": (1, "deterministic")}
    for name, (threads, mode) in runs.items():
        environment = os.environ | {"REID_DATA": str(home / name), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-c", SCRIPT, str(home / "images"), str(threads), mode]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return {name: {entry.record["stage"]: entry for entry in all_entries(home / name / "store")} for name in runs}


def numbers(entry) -> dict:
    """A record without dates, durations and the name of the device."""
    measured = {name: entry.record[name] for name in ("key", "config", "files", "metrics") if name in entry.record}
    curve = [{k: v for k, v in point.items() if k != "seconds"} for point in entry.record.get("curve", [])]
    return measured | {"curve": curve}


@pytest.mark.parametrize("name", ["again", "deterministic"])
@pytest.mark.parametrize("stage", ["train", "features", "evaluate"])
def test_records_are_bit_identical(stores, stage, name):
    """Weights and features by their SHA-256, losses and metrics to the last digit."""
    assert json.dumps(numbers(stores[name][stage])) == json.dumps(numbers(stores["first"][stage]))


def test_other_threads_change_last_bits_only(stores):
    one, two = (stores[name]["features"].tensors("features.safetensors") for name in ("first", "threads"))
    assert stores["threads"]["train"].record["threads"] == 2
    for side in ("query", "gallery"):
        apart = (one[side].float() - two[side].float()).norm(dim=1) / one[side].float().norm(dim=1)
        assert apart.max() < TOLERANCE
    assert stores["threads"]["evaluate"].key == stores["first"]["evaluate"].key


def test_the_device_says_that_it_is_deterministic(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    assert device_name(torch.device("cuda")) == "a card"
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert device_name(torch.device("cuda")) == "a card, deterministic"
