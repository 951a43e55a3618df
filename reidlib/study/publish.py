"""From a profile to a book: compute, export the records, execute the chapters with papermill, write
the pages that sum them up and the explorer's rankings, build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import nbformat

from reidlib.partial import partial_folder
from reidlib.study import plans
from reidlib.study.chapter import open_study
from reidlib.study.explorer import write_explorer
from reidlib.study.needs import CHAPTERS
from reidlib.study.profile import load_profile, profile_path
from reidlib.study.provenance import ROOT
from reidlib.study.runner import VERSIONS
from reidlib.study.store import Entry, copy_entries
from reidlib.study.summary import write_readme, write_summary


def study_book(
    profile_name: str, *, publish: bool = False, compiled: bool = False, executor: plans.Executor = plans.side_by_side
) -> Path:
    """Runs every chapter of a profile and builds the book from them; returns the first page's path.

    publish: into book/ itself, in place of what was published there; otherwise into a copy, _build/<profile>/book.
    compiled: see `training.train`. executor: of the runs, see `plans.run`.
    Prints what it does; everything already computed is taken from the store.
    Raises ValueError when a run, a chapter or the build stops.
    """
    profile = load_profile(profile_name)
    book = ROOT / "book"
    if not publish:
        book = ROOT / "_build" / profile.profile / "book"
        shutil.rmtree(book, ignore_errors=True)
        shutil.copytree(ROOT / "book", book, ignore=shutil.ignore_patterns(*VERSIONS))
    chapters = list(CHAPTERS)
    study = open_study(profile, published=book / "records")
    study.compiled = compiled
    plans.run(study, chapters, executor)
    replace_records(book / "records", plans.entries(study, chapters))
    for chapter in chapters:
        execute(chapter, profile_name, book)
    write_summary(book)
    write_explorer(study, book)
    if publish:
        write_readme(ROOT / "README.md", book)
    return build(book)


def replace_records(records: Path, found: Sequence[tuple[Entry, list[str]]]) -> None:
    """Puts these entries, each with some of its files, in place of all that are there; some may be there already.

    At any moment each of them lies whole in the records or where it came from: killed, it is started again.
    """
    wanted = set()
    for entry, files in found:
        target = records / entry.record["stage"] / entry.key
        wanted.add(target)
        if target.exists() and entry.folder.resolve() != target.resolve():
            shutil.rmtree(target)
        copy_entries([entry], records, files=files)
        for path in target.iterdir():
            if path.name not in {"record.json", *files}:
                path.unlink()
    for stage in VERSIONS:
        for folder in set((records / stage).iterdir() if (records / stage).exists() else ()) - wanted:
            shutil.rmtree(folder)
        with suppress(OSError):
            (records / stage).rmdir()  # nothing of this stage is left


def execute(chapter: str, profile_name: str, book: Path) -> None:
    """Executes one chapter with papermill into the book; its cells' progress is shown."""
    target = book / "chapters" / f"{chapter}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    with partial_folder(target) as folder:  # papermill writes after every cell
        command = [sys.executable, "-m", "papermill", f"chapters/{chapter}.ipynb", str(folder / target.name)]
        command += ["-f", str(profile_path(profile_name)), "--progress-bar"]
        _run(command, f"chapter {chapter}", os.environ | {"REID_RECORDS": str(book / "records")})
        notebook = nbformat.read(folder / target.name, as_version=4)
        notebook.metadata.papermill.output_path = str(target.relative_to(ROOT))
        for cell in notebook.cells:
            if "injected-parameters" in cell.metadata.get("tags", []):
                cell.metadata["tags"].append("hide-input")  # folded on the page, as the cell that it overrides
        nbformat.write(notebook, folder / target.name)
        os.replace(folder / target.name, target)


def build(book: Path) -> Path:
    """`jupyter-book build` of a book folder, quietly; returns its first page.

    Sphinx takes a page for done by its date, also one of which a killed build wrote the first half: what a build left
    that did not end is built anew.
    """
    output = book.parent if book != ROOT / "book" else ROOT
    program = str(Path(sys.executable).with_name("jupyter-book"))
    unfinished = output / "_build" / ".unfinished"
    if unfinished.exists():
        for name in ("html", ".doctrees"):
            shutil.rmtree(output / "_build" / name, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    _run([program, "build", str(book), "--path-output", str(output), "--quiet"], "the build of the book")
    unfinished.unlink()
    page = output / "_build" / "html" / "index.html"
    print(f"The book is built. Open {page.relative_to(ROOT)} in a browser.")
    return page


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    if subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode:
        raise ValueError(f"{what} stopped; the lines above say why, and what was computed is kept")
