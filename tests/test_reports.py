"""params/reports/*.yaml are what the reports print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT.parent / "shared" / "reports"
FILES = {  # the report's text, and where a table stands from its caption
    "along": ("001_0ee016c7d3f7560f.txt", "below"),
    "attention": ("004_d291ad40bd1c9deb.txt", "above"),
    "ica": ("003_0bf76b146b002768.txt", "above"),
    "stronger": ("002_939303adb66169d3.txt", "above"),
    "vtrm": ("000_ab0b204ee8d8de1b.txt", "above"),
}
TRANSCRIBED = sorted((ROOT / "params" / "reports").glob("*.yaml"))


def tables(loader=yaml.SafeLoader) -> list[dict]:
    """All entries; with BaseLoader every number is a string with the digits of the file."""
    return [table for path in TRANSCRIBED for table in yaml.load(path.read_text(encoding="utf-8"), loader)]


def as_written() -> list[dict]:
    return tables(yaml.BaseLoader)


def name(table: dict) -> str:
    return f"{table['report']}-{table['table']}"


def text_of(report: str) -> str:
    path = REPORTS / FILES[report][0]
    if not path.exists():
        pytest.skip("the reports' texts are not here")
    text = path.read_text(encoding="utf-8")
    return from_html(text) if "<table" in text else text


def from_html(text: str) -> str:
    """Tables in tags as lines of tabs, like the others; rows without citations, stars and who proposed them."""
    text = re.sub(r"</?(b|table|thead|tbody)\b[^>]*>", "", text).replace("(Proposed) ", "").replace("100<", "100.0<")
    text = re.sub(r",? \(?[^()<]*\(2018\)\)", "", text)
    rows = re.findall(r"<tr>(.*?)</tr>", text, flags=re.DOTALL)
    for row in rows:
        cells = re.findall(r"<t[dh]>(.*?)\*?</t[dh]>", row)
        text = text.replace(f"<tr>{row}</tr>", "\t".join(cells))
    return re.sub(r"(Table \d+): ", r"\1. ", re.sub(r"(\t.*)\n+(?=.*\t)", r"\1\n", text))


def one_line(text: str) -> str:
    return " ".join(text.split())


def plain(text: str) -> str:
    """Without citations, formula marks and spaces."""
    return re.sub(r"\[\d+\]|\$|\s", "", text.replace(r"\times", "x").replace("×", "x"))


def test_every_report_has_its_file():
    assert [path.stem for path in TRANSCRIBED] == sorted(FILES) == sorted({table["report"] for table in tables()})
    assert len({name(table) for table in tables()}) == len(tables())


@pytest.mark.parametrize("table", tables(), ids=name)
def test_table_is_well_formed(table):
    assert set(table) == {"report", "table", "caption", "split", "columns", "rows"}
    assert table["split"] in ("val", "test", "val and test")
    assert table["table"] == "text" or isinstance(table["table"], int)
    rows = [row["row"] for row in table["rows"]]
    assert len(set(rows)) == len(rows)
    for row in table["rows"]:
        assert set(row) - {"note"} == {"row", "values"} | ({"quote"} if table["table"] == "text" else set())
        assert row["values"] and set(row["values"]) <= set(table["columns"])
        assert all(isinstance(value, float) and 0 < value <= 100 for value in row["values"].values())


@pytest.mark.parametrize("table", as_written(), ids=name)
def test_numbers_are_what_the_report_prints(table):
    """Of a table the same digits in the same order as beside its caption, and its rows; of the text, the quotes."""
    text = text_of(table["report"])
    assert table["caption"] in one_line(text)
    values = [[row["values"][c] for c in table["columns"] if c in row["values"]] for row in table["rows"]]
    if table["table"] == "text":
        for row, ours in zip(table["rows"], values, strict=True):
            assert row["quote"] in one_line(text)
            assert re.findall(r"\d+\.\d+(?=%)", row["quote"]) == ours
        return
    above, below = re.split(rf"\n *Table {table['table']}\.\s", text, maxsplit=1)
    blocks = below.split("\n\n")[1:] if FILES[table["report"]][1] == "below" else above.rstrip().split("\n\n")[::-1]
    lines = [line.split("\t") for line in blocks[0].splitlines() if re.search(r"\d\.", line)]  # without headings
    cells = [re.sub(r"\(\+[\d.]+\)", "", " ".join(line[1:])) for line in lines]  # without the gains in brackets
    cells = [cell.replace(". ", ".") for cell in cells]  # "98. 7"
    assert [re.findall(r"\d+\.\d+", cell) for cell in cells] == values
    method = ""
    for row, line in zip(table["rows"], lines, strict=True):
        method = plain(line[0]).removesuffix("/w.ref") or method  # one for several lines
        assert plain(row["row"]) == (f"{method},{plain(line[1])}" if ", " in row["row"] else method)
