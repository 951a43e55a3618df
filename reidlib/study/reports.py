"""The reports' tables and the numbers of their texts, as transcribed in params/reports/*.yaml."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

from reidlib.study.profile import PARAMS


@lru_cache
def report_table(report: str, table: int | str) -> dict[str, Any]:
    """A table of a report: caption, split, columns, rows. Raises ValueError when there is none of that number.

    table: its number, or "text" for the numbers that the report gives outside its tables.
    """
    tables = yaml.safe_load((PARAMS / "reports" / f"{report}.yaml").read_text(encoding="utf-8"))
    for found in tables:
        if found["table"] == table:
            return found
    raise ValueError(f"table: report {report!r} has {', '.join(str(t['table']) for t in tables)}, got {table}")


def reported(report: str, table: int | str, row: str, column: str) -> float | None:
    """One transcribed number; None where the report's table has none. Raises ValueError for an unknown row."""
    for found in report_table(report, table)["rows"]:
        if found["row"] == row:
            return found["values"].get(column)
    raise ValueError(f"row: table {table} of report {report!r} has no row {row!r}")
