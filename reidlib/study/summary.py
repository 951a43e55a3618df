"""The pages that are written from the others: all tables, the front page's verdicts, the book's state, its runs.

Nothing in them is typed: they are a function of a book's executed chapters and its records, and can be compared with
them at any time. `reid summary` writes those of the published book anew, and the table in the README.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from reidlib.study.executed import VERDICTS, Page, Table, read_page
from reidlib.study.needs import CHAPTERS
from reidlib.study.provenance import device_of, seconds_of
from reidlib.study.runs import runs_pages
from reidlib.study.store import Entry, all_entries
from reidlib.study.tables import markdown

ASIDE = re.compile(r"-(scale|counts)(-|$)")  # labels of what a profile scales and of a data set's size: no results
MARKERS = "<!-- verdicts: written by `reid summary` -->", "<!-- end of the verdicts -->"
STAGES = {
    "train": "trainings",
    "features": "features of a model on a split",
    "evaluate": "rankings of one model",
    "fuse": "rankings of several models",
    "examine": "models of clips, looked at",
    "attend": "what a model's attention weighs",
    "factorial": "several models under every post-processing",
    "cost": "timings of a recipe",
    "memory": "a long tracklet's memory",
}


def write_summary(book: Path) -> list[Path]:
    """Writes the files into a book whose chapters are executed; returns their paths."""
    found = summary(book)
    for name, text in found.items():
        (book / name).parent.mkdir(exist_ok=True)
        (book / name).write_text(text, encoding="utf-8")
    return [book / name for name in found]


def summary(book: Path) -> dict[str, str]:
    """The files' texts by their paths in the book. A chapter that is not executed there is named as waiting."""
    pages = [read_page(book, chapter) for chapter in CHAPTERS]
    entries = all_entries(book / "records")
    return {
        "results.md": results(pages),
        "_generated/verdicts.md": verdicts(pages),
        "status.md": status(pages, entries),
    } | runs_pages(pages, entries)


def write_readme(readme: Path, book: Path) -> Path:
    """Puts the table of a book's verdicts between the README's markers; returns its path.

    Raises ValueError for a file without both MARKERS.
    """
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_table(text, [read_page(book, chapter) for chapter in CHAPTERS]), encoding="utf-8")
    return readme


def with_table(text: str, pages: Sequence[Page]) -> str:
    """The README's text with the table of these pages in place of the one between the markers."""
    before, begin, rest = text.partition(MARKERS[0])
    _, end, after = rest.partition(MARKERS[1])
    if not (begin and end):
        raise ValueError(f"README.md: lacks the lines {MARKERS[0]} and {MARKERS[1]}, between which its table belongs")
    return f"{before}{begin}\n\n{_counts_table(pages)}\n\n{end}{after}"


def _counts_table(pages: Sequence[Page]) -> str:
    """A table as GitHub shows it, of the chapters that compare something: how many verdicts of each kind."""
    lines = ["| chapter | report | " + " | ".join(VERDICTS) + " |", "|:--|:--|--:|--:|--:|"]
    for page in pages:
        if page.claim is None:
            continue
        counts = ["waits for its runs", "", ""] if page.verdicts is None else [str(page.verdicts[x]) for x in VERDICTS]
        report = f"`{page.report}`" if page.report else "all five"
        lines.append("| " + " | ".join([page.title, report, *counts]) + " |")
    return "\n".join(lines)


def results(pages: Sequence[Page]) -> str:
    """Every table of the chapters with a verdict, under its chapter, with the number that it has there."""
    parts = [
        "# All tables",
        "The tables of all chapters in one place, as their last execution printed them; this page is written from them "
        "by `reid summary`. A table's number leads to its chapter, which says what it means. Percent, and points of "
        "percent, unless a table says otherwise.",
    ]
    for page in pages:
        if page.verdicts is None:
            continue
        of = f", report `{page.report}`" if page.report else ""
        parts += [f"## {page.title}", f"{{doc}}`chapters/{page.chapter}`{of}: {_counts(page)}."]
        parts += [_repeated(table) for table in page.tables if not ASIDE.search(table.name)]
    return "\n\n".join(parts) + "\n"


def _repeated(table: Table) -> str:
    """A table for a page in book/ itself: the label stays the chapter's, and so does the number, see study.css."""
    grid = "\n".join(table.lines).replace("<../records/", "<records/")
    return f"~~~~{{table}} {{numref}}`{table.name}`. {table.caption}\n:class: repeated\n\n{grid}\n~~~~"


def verdicts(pages: Sequence[Page]) -> str:
    """The table of the front page: each chapter with its claim and our verdicts."""
    rows = []
    for page in pages:
        if page.claim is None:
            continue
        chapter = f"{{doc}}`chapters/{page.chapter}`" if page.start else page.title
        rows.append([chapter + (f" (`{page.report}`)" if page.report else ""), page.claim, _counts(page)])
    caption = "What each chapter's report claims, and our verdicts on the differences that it claims."
    return markdown(caption, "tab-verdicts", ["chapter (report)", "claim", "our verdicts"], rows, left=(0, 1, 2)) + "\n"


def _counts(page: Page) -> str:
    if page.verdicts is None:
        return "the chapter waits for its runs"
    reproduced, *others = page.verdicts.items()
    counts = [f"{reproduced[1]} of {sum(page.verdicts.values())} {reproduced[0]}"]
    return ", ".join(counts + [f"{count} {name}" for name, count in others])


def status(pages: Sequence[Page], entries: Sequence[Entry]) -> str:
    """When and how long each chapter ran, the records behind it, and what they were computed with.

    Raises ValueError for a book without records.
    """
    if not entries:
        raise ValueError("entries: the book has no records; `reid study` computes some")
    waiting = [page.title for page in pages if not page.start]
    parts = [
        "# The state of this book",
        "Written by `reid summary` from the executed chapters and the records beside them.",
        "## The chapters",
        _chapters_table([page for page in pages if page.start]),
        "A chapter's own run, of some seconds, reads its records; the minutes are what computing these took, on the "
        "devices named. A record may stand behind several chapters.",
    ]
    if waiting:
        parts.append("Written, and waiting for their runs: " + "; ".join(waiting) + ".")
    parts += ["## The records", _records_table(entries), "## The environment", _versions_table(entries)]
    return "\n\n".join(parts) + "\n"


def _chapters_table(pages: Sequence[Page]) -> str:
    rows = []
    for page in pages:
        cells = [f"{{doc}}`chapters/{page.chapter}`", page.start[:10], f"{page.seconds:.0f}", str(page.cells)]
        runs = page.runs
        behind = ["–"] * 4 if runs is None else [f"{runs.records}", f"{runs.minutes:.0f}", runs.commits, runs.devices]
        rows.append(cells + behind)
    header = ["chapter", "executed", "seconds", "cells", "records", "minutes of computing", "commits", "devices"]
    return markdown("The chapters' last executions.", "tab-status", header, rows, left=(0, 1, 6, 7))


def _records_table(entries: Sequence[Entry]) -> str:
    rows = []
    for stage, words in STAGES.items():
        if of := [entry.record for entry in entries if entry.record["stage"] == stage]:
            hours = sum(map(seconds_of, of)) / 3600
            first, last = min(record["start"] for record in of), max(record["end"] for record in of)
            rows.append([words, f"{len(of):,}", f"{hours:.1f}", first[:10], last[:10]])
    hours = sum(seconds_of(entry.record) for entry in entries) / 3600
    rows.append(["all", f"{len(entries):,}", f"{hours:.1f}", "", ""])
    profiles = ", ".join(sorted({f"`{entry.record['profile']}`" for entry in entries}))
    caption = f"The published records, of profile {profiles}, and the hours that they took."
    return markdown(caption, "tab-status-records", ["records of", "number", "hours", "first", "last"], rows)


def _versions_table(entries: Sequence[Entry]) -> str:
    newest = max((entry.record for entry in entries), key=lambda record: record["end"])
    rows = [[name, version] for name, version in newest["versions"].items()]
    rows.append(["device", device_of(newest)])
    others = sum(entry.record["versions"] != newest["versions"] for entry in entries)
    caption = (
        f"What the newest record was computed with, on {newest['end'][:10]}; {others or 'none'} of the "
        f"{len(entries):,} name other versions. `requirements.lock` lists every package."
    )
    return markdown(caption, "tab-status-versions", ["", "version"], rows)
