"""What tables print: signs, intervals, verdicts, records; and what begins a chapter."""

from __future__ import annotations

import numpy as np
import pytest

from reidlib.study import tables
from reidlib.study.chapter import begin
from reidlib.study.recipes import vtrm
from reidlib.study.reports import report_table, reported
from reidlib.study.statistics import Difference
from reidlib.study.store import Entry


def result(precision, tau=((0.5, 0.5),)) -> tables.Result:
    """(S, m) average precisions as a Result."""
    return tables.Result(
        [
            Entry(
                None,
                {
                    "key": f"k{i}",
                    "stage": "evaluate",
                    "metrics": {
                        "mAP": float(np.mean(row)),
                        "average_precision": list(row),
                        "kendall_tau": list(tau[0]),
                    },
                },
            )
            for i, row in enumerate(precision)
        ]
    )


@pytest.mark.parametrize(
    ("value", "text"), [(1.84, "+1.8"), (-0.31, "−0.3"), (0.04, "0.0"), (-0.04, "0.0"), (10, "+10.0")]
)
def test_signed(value, text):
    assert tables.signed(value) == text


def test_by_members_is_paired_within_seed_and_query():
    first = [[0.5, 0.7, None], [0.6, 0.9, None], [0.6, 1.0, None]]
    curves = [first, [[0.4, 0.6, None], [0.6, 0.7, None], [0.7, 0.8, None]]]
    of = tables.Result([Entry(None, {"metrics": {"curve": curve}}) for curve in curves])
    found = tables.by_members(of)
    assert {size: round(d.mean, 6) for size, d in found.items()} == {2: 15.0, 3: 22.5}
    assert 10 <= found[2].low < 15 < found[2].high <= 20


def test_interval_and_mean():
    assert tables.interval(Difference(1.84, 0.92, 2.66)) == "+1.8 [+0.9, +2.7]"
    assert tables.interval(Difference(*[float("nan")] * 3)) == "–"
    assert tables.mean_sd(np.array([84.0, 85.0, 86.0])) == "85.0 ± 1.0"
    assert tables.mean_sd(np.array([84.04])) == "84.0"
    assert tables.paper(None) == "–"


def test_by_sign_names_what_its_interval_tells():
    up, down, open_ = Difference(1.0, 0.2, 1.8), Difference(-2.0, -3.0, -1.0), Difference(0.5, -0.1, 1.1)
    said = tables.by_sign({"a": up, "b": down, "c": open_, "d": up})
    assert said == "2 add (a, d), 1 takes away (b), 1 is not distinguishable from 0"
    assert tables.by_sign({"c": open_, "d": open_}) == "0 add, 0 take away, 2 are not distinguishable from 0"


def test_steps_compare_with_the_row_before():
    results = {("MGN", "mAP"): result([[0.80, 0.82]]), ("+ Part-4 Branch", "mAP"): result([[0.90, 0.92]])}
    step = tables.steps("vtrm", 1, results)["+ Part-4 Branch", "mAP"]
    assert step.reported == pytest.approx(2.0)
    assert step.ours.mean == pytest.approx(10.0)
    assert step.verdict == "reproduced"
    sentence = tables.verdict_sentence([step])
    assert "Reproduced: 1 (+ Part-4 Branch +10.0" in sentence and "Contradicted: 0" in sentence


def test_markdown_table_is_numbered_and_rectangular():
    text = tables.markdown("A caption", "tab-x", ["a", "b"], [["1", "2"]])
    assert text.startswith("~~~~{table} A caption\n:name: tab-x\n")
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {3}


def test_records_link_every_seed():
    assert tables.records(result([[0.5], [0.6]])).count("../records/evaluate/") == 2


def test_transcription_has_the_rows_that_the_recipes_name():
    assert {row["row"] for row in report_table("vtrm", 1)["rows"]} == set(vtrm.table1())
    assert set(vtrm.table2_reported()) == set(vtrm.table2())
    assert reported("vtrm", 1, "MGN", "mAP") == 84.3
    with pytest.raises(ValueError, match="no row 'PCB'"):
        reported("vtrm", 1, "PCB", "mAP")
    with pytest.raises(ValueError, match="table: report 'vtrm' has 1, 2, 3, 4, got 9"):
        report_table("vtrm", 9)


def test_a_chapter_wants_a_parameters_cell():
    with pytest.raises(ValueError, match="parameters"):
        begin({"In": ["", "x = 1"]})
