"""params/reports/*.yaml are what the reports print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT.parent / "shared" / "reports"
FILES = {"vtrm": "000_ab0b204ee8d8de1b.txt"}
TRANSCRIBED = sorted((ROOT / "params" / "reports").glob("*.yaml"))


def tables() -> list[dict]:
    return [table for path in TRANSCRIBED for table in yaml.safe_load(path.read_text())]


def name(table: dict) -> str:
    return f"{table['report']}-{table['table']}"


def test_every_report_has_its_file():
    assert [path.stem for path in TRANSCRIBED] == sorted(FILES) == sorted({table["report"] for table in tables()})


@pytest.mark.parametrize("table", tables(), ids=name)
def test_table_is_well_formed(table):
    assert set(table) == {"report", "table", "caption", "split", "columns", "rows"}
    assert table["split"] in ("val", "test")
    rows = [row["row"] for row in table["rows"]]
    assert len(set(rows)) == len(rows)
    for row in table["rows"]:
        assert set(row) <= {"row", "values", "note"}
        assert row["values"] and set(row["values"]) <= set(table["columns"])
        assert all(isinstance(value, float) and 0 < value < 100 for value in row["values"].values())


@pytest.mark.parametrize("table", tables(), ids=name)
def test_table_is_what_the_report_prints(table):
    """The same numbers in the same order as in the text above the table's caption."""
    path = REPORTS / FILES[table["report"]]
    if not path.exists():
        pytest.skip("the reports' texts are not here")
    text = path.read_text()
    assert table["caption"] in " ".join(text.split())
    caption = text.index(f"\nTable {table['table']}. ")
    printed = re.findall(r"\b\d\d\.\d\b", text[:caption].rstrip().rsplit("\n\n", 1)[1])
    ours = [f"{row['values'][c]:.1f}" for row in table["rows"] for c in table["columns"] if c in row["values"]]
    assert ours == printed
