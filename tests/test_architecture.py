"""The pages that are typed name modules and files: what they name is there, and no module goes without a name."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from reidlib.study.provenance import ROOT

PAGE = (ROOT / "book" / "architecture.md").read_text(encoding="utf-8")
MADE = (".reid/", "_build/", "data/", "worlds/", "store/", "train/", "test/", "query/", "gallery/", "folder/")


def named() -> set[str]:
    """Dotted names of the table's first column; `.b` beside `x.a` is x.b."""
    found: set[str] = set()
    for cell in re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE):
        first, *others = re.findall(r"`([\w.]+)`", cell)
        found |= {first, *(first.rpartition(".")[0] + other for other in others)}
    return found


def test_modules_named_are_there():
    assert len(named()) > 50
    assert [name for name in sorted(named()) if find_spec(name) is None] == []


def test_modules_are_named():
    """Those of the package and of its study; the other packages have one line each."""
    folders = {"reidlib": ROOT / "reidlib", "reidlib.study": ROOT / "reidlib" / "study"}
    there = {f"{name}.{path.stem}" for name, folder in folders.items() for path in folder.iterdir()}
    there = {name for name in there if not name.rpartition(".")[2].startswith("_")} - {"reidlib.study"}
    assert sorted(there - named()) == []


@pytest.mark.parametrize(
    "page", ["README.md", *(f"book/{name}.md" for name in ("architecture", "checklist", "your-data"))]
)
def test_files_named_are_there(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    paths = [path for path in re.findall(r"(?<![}\w])`([\w./-]+/[\w./-]*)`", text) if not path.startswith(MADE)]
    assert paths and [path for path in paths if not (ROOT / path).exists()] == []
