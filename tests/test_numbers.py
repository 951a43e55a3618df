"""The book's numbers: ours are those of the records that their rows link to, the reports' those of params/reports."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from reidlib.study.executed import Table, read_page
from reidlib.study.needs import CHAPTERS
from reidlib.study.provenance import ROOT

BOOK = ROOT / "book"
MEAN_SD = re.compile(r"(−?\d+\.(\d+)) ± (\d+\.\d+)")
INTERVAL = re.compile(r"([+−]?\d+\.\d+) \[.*\]")
RECORD = re.compile(r"<\.\./records/(\w+)/(\w+)/record\.json>")
IN_PERCENT = re.compile(r"mAP|mINP|cmc\d+")  # metrics of a run; the others are lists with a value a query
BY_COLUMN = {"mAP": "mAP", "rank-1": "cmc1", "τ": "kendall_tau"}  # a column that names one of these has that metric

# Columns of means ± standard deviations that do not belong to the records of their own row, and why.
NOT_THE_ROWS = {
    ("tab-mgn-written", "executed"): "the rows of tab-mgn again, which link to their records",
    ("tab-ensemble-pairs", "mean of the members"): "the members' rankings; the row links to those of their sum",
    ("tab-guesses-backdrop", "baseline"): "the baseline's rankings; the row links to the walk's",
}
# Tables of means ± standard deviations whose rows link to no record, and why.
WITHOUT_LINKS = {
    "tab-ica-all": "the rows of tab-ica again",
    "tab-ica-backbones-all": "the rows of tab-ica-backbones again",
    "tab-ica-cam": "measured on models, see examined_numbers",
    "tab-ica-others": "the last row of tab-ica-all again",
    "tab-ica-scatter": "measured on models, see examined_numbers",
    "tab-along-kits": "rows are worlds, columns are runs: eight records a row",
    "tab-guesses-interval": "columns are worlds: one row of means over four of them",
    "tab-stronger-hardest": "means over the course of the training, from its record's curve",
    "tab-stronger-gradients": "means over the course of the training, from its record's curve",
}

# Columns of differences, in tables that link to records, to or of a result that the table does not link to.
WITHOUT_THEIR_BASE = {
    ("tab-attention-untuned", "difference"): "the tricks, base of the last row, are in tab-attention-mars",
    ("tab-along-augment", "above the baseline"): "the baseline is in tab-along",
    ("tab-along-tricks", "in the table's order"): "both rows are in tab-along",
    ("tab-along-tricks", "added last, to all others"): "the full stack is in tab-along",
    ("tab-ensemble-pairs", "gain"): "above the mean of the members, whose rankings are in tab-ensemble",
    ("tab-guesses-backdrop", "Local-1"): "above the baseline of the same background",
    ("tab-guesses-backdrop", "Local-2"): "a walk whose records are in tab-vtrm, above the baseline",
    ("tab-mgn-written", "difference"): "to the rows of tab-mgn",
    ("tab-stronger-open", "above its baseline"): "the baselines are in tab-stronger-two-by-two",
    ("tab-synthesis-shifts-recommended", "above full stack"): "its rankings are in tab-synthesis-shifts",
    ("tab-synthesis-shifts-recommended", "above `along`"): "its rankings are in tab-synthesis-shifts",
    ("tab-synthesis-shifts-recommended", "above `vtrm`"): "its rankings are in tab-synthesis-shifts",
    ("tab-synthesis-shifts-recommended", "above `stronger`"): "its rankings are in tab-synthesis-shifts",
    ("tab-vtrm", "with the minimum"): "the same walk by the minimum",
    ("tab-vtrm-plain", "with the minimum"): "the same walk by the minimum",
    ("tab-vtrm-tau", "above baseline"): "of tau, over the queries that have one in all seeds of both rows",
}


# Columns that say what the row's results lack: those of another row less its own.
OF_ANOTHER_LESS_THE_ROWS = {("tab-synthesis-parts", "it adds last")}


def executed_tables() -> list[tuple[str, Table]]:
    """(report, table) of every chapter that has been executed."""
    pages = [read_page(BOOK, chapter) for chapter in CHAPTERS]
    return [(page.report, table) for page in pages for table in page.tables]


@cache
def record(stage: str, key: str) -> dict:
    return json.loads((BOOK / "records" / stage / key / "record.json").read_text())


@cache
def published() -> tuple[dict, ...]:
    """The records that have metrics."""
    folders = [(path.parent.parent.name, path.parent.name) for path in BOOK.glob("records/*/*/record.json")]
    return tuple(found for found in (record(*folder) for folder in sorted(folders)) if "metrics" in found)


def by_result(records: list[dict]) -> list[list[dict]]:
    """A row's records, result after result: a seed that comes again begins another result."""
    groups: list[list[dict]] = []
    for found in records:
        seed = found["config"]["seed"]
        if not groups or seed in [other["config"]["seed"] for other in groups[-1]]:
            groups.append([])
        groups[-1].append(found)
    return groups


def same_but_for_the_seed() -> list[list[dict]]:
    """All published results, the seeds of each together."""
    groups: dict[str, list[dict]] = {}
    for found in published():
        apart = ("seed", "parents", "data", "split")
        config = {name: value for name, value in found["config"].items() if name not in apart}
        if config["scene"].get("benchmark") == "":
            config["scene"] = {name: value for name, value in config["scene"].items() if name != "benchmark"}  # newer
        key = json.dumps([found["stage"], found["row"], config], sort_keys=True)
        groups.setdefault(key, []).append(found)
    return list(groups.values())


def shown(groups: list[list[dict]], digits: int, column: str = "") -> set[tuple[str, str]]:
    """Mean and standard deviation (n - 1) of every metric that a column may have, as text of that many digits."""
    named = [metric for word, metric in BY_COLUMN.items() if word in column.replace("R", "r")]
    found = set()
    for group in groups:
        for name, value in group[0]["metrics"].items():
            if named and name not in named:
                continue
            if IN_PERCENT.fullmatch(name):
                values = [100 * one["metrics"][name] for one in group]
            elif name == "kendall_tau" and any(x is not None for x in value):
                values = [np.mean([x for x in one["metrics"][name] if x is not None]) for one in group]
            else:
                continue
            if len(values) > 1:
                mean = sum(values) / len(values)
                sd = (sum((x - mean) ** 2 for x in values) / (len(values) - 1)) ** 0.5
                found.add((f"{mean:.{digits}f}", f"{sd:.{digits}f}"))
    return found


def cells_with_mean(table: Table):
    """(row, column, match) of each mean ± standard deviation; a cell may have two, or the report's number as well."""
    for row in table.rows:
        for column, cell in zip(table.header, row, strict=True):
            for part in cell.split(" / "):
                if match := MEAN_SD.fullmatch(part):
                    yield row, column, match


def text(match: re.Match) -> tuple[str, str]:
    return match[1].replace("−", "-"), match[3]


def test_our_numbers_are_those_of_the_records_in_their_row(record_property):
    """All of them, but for the columns and tables named above."""
    traced, told, elsewhere, unlinked = 0, [], set(), set()
    for _, table in executed_tables():
        for row, column, match in cells_with_mean(table):
            linked = [record(*found) for found in RECORD.findall(" ".join(row))]
            if not linked:
                unlinked.add(table.name)
            elif (table.name, column) in NOT_THE_ROWS:
                elsewhere.add((table.name, column))
            elif text(match) in shown(by_result(linked), len(match[2]), column):
                traced += 1
            else:
                told.append(f"{table.name}, {row[0]}, {column}: {match[0]}")
    record_property("traced", traced)
    assert not told
    assert traced > 100
    assert elsewhere <= set(NOT_THE_ROWS) and unlinked <= set(WITHOUT_LINKS)


def test_our_differences_are_those_of_results_in_their_table(record_property):
    """The middle of an interval is the difference between a result of its row and one of its table, both linked."""
    traced, told, elsewhere = 0, [], set()
    for _, table in executed_tables():
        linked = [by_result([record(*found) for found in RECORD.findall(" ".join(row))]) for row in table.rows]
        bases = [group for groups in linked for group in groups]
        for row, own in zip(table.rows, linked, strict=True):
            printed = [(column, INTERVAL.fullmatch(cell)) for column, cell in zip(table.header, row, strict=True)]
            found = {a - b for m in ("mAP", "cmc1") for a in means(own, m) for b in means(bases, m)}
            for column, match in printed if own else ():
                if match and (table.name, column) in WITHOUT_THEIR_BASE:
                    elsewhere.add((table.name, column))
                elif match:
                    sign = -1 if (table.name, column) in OF_ANOTHER_LESS_THE_ROWS else 1
                    if match[1] in {signed(sign * difference) for difference in found}:
                        traced += 1
                    else:
                        told.append(f"{table.name}, {row[0]}, {column}: {match[0]}")
    record_property("traced", traced)
    assert not told
    assert traced > 50
    assert elsewhere <= set(WITHOUT_THEIR_BASE)


def signed(value: float) -> str:
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", "−")


def means(groups: list[list[dict]], metric: str) -> list[float]:
    return [100 * np.mean([found["metrics"][metric] for found in group]) for group in groups]


def test_our_other_means_are_in_some_published_record():
    """Those that the rows' own links do not lead to, unless they come from the course of a training."""
    found = {digits: shown(same_but_for_the_seed(), digits) for digits in (1, 2)}
    told = []
    for _, table in executed_tables():
        for row, column, match in cells_with_mean(table):
            elsewhere = re.search("curve|examined", WITHOUT_LINKS.get(table.name, ""))
            if not elsewhere and (table.name, column) != ("tab-ensemble-pairs", "mean of the members"):
                told += [] if text(match) in found[len(match[2])] else [f"{table.name}, {row[0]}, {column}: {match[0]}"]
    assert not told


def examined(row: str) -> dict[str, np.ndarray]:
    """What is published of the models of a row of chapter `ica`, the seeds stacked."""
    folders = [path.parent for path in sorted(BOOK.glob("records/examine/*/record.json"))]
    chosen = [folder for folder in folders if record("examine", folder.name)["row"] == row]
    chosen.sort(key=lambda folder: record("examine", folder.name)["config"]["seed"])
    files = [load_file(folder / "examined.safetensors") for folder in chosen]
    return {name: np.stack([file[name] for file in files]) for name in files[0]}


def examined_numbers() -> dict[tuple[str, str], np.ndarray]:
    """(table, row): an array (columns, seeds)."""
    scatter, tap, ica = map(examined, ("Baseline on iLIDS-VID", "Baseline + SDA on MARS", "ICA + SDA on MARS"))
    found = {}
    for row, mode in (("not augmented", "plain"), ("asynchronous", "asynchronous"), ("synchronous", "synchronous")):
        columns = [scatter[f"{mode}_{what}"].mean(axis=(1, 2)) for what in ("ratio", "silhouette")]
        found["tab-ica-scatter", row] = np.array(columns)
    maps = {"entropy, bits (low is concentrated)": "entropy", "agreement of a clip's frames, cosine": "consistency"}
    for row, what in maps.items():
        pair = np.stack([tap[f"cam_{what}"], ica[f"cam_{what}"]])  # (model, seed, query); an empty map has no number
        found["tab-ica-cam", row] = pair[:, :, ~np.isnan(pair).any(axis=(0, 1))].mean(axis=2)
    return found


def test_numbers_of_examined_models_are_those_of_their_published_files():
    wanted, seen = examined_numbers(), set()
    for _, table in executed_tables():
        for row in table.rows:
            values = wanted.get((table.name, row[0]))
            if values is not None:
                printed = [text(match) for cell in row if (match := MEAN_SD.fullmatch(cell))]
                assert printed == [(f"{one.mean():.2f}", f"{one.std(ddof=1):.2f}") for one in values], row[0]
                seen.add((table.name, row[0]))
    assert seen == set(wanted)


def factorial_scores() -> tuple[list[str], np.ndarray]:
    """Names of the cells of the published factorial, and their average precision (seeds, cells, queries) in points."""
    folders = sorted(path.parent for path in BOOK.glob("records/factorial/*/record.json"))
    names = [[cell["name"] for cell in record("factorial", folder.name)["cells"]] for folder in folders]
    assert folders and all(other == names[0] for other in names)
    return names[0], 100 * np.stack([load_file(f / "factorial.safetensors")["average_precision"] for f in folders])


def test_the_factorials_numbers_are_those_of_its_published_files():
    """What steps add, alone and beyond their sum: sums over all cells, each with the product of its steps' signs."""
    names, scores = factorial_scores()
    tables = {table.name: table for _, table in executed_tables()}
    members = next(name for name in names if " & " in name).split(" (")[0]
    column = {
        "full stack": "full stack",
        "three models, sum": f"{members} (sum of distances)",
        "three models, vote": f"{members} (vote)",
    }
    mean = dict(zip(names, np.nanmean(scores, axis=(0, 2)), strict=True))
    told, every = [], ("flip", "AQE", "re-ranking", "walk")
    for row in tables["tab-synthesis-effects"].rows:
        steps = row[0].split(" × ")
        for header, cell in zip(tables["tab-synthesis-effects"].header[1:], row[1:], strict=True):
            effect = 0.0
            for taken in product((False, True), repeat=4):
                chosen = [step for step, there in zip(every, taken, strict=True) if there]
                sign = np.prod([1 if step in chosen else -1 for step in steps])
                effect += sign * mean[", ".join([column[header], *chosen])] / (16 / 2 ** len(steps))
            told += [] if INTERVAL.fullmatch(cell)[1] == signed(effect) else [f"{row[0]}, {header}: {cell}, {effect}"]
    for row in tables["tab-synthesis-steps"].rows:
        taken = "" if row[0] == "nothing" else f", {row[0]}"
        for name, cell in ((column["full stack"], row[1]), (column["three models, sum"], row[3])):
            told += [] if cell == f"{mean[name + taken]:.1f}" else [f"{row[0]}, {name}: {cell}"]
    assert not told


def test_every_linked_record_is_published():
    links = {found for _, table in executed_tables() for row in table.rows for found in RECORD.findall(" ".join(row))}
    assert links and not [link for link in links if not (BOOK / "records" / "/".join(link) / "record.json").is_file()]


@pytest.mark.parametrize("report", sorted(path.stem for path in (ROOT / "params" / "reports").glob("*.yaml")))
def test_the_reports_numbers_are_transcribed(report):
    """What stands in a column "report", or before a "/" and ours, is in params/reports; with a sign, a difference."""
    tables = yaml.safe_load((ROOT / "params" / "reports" / f"{report}.yaml").read_text())
    values, differences = set(), set()
    for table in tables:
        printed = [value for row in table["rows"] for value in row["values"].values()]
        values |= {f"{value:.1f}" for value in printed}
        differences |= {signed(a - b) for a, b in permutations(printed, 2)}
    told = []
    for name, table in executed_tables():
        columns = [i for i, column in enumerate(table.header) if re.search(r"(^|, )report$", column)]
        for row in table.rows if name == report else ():
            cells = [row[i].split(" / ") for i in columns] + [cell.split(" / ")[:1] for cell in row if " / " in cell]
            numbers = [part for parts in cells for part in parts if re.search(r"\d", part) and "±" not in part]
            told += [f"{table.name}, {row[0]}: {number}" for number in numbers if number not in values | differences]
    assert not told
