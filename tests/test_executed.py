"""Every number of the book, traced: a chapter run again prints what the published one prints, and so do its pages.

The run has the published records and features alone: no store, no world, no weights. So whatever stands in a chapter's
tables, verdicts and folded box is a function of `book/records` and `params/reports`, and is not staler than these.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup

from reidlib.study.executed import Page, Table, read_page
from reidlib.study.needs import CHAPTERS
from reidlib.study.provenance import ROOT

BOOK = ROOT / "book"
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def numbers(page: Page) -> list[str]:
    """Every number that a chapter's cells print, in order; not those in lines of source and in keys."""
    text = "\n".join(re.sub(r"^(`{3,})\{?[a-z].*?^\1$", "", out, flags=re.M | re.S) for out in said(page))
    return NUMBER.findall(re.sub(r"[\w/]*[0-9a-f]{10,}[\w./]*", "", text))


def said(page: Page) -> list[str]:
    return [text for text in page.outputs if not text.startswith(("```{code-block}", "````{code-block}", "```python"))]


@pytest.mark.chapters
@pytest.mark.parametrize("chapter", [name for name in CHAPTERS if name != "worlds"])
def test_a_chapter_prints_the_same_from_the_published_records(tmp_path, chapter, record_property):
    """Worlds is left out: what it shows is drawn, and compared with its frozen hashes elsewhere."""
    folder = tmp_path / "chapters"
    folder.mkdir()
    published = read_page(BOOK, chapter)
    given = [part for name, value in published.parameters.items() for part in ("-y", json.dumps({name: value}))]
    command = [sys.executable, "-m", "papermill", f"chapters/{chapter}.ipynb", str(folder / f"{chapter}.ipynb"), *given]
    home = {"REID_DATA": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list((tmp_path / "home").glob("store/train/*")), "it trained: a record is not published"
    again = read_page(tmp_path, chapter)
    record_property("numbers", len(numbers(published)))
    assert again.tables == published.tables
    assert numbers(again) == numbers(published)
    assert (again.verdicts, again.runs) == (published.verdicts, published.runs)


@pytest.mark.book
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_page_shows_the_tables_as_printed(site, chapter):
    """Cell by cell, on the chapter's page and, for those that are results, where all tables are."""
    html = BeautifulSoup((site / "chapters" / f"{chapter}.html").read_text(), "html.parser")
    everywhere = BeautifulSoup((site / "results.html").read_text(), "html.parser")
    repeated = [cells_of(tag) for tag in everywhere.find_all("table")]
    for table in read_page(BOOK, chapter).tables:
        shown = cells_of(html.find("table", id=table.name))
        assert shown == printed(table), table.name
        links = any("{download}" in cell for row in table.rows for cell in row)
        assert not links or shown in repeated, f"{table.name} is not in results.md"


def cells_of(table) -> list[list[str]]:
    return [[plain(cell.get_text()) for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]


def printed(table: Table) -> list[list[str]]:
    return [[plain(cell) for cell in row] for row in [table.header, *table.rows]]


def plain(cell: str) -> str:
    """What is left of a cell without markup, quotation marks and spaces: words, numbers, signs."""
    cell = re.sub(r"\{\w+\}`([^`<]*?) *(?:<[^>]*>)?`", r"\1", cell)
    return re.sub(r"[\s`*\\$\"'“”‘’]|\(\w+\)(?=`)", "", cell)
