"""What is read from executed chapters, and the pages that are written from it; the committed ones are up to date."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from reidlib.cli import main
from reidlib.study import runner, summary
from reidlib.study.executed import Page, read_page
from reidlib.study.needs import CHAPTERS
from reidlib.study.provenance import ROOT, seconds_of
from reidlib.study.store import write_record
from reidlib.study.tables import markdown

BOOK = ROOT / "book"
VERDICT = "**Our verdict,** over 3 comparisons, points. Reproduced: 2 (a +1.0; b +2.0). {}Contradicted: 0."
BOX = """`````{dropdown} The runs behind this page
- 6 records, 12.6 minutes of computing in all
- commits: abc; def
- device: CPU, 1 thread
"""
VERSIONS = {"python": "3.11.7", "torch": "2.15.0"}


def test_committed_pages_are_written_from_the_committed_chapters_and_records():
    """If not: `reid summary`."""
    for name, text in summary.summary(BOOK).items():
        assert (BOOK / name).read_text(encoding="utf-8") == text, f"{name} is stale; `reid summary` writes it anew"


def page(**changes) -> Page:
    words = 'A title\n\nReport `vtrm` {cite}`x`, Table 1. **Its claim:** one\nthing, *"by 2.0"*, helps. It says more.'
    outputs = (
        VERDICT.format("Not distinguishable: 1 (c). "),
        markdown("First.", "tab-a", ["row", "ours"], [["x", "{download}`1 <../records/evaluate/k/record.json>`"]]),
        markdown("Scaled.", "tab-a-scale", ["field", "ours"], [["x", "1"]]),
        BOX + markdown("Runs.", "tab-a-runs", ["run", "seed"], [["x", "1"]]),
    )
    values = {"chapter": "mgn", "words": "# " + words, "outputs": outputs, "cells": 9}
    return Page(**values | {"start": "2026-01-02T03", "seconds": 4.6} | changes)


def test_a_page_is_read():
    found = page()
    assert (found.title, found.report, found.claim) == ("A title", "vtrm", 'One thing, *"by 2.0"*, helps.')
    assert found.verdicts == {"reproduced": 2, "not distinguishable": 1, "contradicted": 0}
    assert [table.name for table in found.tables] == ["tab-a", "tab-a-scale"], "the runs are folded away"
    assert found.tables[1].header == ["field", "ours"] and found.tables[1].rows == [["x", "1"]]
    assert (found.runs.records, found.runs.minutes, found.runs.commits) == (6, 12.6, "abc; def")


def test_verdicts_on_comparisons_and_on_claims_add_up():
    claims = "And over 2 claims of the text. Reproduced: 0. Not distinguishable: 1 (a). Contradicted: 1 (b)."
    found = page(outputs=(VERDICT.format("Not distinguishable: 1 (c). ") + " " + claims,)).verdicts
    assert found == {"reproduced": 2, "not distinguishable": 2, "contradicted": 1}


def test_a_verdict_without_a_count_is_an_error():
    with pytest.raises(ValueError, match="mgn: its verdict lacks a count"):
        summary.results([page(outputs=(VERDICT.format(""),))])


def test_every_chapter_about_a_report_has_a_claim():
    pages = {chapter: read_page(BOOK, chapter) for chapter in CHAPTERS}
    assert [name for name, found in pages.items() if found.claim is None] == ["worlds"]
    assert [name for name, found in pages.items() if found.report is None] == ["worlds", "synthesis"]


def test_tables_are_repeated_without_their_labels_and_with_links_from_the_book():
    text = summary.results([page(), page(chapter="worlds", outputs=page().outputs[1:])])
    assert text.count("~~~~{table}") == 1, "neither what was scaled, nor the runs, nor a page without verdicts"
    assert "~~~~{table} {numref}`tab-a`. First.\n:class: repeated\n\n| row | ours |" in text
    assert ":name:" not in text and "<../" not in text and "<records/evaluate/k/record.json>" in text
    assert "{doc}`chapters/mgn`, report `vtrm`: 2 of 3 reproduced, 1 not distinguishable" in text


def test_a_waiting_chapter_has_a_claim_and_no_link():
    text = summary.verdicts([page(), page(chapter="ica", outputs=(), start="")])
    rows = [line for line in text.splitlines() if "`vtrm`" in line]
    assert rows[0].startswith("| {doc}`chapters/mgn` (`vtrm`) | One thing") and "| 2 of 3 reproduced" in rows[0]
    assert rows[1].startswith("| A title (`vtrm`) | One thing") and "the chapter waits for its runs" in rows[1]


@pytest.fixture
def other_book(tmp_path):
    """A book of another profile: one chapter executed, two records."""
    told = {"start_time": "2026-03-04T05:06:07", "duration": 12.4}
    outputs = [new_output("display_data", {"text/markdown": text}) for text in page().outputs]
    cells = [new_markdown_cell(page().words), new_code_cell("", outputs=outputs)]
    (tmp_path / "chapters").mkdir()
    nbformat.write(new_notebook(cells=cells, metadata={"papermill": told}), tmp_path / "chapters" / "mgn.ipynb")
    for key, day in (("old", 1), ("new", 2)):
        path = tmp_path / "records" / "train" / key / "record.json"
        path.parent.mkdir(parents=True)
        time = f"2026-03-0{day}T00:00:00"
        told = {"key": key, "stage": "train", "profile": "smoke", "seconds": 1800.0, "start": time, "end": time}
        told |= {"files": {}}
        write_record(path, told | {"versions": VERSIONS | {"torch": f"2.{day}"}, "device": "CPU"})
    return tmp_path


def test_a_book_of_another_profile(other_book):
    written = [path.relative_to(other_book).as_posix() for path in summary.write_summary(other_book)]
    assert written == ["results.md", "_generated/verdicts.md", "status.md", "runs/index.md"]
    status = (other_book / "status.md").read_text()
    assert "| {doc}`chapters/mgn` | 2026-03-04 | 12 | 2 | 6 | 13 | abc; def | CPU, 1 thread |" in status
    assert "| trainings | 2 | 1.0 | 2026-03-01 | 2026-03-02 |" in status and "profile `smoke`" in status
    assert "| torch | 2.2 |" in status and "1 of the 2 name other versions" in status
    assert "waiting for their runs: The worlds" in status
    assert (other_book / "_generated" / "verdicts.md").read_text().count("waits for its runs") == len(CHAPTERS) - 2
    assert (other_book / "results.md").read_text().count("\n## ") == 1


def test_a_book_without_records(other_book):
    (other_book / "empty" / "records").mkdir(parents=True)
    with pytest.raises(ValueError, match="entries: the book has no records"):
        summary.summary(other_book / "empty")


def test_command_writes_the_published_book(other_book, monkeypatch, capsys):
    monkeypatch.setattr("reidlib.study.provenance.ROOT", other_book)
    (other_book / "book").mkdir()
    (other_book / "chapters").rename(other_book / "book" / "chapters")
    (other_book / "records").rename(other_book / "book" / "records")
    readme = other_book / "README.md"
    readme.write_text("Before.\n{}\nold\n{}\nAfter.\n".format(*summary.MARKERS))
    assert main(["summary"]) == 0
    written = capsys.readouterr().out.split()
    assert written[:3] == ["book/results.md", "book/_generated/verdicts.md", "book/status.md"]
    assert written[-1] == "README.md"
    text = readme.read_text()
    assert text.startswith("Before.\n") and text.endswith("\nAfter.\n") and "old" not in text


def test_committed_readme_has_the_committed_chapters_verdicts():
    """If not: `reid summary`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert summary.with_table(text, [read_page(BOOK, chapter) for chapter in CHAPTERS]) == text


def test_readme_counts_verdicts_and_names_what_waits():
    pages = [page(), page(outputs=(), start=""), page(words="# Own\n\n**Its claim:** ours.", outputs=())]
    text = summary.with_table("{}{}".format(*summary.MARKERS), pages)
    assert "| A title | `vtrm` | 2 | 1 | 0 |" in text
    assert "| A title | `vtrm` | waits for its runs |  |  |" in text
    assert "| Own | all five | waits for its runs |  |  |" in text
    assert summary.with_table(text, pages) == text, "written twice is written once"


def test_a_readme_without_markers():
    with pytest.raises(ValueError, match="README.md: lacks the lines"):
        summary.with_table("no markers", [])


def test_a_resumed_run_took_the_time_of_all_its_epochs():
    whole = {"seconds": 31.5, "curve": [{"epoch": 1, "seconds": 10.0}, {"epoch": 2, "seconds": 20.0}]}
    assert seconds_of(whole) == 31.5 and seconds_of({"seconds": 2.0}) == 2.0
    assert seconds_of(whole | {"seconds": 20.5}) == 30.0, "after the last interruption it took 20.5"


def test_every_stage_has_its_words():
    """Without them its records would be counted in the sum of status.md alone."""
    assert set(summary.STAGES) == set(runner.VERSIONS)
