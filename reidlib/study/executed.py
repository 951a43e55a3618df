"""What an executed chapter says: its claim, its verdicts, its tables, its runs, when it ran. Read, never computed."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from reidlib.study.provenance import ROOT

VERDICTS = ("reproduced", "not distinguishable", "contradicted")
_TABLE = re.compile(r"^~~~~\{table\} (.*)\n:name: (\S+)\n\n((?:\|.*\n)+)~~~~$", re.MULTILINE)  # as `tables.markdown`


@dataclass(frozen=True)
class Table:
    """A table as printed: caption, label, and the lines of its grid, header and rule first."""

    caption: str
    name: str
    lines: tuple[str, ...]

    @property
    def header(self) -> list[str]:
        return _cells(self.lines[0])

    @property
    def rows(self) -> list[list[str]]:
        return [_cells(line) for line in self.lines[2:]]


def _cells(line: str) -> list[str]:
    return line[2:-2].split(" | ")


@dataclass(frozen=True)
class Runs:
    """The folded box of a page: its records, their minutes of computing, commits and devices."""

    records: int
    minutes: float
    commits: str
    devices: str


@dataclass(frozen=True)
class Page:
    """One chapter. Without an execution (`start` is empty) it is the source: a claim, and no outputs."""

    chapter: str
    words: str  # the first cell
    outputs: tuple[str, ...]  # Markdown, in the order printed
    cells: int
    start: str  # UTC, ISO
    seconds: float
    parameters: Mapping[str, Any] = field(default_factory=dict)  # those that papermill was given

    @property
    def title(self) -> str:
        return self.words.partition("\n")[0].removeprefix("# ")

    @property
    def report(self) -> str | None:
        """The short name of the report that the chapter is about; None for the chapter on data."""
        found = re.search(r"Report `(\w+)`", self.words)
        return found and found[1]

    @property
    def claim(self) -> str | None:
        """The report's claim in one sentence; None where the chapter has none."""
        found = re.search(r"\*\*(Its claim.*?)\*\*(.*?\.)(?=\s|$)", " ".join(self.words.split()))
        if found is None:
            return None
        sentence = found[2].strip() if found[1] == "Its claim:" else found[1] + found[2]
        return sentence[0].upper() + sentence[1:]

    @property
    def verdicts(self) -> dict[str, int] | None:
        """How many of the comparisons and claims of its verdict got each word; None where a chapter has none."""
        for text in self.outputs:
            if text.startswith("**Our verdict,**"):
                found = {name: re.findall(rf"\b{name.capitalize()}: (\d+)", text) for name in VERDICTS}
                if found[VERDICTS[0]] and len({len(counts) for counts in found.values()}) == 1:
                    return {name: sum(map(int, counts)) for name, counts in found.items()}
                raise ValueError(f"{self.chapter}: its verdict lacks a count; `tables.verdict_sentence` writes all")
        return None

    @property
    def tables(self) -> list[Table]:
        """The tables, without the one of the runs, which is folded away."""
        open_ones = (text for text in self.outputs if "{dropdown}" not in text)
        found = (match for text in open_ones for match in _TABLE.finditer(text))
        return [Table(match[1], match[2], tuple(match[3].splitlines())) for match in found]

    @property
    def runs(self) -> Runs | None:
        """What the folded box counts; None where a chapter has no runs."""
        for text in self.outputs:
            if found := re.search(r"^- (\d+) records, ([\d.]+) minutes", text, re.MULTILINE):
                lines = dict(re.findall(r"^- (\w+): (.*)", text, re.MULTILINE))
                return Runs(int(found[1]), float(found[2]), lines["commits"], lines["device"])
        return None


def _injected(cells: Sequence[nbformat.NotebookNode]) -> dict[str, Any]:
    """The parameters that papermill was given, from its cell: the notebook's metadata have them in another order."""
    source = next((cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])), "")
    lines = [line for line in ast.parse(source).body if isinstance(line, ast.Assign)]
    return {line.targets[0].id: ast.literal_eval(line.value) for line in lines}


def read_page(book: Path, chapter: str) -> Page:
    """The chapter as executed in a book; its source where it has not been."""
    path = book / "chapters" / f"{chapter}.ipynb"
    notebook = nbformat.read(path if path.exists() else ROOT / "chapters" / path.name, as_version=4)
    told = notebook.metadata.get("papermill", {}) if path.exists() else {}
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [output["data"]["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    return Page(
        chapter=chapter,
        words=notebook.cells[0].source,
        outputs=tuple(texts),
        cells=len(notebook.cells),
        start=told.get("start_time", ""),
        seconds=told.get("duration", 0.0),
        parameters=_injected(notebook.cells),
    )
