"""One's own images: the documented command on a real folder, at smoke size, and what it says when it cannot."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from reidlib.cli import main
from reidlib.study.own import train_on_folder
from reidlib.study.provenance import ROOT
from reidlib.study.store import read_record

VEHICLES = ROOT.parent / "shared" / "data" / "vehicle-reid" / "images"
PATTERN = r"(?P<person>\w+_\d+)_cam(?P<camera>\d+)"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.skipif(not VEHICLES.is_dir(), reason="the vehicle images are not beside this checkout")
def test_vehicles_from_scratch(home):
    record = train_on_folder(VEHICLES, PATTERN, height=32, width=32, epochs=2, backbone_width=0.125)
    metrics = record["metrics"]
    assert len(metrics["average_precision"]) == 60
    assert metrics["mAP"] > 0.078  # chance: the mean of 1/r over 60 ranks, H(60) / 60
    trained = [read_record(path) for path in home.glob("store/train/*/record.json")]
    assert [r["images"] for r in trained] == [1014]
    assert record["config"]["ranking"]["protocol"] == "market1501"


def colours(root, persons=4, images=3):
    """A folder of plain colours with noise: train/, and test/ with two images a person."""
    rng = np.random.default_rng(0)
    for split, count in (("train", images), ("test", 2)):
        for person in range(persons):
            for number in range(count):
                pixels = np.clip(rng.integers(0, 60, (32, 16, 3)) + 45 * np.array([person, 3 - person, 1]), 0, 255)
                path = root / split / f"p{person}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def test_command_on_a_folder_of_persons(tmp_path, capsys):
    root = colours(tmp_path / "mine")
    arguments = ["train", "--root", str(root), "--height", "32", "--width", "16", "--epochs", "1", "--device", "cpu"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "mAP" in first and "on 4 queries" in first
    assert main(arguments) == 0  # from the store
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "root"),
        (lambda root: (root / "train").mkdir(parents=True), "train"),
        (lambda root: (colours(root) / "train" / "p0" / "0.png").write_bytes(b"no image"), "0.png"),
        (lambda root: [p.unlink() for p in sorted((colours(root) / "train" / "p0").iterdir())[1:]], "p0"),
        (lambda root: shutil.rmtree(colours(root) / "test"), "test"),
    ],
)
def test_bad_folders_end_in_one_sentence(tmp_path, capsys, prepare, message):
    root = tmp_path / "mine"
    prepare(root)
    assert main(["train", "--root", str(root), "--height", "32", "--width", "16", "--epochs", "1"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("reid train: ") and message in error


def test_profile_with_an_unknown_key(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text((ROOT / "params" / "smoke.yaml").read_text() + "epoch_scal: 2\n")
    assert main(["study", "--profile", str(path)]) == 2
    assert "unknown key 'epoch_scal'; did you mean 'epoch_scale'?" in capsys.readouterr().err


def test_store_export_and_import(tmp_path, capsys):
    root = colours(tmp_path / "mine")
    main(["train", "--root", str(root), "--height", "32", "--width", "16", "--epochs", "1", "--device", "cpu"])
    capsys.readouterr()
    assert main(["store", "export", "--folder", str(tmp_path / "moved")]) == 0
    assert "3 records" in capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in (tmp_path / "moved").glob("*/*/record.json")]
    assert {record["stage"] for record in records} == {"train", "features", "evaluate"}
    assert not list((tmp_path / "moved").glob("train/*/weights.safetensors"))
    assert main(["store", "import", "--folder", str(tmp_path / "none")]) == 2


def test_the_pages_own_lines_rank_what_was_trained(tmp_path, capsys, monkeypatch):
    """Every Python block of book/your-data.md, as printed there."""
    monkeypatch.chdir(tmp_path)
    root = colours(tmp_path / "my_images")
    main(["train", "--root", str(root), "--height", "32", "--width", "16", "--epochs", "1", "--device", "cpu"])
    capsys.readouterr()
    ranked, scored = re.findall(r"```python\n(.*?)```", (ROOT / "book" / "your-data.md").read_text(), re.DOTALL)
    exec(ranked, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" -> ")[0] for line in lines] == [f"test/p{person}/0.png" for person in range(4)]
    assert all(len(set(line.split()[2:])) == 4 for line in lines)  # the whole gallery
    exec(scored, {})
    assert "tensor" not in capsys.readouterr().out
