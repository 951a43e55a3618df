"""The pages of runs: what a record leads to, and the drawing of a curve."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from reidlib.study.curves import curves_svg
from reidlib.study.executed import read_page
from reidlib.study.provenance import ROOT
from reidlib.study.runs import RECORD, SHORT, runs_pages
from reidlib.study.site import anchors
from reidlib.study.store import all_entries

BOOK = ROOT / "book"


@pytest.fixture(scope="module")
def entries():
    return all_entries(BOOK / "records")


@pytest.fixture(scope="module")
def mgn(entries):
    return runs_pages([read_page(BOOK, "mgn")], entries)["runs/mgn.md"]


def test_every_linked_record_and_its_training_have_one_anchor(mgn):
    linked = {key for text in read_page(BOOK, "mgn").outputs for _, key in RECORD.findall(text)}
    found = re.findall(r'<span id="(\w+)">', mgn)
    assert len(found) == len(set(found)) and {key[:SHORT] for key in linked} <= set(found)
    trained = {path.parent.name[:SHORT] for path in BOOK.glob("records/train/*/record.json")}
    assert len(set(found) & trained) == 3 * mgn.count("## "), "three seeds of each recipe"


def test_numbers_are_the_records(mgn, entries):
    by_key = {entry.key: entry.record for entry in entries}
    shown = re.findall(r"\{download\}`(\d+\.\d+) <\.\./records/evaluate/(\w+)/", mgn)
    assert shown and all(number == f"{100 * by_key[key]['metrics']['mAP']:.2f}" for number, key in shown)


def test_headings_are_all_different(entries):
    for chapter in ("mgn", "along", "stronger"):
        text = runs_pages([read_page(BOOK, chapter)], entries)[f"runs/{chapter}.md"]
        headings = re.findall(r"^## .*", text, re.MULTILINE)
        assert len(set(headings)) == len(headings) > 3


def test_a_row_has_its_pages_name_whoever_trained_it_first(entries):
    """Chapters share runs under names of their own; a record has that of the chapter that was trained first."""
    pages = {name: read_page(BOOK, name) for name in ("along", "synthesis")}
    text = runs_pages(list(pages.values()), entries)
    base = next(row for table in pages["along"].tables for row in table.rows if row[0] == "Baseline(ResNet50)")
    key = RECORD.search(" ".join(base))[2]
    by_key = {(entry.record["stage"], entry.key): entry.record for entry in entries}
    run = by_key["features", by_key["evaluate", key]["config"]["parents"][0]]["config"]["parents"][0]
    for name, row in (("along", "Baseline(ResNet50)"), ("synthesis", "baseline")):
        section = text[f"runs/{name}.md"].split(f'<span id="{run[:SHORT]}"')[0].rsplit("\n## ", 1)[1]
        assert section.split("\n")[0] == row and f"Losses of {row} against" in section


def test_a_chapter_without_links_has_no_page(entries):
    assert list(runs_pages([read_page(BOOK, "worlds")], entries)) == ["runs/index.md"]


def test_a_record_leads_to_the_page_of_its_own_chapter(tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("a", "b"):
        (tmp_path / "runs" / f"{name}.md").write_text(f'<span id="0123456789ab"></span> <span id="{name * 12}"></span>')
    assert anchors(tmp_path, first="b")["0123456789ab"] == "runs/b"
    assert anchors(tmp_path, first="results")["0123456789ab"] == "runs/a"
    assert anchors(tmp_path, first="a")["b" * 12] == "runs/b"


def points(values) -> list[dict]:
    return [
        {"epoch": epoch, "loss": value, "learning_rate": 0.1, "seconds": 1.0} for epoch, value in enumerate(values, 1)
    ]


def test_a_curve_goes_down_where_the_loss_does():
    """In the drawing y grows downwards; the highest value stays below the top of the axis, 0 lies on the floor."""
    drawing = ElementTree.fromstring(
        curves_svg({"one": points([7.3, 2.0, 0.0]), "two": points([1.0, 1.0, 1.0])}, "A & B")
    )
    assert drawing.get("aria-label") == "A & B" and drawing.get("role") == "img"
    (panel,) = drawing.findall("g")
    axis, *lines = [path.get("d") for path in panel.findall("path")]
    first, second = ([tuple(map(float, p.split())) for p in line[1:].split("L")] for line in lines)
    assert [y for _, y in first] == sorted(y for _, y in first) and len({y for _, y in second}) == 1
    top, floor = map(float, re.match(r"M\d+ (\d+)V(\d+)", axis).groups())
    assert first[0][1] > top and first[-1][1] == floor
    labels = [text.text for text in panel.iter("text")]
    assert labels == ["loss", "0", "2", "4", "6", "8", "1", "3", "epoch"]


def test_a_curve_needs_points():
    for curves in ({}, {"one": []}):
        with pytest.raises(ValueError, match="curves: wants one or more lines, each with one or more points"):
            curves_svg(curves, "none")
