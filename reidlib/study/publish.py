"""From a profile to a book: compute, export the records, execute the chapters with papermill, build the pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from reidlib.study import plans
from reidlib.study.chapter import open_study
from reidlib.study.profile import PARAMS, load_profile
from reidlib.study.provenance import ROOT


def study_book(profile_name: str, book: Path | None = None, chapters: list[str] | None = None) -> Path:
    """Runs the chapters of a profile and builds the book from them; returns the first page's path.

    book: the folder to fill; None: a copy of book/ in _build/<profile>/book, so that the published book stays as it
    is. Giving ROOT / "book" publishes. Prints what it does; everything already computed is taken from the store.
    """
    profile = load_profile(profile_name)
    chapters = chapters or list(plans.CHAPTERS)
    for chapter in chapters:
        if chapter not in plans.CHAPTERS:
            raise ValueError(f"chapters: no chapter {chapter!r}; there are {', '.join(plans.CHAPTERS)}")
    if book is None:
        book = ROOT / "_build" / profile.profile / "book"
        shutil.rmtree(book, ignore_errors=True)
        shutil.copytree(ROOT / "book", book, ignore=shutil.ignore_patterns("records"))
    study = open_study(profile)
    plans.run(study, chapters)
    for entry, features in plans.entries(study, chapters):
        study.store.export([entry], book / "records", files=["features.safetensors"] if features else [])
    for chapter in chapters:
        execute(chapter, profile_name, book)
    return build(book)


def execute(chapter: str, profile_name: str, book: Path) -> None:
    """Executes one chapter with papermill into the book; its cells' progress is shown."""
    parameters = PARAMS / f"{profile_name}.yaml" if not profile_name.endswith(".yaml") else Path(profile_name)
    target = book / "chapters" / f"{chapter}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "papermill", str(ROOT / "chapters" / f"{chapter}.ipynb"), str(target)]
    command += ["-f", str(parameters), "--request-save-on-cell-execute", "--progress-bar"]
    environment = os.environ | {"REID_RECORDS": str(book / "records")}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    notebook = nbformat.read(target, as_version=4)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-input")  # folded on the page, as the cell that it overrides
    nbformat.write(notebook, target)


def build(book: Path) -> Path:
    """`jupyter-book build` of a book folder, quietly; returns its first page."""
    output = book.parent if book != ROOT / "book" else ROOT
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(book),
        "--path-output",
        str(output),
        "--quiet",
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    page = output / "_build" / "html" / "index.html"
    print(f"The book is built. Open {page.relative_to(ROOT)} in a browser.")
    return page
