"""Every parameter of every chapter with a wrong type, a value out of range, and beside it a name that is unknown."""

from __future__ import annotations

import ast
import math
from functools import cache

import nbformat
import numpy as np
import pytest
import torch

from reidlib.cli import main
from reidlib.curation import Curation, mean_losses
from reidlib.study import chapter, long_tracklet, scatter
from reidlib.study.aggregation import SHOWN
from reidlib.study.fusing import Fusion
from reidlib.study.needs import CHAPTERS
from reidlib.study.profile import Profile, load_profile
from reidlib.study.provenance import ROOT
from reidlib.study.ranking import Gallery, Ranking
from reidlib.study.recipes import ica, vtrm

EVERY = sorted(CHAPTERS)
WRONG = {  # of another type
    "int": ["x", "1", 1.5, True, None, [1], {}],
    "float": ["x", "0.5", None, True, [1.0], {}],
    "str": [1, 1.5, None, True, ["a"], {}],
    "bool": ["maybe", "True", 1, 0.0, None, [True]],
    "list": ["0", 0, None, {"a": 1}],
    "dict": [[], "x", 1, None, {"resnet50": 1}, {1: "resnet18"}, {"resnet50": None}],
}
FACTOR, COUNT = [0.0, -1.0, 1.5, math.nan, math.inf, 1e300], [0, -1, 10**30]
OUT_OF_RANGE = {
    "profile": ["", "../outside", "/elsewhere/x", "a/b", ".hidden", "a\0b", "a\nb", "x" * 300],
    "data": ["", "nonsense", "Worlds"],
    "train_ids": COUNT,
    "val_ids": COUNT,
    "test_ids": COUNT,
    "image_scale": FACTOR,
    "epoch_scale": FACTOR,
    "batch_scale": FACTOR,
    "backbone_width": FACTOR,
    "part_dim": [-1, 10**9],
    "seeds": [[], [0, 0], [-1], [2**70], ["a"], [1.5], [True], [[0]], [None]],
    "device": ["", "gpu", "cuda:0"],
    "precision": ["", "fp16"],
}


@cache
def parameters(name: str) -> str:
    cells = nbformat.read(ROOT / "chapters" / f"{name}.ipynb", as_version=4).cells
    return next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))


def namespace(name: str) -> tuple[dict, dict[str, str]]:
    """What a chapter's notebook holds after its first cell, and the types of its parameters."""
    source = parameters(name)
    held = {"In": ["", source]}
    exec(source, held)
    del held["__builtins__"]
    lines = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
    return held, {node.target.id: ast.unparse(node.annotation) for node in lines}


def refusal(held: dict) -> str:
    with pytest.raises(ValueError) as caught:
        chapter.begin(held)
    text = str(caught.value)
    assert text and "\n" not in text
    return text


@pytest.mark.parametrize("name", EVERY)
def test_a_wrong_type(name):
    kinds = namespace(name)[1]
    for parameter, kind in kinds.items():
        for value in WRONG[kind]:
            held = namespace(name)[0] | {parameter: value}
            assert parameter in refusal(held), (parameter, value)


@pytest.mark.parametrize("name", EVERY)
def test_a_value_out_of_range(name):
    kinds = namespace(name)[1]
    assert set(OUT_OF_RANGE) <= set(kinds)
    for parameter, values in OUT_OF_RANGE.items():
        for value in values:
            held = namespace(name)[0] | {parameter: value}
            assert parameter in refusal(held), (parameter, value)


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_name(name):
    kinds = namespace(name)[1]
    for parameter in kinds:
        held = namespace(name)[0] | {f"{parameter}_": 1}
        assert refusal(held).startswith(f"unknown parameter '{parameter}_'; did you mean '")


def gallery() -> Gallery:
    labels = {name: torch.arange(3) for name in ("person", "camera", "sequence", "frame")}
    return Gallery(torch.eye(3), torch.eye(3), labels, labels)


OWN = {  # chapter -> parameter -> what the chapter does with it, and values that it must refuse
    "vtrm": {
        "window": (lambda x: Ranking(window=x), [-1]),
        "reference": (None, []),
        "aggregate": (lambda x: Ranking(aggregate=x), ["", "median"]),
        "rerank": (None, []),
        "query_frame": (gallery()._asked_from, [-1, 3, 10**30]),
    },
    "fusion": {
        "window": (lambda x: Ranking(window=x), [-1]),
        "method": (lambda x: Fusion(vtrm.LOCAL_1, method=x), ["", "borda"]),
        "ties_by": (lambda x: Fusion(vtrm.LOCAL_1, ties_by=x), ["", "both"]),
        "scaled": (None, []),
        "tied": (lambda x: Fusion(vtrm.LOCAL_1, tied=x), ["", "max"]),
        "submission": (None, []),
    },
    "along": {
        "since": (lambda x: mean_losses(np.ones((4, 3)), x), [-0.1, 1.0, 1e300, math.nan, math.inf]),
        "delete": (lambda x: Curation(delete=x), [-0.1, 1.0, math.nan, math.inf]),
        "hard": (lambda x: Curation(hard=x), [-0.1, 1.0, math.nan, math.inf]),
        "audit_file": (None, []),
    },
    "ica": {
        "clips_shown": (None, []),  # below
        "tsne_seed": (lambda x: scatter.embed(torch.zeros(2, 2, 3), x), [-1, 2**32, 10**30]),
        "tracklet_frames": (
            lambda x: long_tracklet.peak_memory(ica.model(ica.MARS, ica.BOTH), load_profile("smoke"), x),
            [0, -1, 10**30],
        ),
    },
}


@pytest.mark.parametrize("name", EVERY)
def test_a_chapter_s_own_parameters_out_of_range(name):
    of_profile = set(Profile.__dataclass_fields__)
    own = OWN.get(name, {})
    assert set(own) == set(namespace(name)[1]) - of_profile, "a parameter that this test does not know"
    for parameter, (use, values) in own.items():
        for value in values:
            with pytest.raises(ValueError) as caught:
                use(value)
            assert "\n" not in str(caught.value), parameter


def test_clips_shown_out_of_range():
    from reidlib.study.aggregation import Aggregation

    for count in (0, -1, SHOWN + 1):
        with pytest.raises(ValueError, match=f"clips_shown: wants 1 to {SHOWN}"):
            Aggregation.maps(None, count)


@pytest.mark.parametrize(
    "arguments",
    [
        ["study", "--profile", "nonsense"],
        ["study", "--profile", "../../etc/passwd"],
        ["train", "--root", "/nowhere"],
        ["world", "--out", "/proc/world"],
        ["world", "--out", "{home}/world", "--train-ids", "0"],
        ["world", "--out", "{home}/world", "--val-ids", "-3"],
        ["store", "export"],
        ["store", "import", "--folder", "/nowhere"],
        ["store", "list"],
    ],
    ids=" ".join,
)
def test_a_command_s_arguments(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    assert main([argument.format(home=tmp_path) for argument in arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"reid {arguments[0]}: ") and told.count("\n") == 1


@pytest.mark.parametrize("option", ["--height", "--width", "--epochs", "--seed"])
@pytest.mark.parametrize("value", ["-1", "0", "10000000000000000000000", "x"])
def test_options_of_one_s_own_training(option, value, tmp_path, monkeypatch, capsys):
    if option == "--seed" and value == "0":  # which would train
        pytest.skip("a good seed")
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    for split in ("train", "test"):
        for number in range(4):
            path = tmp_path / "images" / split / f"p{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            from PIL import Image

            Image.new("RGB", (16, 32), (number, 0, 0)).save(path)
    try:
        status = main(["train", "--root", str(tmp_path / "images"), "--device", "cpu", option, value])
    except SystemExit as stopped:  # argparse
        status = stopped.code
    assert status == 2
    assert option.strip("-") in capsys.readouterr().err.splitlines()[-1]
