"""The chapters as a reader runs them: the literal command, the smoke profile, parameters that are wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from papermill import inspect_notebook

from reidlib.study.needs import CHAPTERS
from reidlib.study.profile import PARAMS
from reidlib.study.provenance import ROOT


def run(*command, home: Path):
    """A command as a user types it in the checkout, with data in a folder of its own."""
    environment = os.environ | {"REID_DATA": str(home)}
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def parameters_cell(chapter: str) -> str:
    notebook = nbformat.read(ROOT / "chapters" / f"{chapter}.ipynb", as_version=4)
    return next(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_parameters_are_the_profiles_and_default_to_laptop(chapter):
    namespace: dict = {}
    exec(parameters_cell(chapter), namespace)
    for path in PARAMS.glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= set(namespace), path.name
    laptop = yaml.safe_load((PARAMS / "laptop.yaml").read_text())
    assert {key: namespace[key] for key in laptop} == laptop
    inferred = {parameter["name"] for parameter in inspect_notebook(ROOT / "chapters" / f"{chapter}.ipynb").values()}
    assert inferred == {name for name in namespace if not name.startswith("_")}, "papermill does not see them all"
    for line in parameters_cell(chapter).splitlines():
        assert "  # " in line, f"a parameter without its comment: {line}"


@pytest.mark.parametrize(
    ("chapter", "name", "value", "message"),
    [
        ("vtrm", "windw", "2", "unknown parameter 'windw'; did you mean 'window'?"),
        ("vtrm", "window", "two", "window: wants int, got 'two'"),
        ("vtrm", "window", "-1", "window: wants 1 or more images"),
        ("vtrm", "aggregate", "median", "aggregate: wants 'mean' or 'min', got 'median'"),
        ("vtrm", "reference", "maybe", "reference: wants bool, got 'maybe'"),
        ("fusion", "method", "borda", "method: wants one of vote, sum, got 'borda'"),
        ("mgn", "epoch_scale", "7", "epoch_scale: wants a factor"),
    ],
)
def test_a_wrong_parameter_stops_the_chapter(tmp_path, chapter, name, value, message):
    done = run("papermill", f"chapters/{chapter}.ipynb", tmp_path / "out.ipynb", "-p", name, value, home=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.chapters
def test_the_literal_command_uses_the_published_features(tmp_path):
    """`papermill chapters/vtrm.ipynb -p window 2` with its output redirected; nothing is rendered or trained."""
    done = run("papermill", "chapters/vtrm.ipynb", "-p", "window", "2", home=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    notebook = nbformat.reads(done.stdout, as_version=4)
    text = json.dumps(notebook)
    assert "(window 2, without reference, by the mean, on re-ranked distances)" in text
    assert not list(tmp_path.glob("worlds/*")) and not list(tmp_path.glob("store/train/*"))


@pytest.mark.chapters
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["-p", "window", "0", "-p", "aggregate", "min"],
            ["(window of all members (Global), without reference, by the minimum, on re-ranked distances)"],
        ),
        (
            ["-p", "reference", "true", "-p", "rerank", "false", "-p", "query_frame", "10"],
            ["(window 1, with reference, by the mean, on plain distances)", "The query is frame 10 of each person"],
        ),
    ],
)
def test_parameters_of_the_walk_change_the_page(tmp_path, arguments, wanted):
    """From the published features of one seed; true and false as a shell's user writes them."""
    out = tmp_path / "out.ipynb"
    home = tmp_path / "home"
    done = run("papermill", "chapters/vtrm.ipynb", out, *arguments, "-y", "seeds: [0]", home=home)
    assert done.returncode == 0, done.stderr[-2000:]
    text = json.dumps(nbformat.read(out, as_version=4))
    for words in wanted:
        assert words in text
    assert not list(home.glob("worlds/*")) and not list(home.glob("store/train/*"))


@pytest.mark.chapters
def test_smoke_profile_from_world_to_book(tmp_path):
    """`reid study --profile smoke` renders, trains, executes every chapter and builds their pages."""
    done = run("reidlib.cli", "study", "--profile", "smoke", home=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = ROOT / "_build" / "smoke" / "_build" / "html"
    for chapter in CHAPTERS:
        html = (pages / "chapters" / f"{chapter}.html").read_text()
        assert "Traceback" not in html
        assert "<caption>" in html
        assert "Our verdict" in html or chapter == "worlds", chapter
    summed_up = (pages / "status.html").read_text()
    assert "smoke" in summed_up and "laptop" not in summed_up, "not of this book's own chapters and records"

    out = tmp_path / "out.ipynb"  # from that store, with one seed, of which some tables cannot be made
    parameters = ["-f", "params/smoke.yaml", "-y", "seeds: [0]"]
    done = run("papermill", "chapters/synthesis.ipynb", out, *parameters, home=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "With one seed there is nothing to estimate" in out.read_text()
