"""The book's page on speed and memory, from every record in book/records/benchmarks, by their `order`.

    python -m benchmarks.page

A record is what `compare.write` writes: rows (work, size, against, goal, value, unit, met, sides), machine, and maybe
curves, checks and notes. Any number of further records may lie there. One with a `title` has rows of any keys, and is
shown as a table of its own, after the others unless it has an `order`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.figure import Figure

from benchmarks import compare
from benchmarks.compare import RECORDS, ROOT
from reidlib.study.style import MARKS, PALETTE, SIZE, WIDTH

BOOK = ROOT / "book"
DRAWINGS = "_generated"
FAULTS = BOOK / "records" / "faults.json"
QUANTITIES = {"seconds": "seconds", "memory_mib": "MiB beyond the arguments"}
AXES = {"gallery images": "gallery", "persons": "persons"}
SETTINGS = {"svg.hashsalt": "benchmarks", "svg.fonttype": "path", "font.size": SIZE}  # the same bytes every time

HEAD = """# Speed and memory

Written by `python -m benchmarks.run` from its records. How each number is measured: the two sides of a comparison run
in one go, each in a process of its own, turn by turn, so that whatever else the machine does slows both; the ratio is
the median over the rounds. Memory is what a side takes beyond its arguments, unless the line says otherwise. In the
same run the answers are compared with each other, or with a slow computation from the definition, on a synthetic crowd
and on input made to be difficult: ties, doubled images, isolated points.
"""

TRIED = ROOT / "benchmarks" / "tried.md"  # prose


def load(folder: Path = RECORDS) -> list[dict[str, Any]]:
    """The records, in the order that they declare."""
    records = [{"name": path.stem, "order": 100} | json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(records, key=lambda record: (record["order"], record["name"]))


def faults(path: Path = FAULTS) -> dict[str, Any]:
    """The record of benchmarks/faults.py; empty where it was not run."""
    return json.loads(path.read_text()) if path.is_file() else {}


def page(records: Sequence[Mapping], killed: Mapping | None = None) -> str:
    """The page, in MyST Markdown; killed is `faults()`. Raises ValueError when there is no record."""
    if not records:
        raise ValueError("records: none in book/records/benchmarks; run python -m benchmarks.run")
    titled = [record for record in records if "title" in record]
    records = [record for record in records if "title" not in record]
    rows = [row for record in records for row in record["rows"]]
    rows += [goal for record in titled for goal in on_a_gpu(record)]
    parts = [HEAD]
    if rows:
        parts += [_summary(rows), _goals(rows), _sides(rows), _checks(records)]
    curves = [curve for record in records for curve in record.get("curves", ())]
    if curves:
        parts += ["## Against the size\n", _exponents(curves), *(_figure(name, axis) for axis, name in AXES.items())]
    notes = [note for record in records for note in record.get("notes", ())]
    if notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes) + "\n")
    parts += [*map(_titled, titled), TRIED.read_text()]
    if killed:
        parts.append(_killed(killed))
    if records:
        parts.append(_machines(records))
    return "\n".join(parts)


def on_a_gpu(record: Mapping) -> list[dict[str, Any]]:
    """The goals that a training with CUDA has, as rows of the table of goals; none for other records."""
    ratios = next((found for found in record["rows"] if found.get("what") == "ratios"), None)
    if record["name"] != "training-cuda" or ratios is None:
        return []
    model, size = re.fullmatch(r"Training (.+?) at (.+)", record["title"]).groups()
    work = f"training step, {model}, {record['machine']['device']}"
    goals = [
        ("the same on a fixed tensor", "at most 1.1 times its time", "real_over_fixed_time", {"at_most": 1.1}),
        ("conventional loader", "at least 2.5 times as many images a second", "times_conventional", {"at_least": 2.5}),
    ]
    return [
        compare.row(work, size, against, goal, ratios[name], **bound) | {"value": ratios[name]}  # or rounded twice
        for against, goal, name, bound in goals
    ]


def _killed(found: Mapping) -> str:
    """What became of what was killed."""
    columns = {"kills": "kills", "killed_while_resuming": "of them while it went on after another",
               "records_read_after_kills": "records read right after one", "records_half_written": "half-written",
               "locks_held": "locks held", "runs_failed": "did not go on", "results_different": "ended otherwise",
               "left_behind": "files left behind"}
    lines = [[kind, *(f"{row[key]:,}" for key in columns)] for kind, row in found["kinds"].items()]
    total = sum(row["kills"] for row in found["kinds"].values())
    table = _table("tab-benchmarks-faults", f"{total} kills at random moments, and what they cost.",
                   ["killed", *columns.values()], lines)
    words = (
        "`python benchmarks/faults.py` kills (SIGKILL, the whole group of processes) a training run, a world that is "
        "being written, commits, exports and publications of a store, a chapter and a build of the book at random "
        f"moments, starts each again, and compares what comes out with what comes undisturbed. At commit "
        f"`{found['commit'][:10]}`, {found['device']}."
    )
    return f"## Killed on purpose\n\n{words}\n\n{table}\n"


def _titled(record: Mapping) -> str:
    """A record of other rows: what most of them hold in columns, anything else in the last one."""
    keys = [key for key in dict.fromkeys(key for row in record["rows"] for key in row) if key != "took_seconds"]
    often = [key for key in keys if sum(key in row for row in record["rows"]) > len(record["rows"]) / 3]
    lines = [
        [*(_cell(row.get(key, "")) for key in often),
         "; ".join(f"{key.replace('_', ' ')} {_cell(row[key])}" for key in keys if key in row and key not in often)]
        for row in record["rows"]
    ]
    header = [*(key.replace("_", " ") for key in often), "besides"]
    table = _table(f"tab-benchmarks-{record['name']}", record["title"] + ".", header, lines)
    machine = {key: value for key, value in record["machine"].items() if key != "source"}
    machine["commit"] = (machine.get("commit") or "none")[:10]
    where = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items())
    return f"## {record['title']}\n\n{table}\nMachine: {where}.\n"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_cell(part)}" for key, part in value.items())
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _summary(rows: Sequence[Mapping]) -> str:
    missed = sum(not row["met"] for row in rows)
    return f"Of {len(rows)} goals {len(rows) - missed} are met and {missed} are missed.\n"


def _goals(rows: Sequence[Mapping]) -> str:
    lines = [[row["work"], row["size"], row["against"], row["goal"], f"{number(row['value'])} {row['unit']}",
              "yes" if row["met"] else "**no**"] for row in rows]
    return _table("tab-benchmarks", "Each goal, set beforehand, and what was measured.",
                  ["work", "size", "against", "goal", "measured", "met"], lines)


def _sides(rows: Sequence[Mapping]) -> str:
    lines = []
    for row in rows:
        for name, side in row["sides"].items():
            line = [row["work"], row["size"], name, _range(side["seconds"]), _range(side["cpu_seconds"]),
                    number(side["memory_mib"])]
            if line not in lines and not row["work"].endswith(("memory beyond these", "included", "in all")):
                lines.append(line)
    return "## Behind the ratios\n\n" + _table(
        "tab-benchmarks-sides", "Time of each side, shortest to longest of its rounds, and the memory that it took.",
        ["work", "size", "side", "seconds", "of all threads", "MiB"], lines)


def _checks(records: Sequence[Mapping]) -> str:
    lines = [[what, record["name"], where, number(value)] for record in records
             for what, found in record.get("checks", {}).items() for where, value in found.items()]
    return "## The same answers\n\n" + _table("tab-benchmarks-checks", "Ours beside the other's, in the same runs.",
                                              ["", "benchmark", "where", "found"], lines)


def _exponents(curves: Sequence[Mapping]) -> str:
    lines = [[curve["work"], curve["axis"], f"{number(curve['fitted_from'])} to {number(curve['x'][-1])}",
              *("–" if curve[name] is None else number(curve[name])
                for name in ("seconds_exponent", "memory_exponent"))]
             for curve in curves if "fitted_from" in curve]
    caption = "Time and memory as powers of the size, fitted to the three largest; – where memory is below 1 MiB."
    header = ["work", "against", "sizes", "exponent of time", "of memory"]
    return _table("tab-benchmarks-exponents", caption, header, lines) if lines else ""


def _figure(name: str, axis: str) -> str:
    return (f"```{{figure}} {DRAWINGS}/benchmarks-{name}.svg\n:name: fig-benchmarks-{name}\n:width: 100%\n"
            f":alt: Two charts with logarithmic axes, time and memory against the number of {axis}, one line a method."
            "\n\n"
            f"Time and memory against the number of {axis}.\n```\n")


def drawings(records: Sequence[Mapping]) -> dict[str, str]:
    """SVG files by name: time and memory against the gallery, and against the persons in it."""
    curves = [curve for record in records for curve in record.get("curves", ())]
    out = {}
    for axis, name in AXES.items():
        chosen = [curve for curve in curves if curve["axis"] == axis]
        if chosen:
            out[f"benchmarks-{name}.svg"] = _svg(chosen, axis)
    return out


def _svg(curves: Sequence[Mapping], axis: str) -> str:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, 3.4), facecolor="w", layout="constrained")
        charts = figure.subplots(1, len(QUANTITIES))
        for chart, (quantity, label) in zip(charts, QUANTITIES.items(), strict=True):
            for curve, colour, mark in zip(curves, PALETTE, MARKS, strict=False):
                values = [value or None for value in curve[quantity]]  # a logarithm has no place for 0
                shown = [(x, value) for x, value in zip(curve["x"], values, strict=True) if value]
                chart.plot([x for x, _ in shown], [y for _, y in shown], marker=mark, ms=5, lw=1.3, color=colour,
                           label=curve["work"])
            chart.set(xscale="log", yscale="log", xlabel=axis, ylabel=label)
            sns.despine(ax=chart)
        figure.legend(*charts[0].get_legend_handles_labels(), ncols=3, frameon=False, loc="outside lower center")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _machines(records: Sequence[Mapping]) -> str:
    lines = []
    for record in records:
        machine = record["machine"]
        versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
        commit = (machine["commit"] or "unknown")[:10] + (" (with uncommitted changes)" if machine["dirty"] else "")
        lines.append([record["name"], f"{machine['cores']} cores of {machine['processor']}, "
                      f"{machine['memory_gib']:g} GiB" + (f", {machine['device']}" if "device" in machine else ""),
                      " ".join(f"{value:g}" for value in machine["load"]), versions, commit, machine["date"][:10]])
    return "## Where\n\n" + _table(
        "tab-benchmarks-machines", "Machine, and its load (1, 5 and 15 minutes) as the benchmark ended.",
        ["benchmark", "machine", "load", "versions", "commit", "date"], lines)


def _table(name: str, caption: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    body = [header, [":--"] * len(header), *lines]
    text = "\n".join("| " + " | ".join(line) + " |" for line in body)
    return f"~~~~{{table}} {caption}\n:name: {name}\n\n{text}\n~~~~\n"


def _range(values: Sequence[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def number(value: float) -> str:
    """Three digits, thousands separated; whole numbers as they are."""
    if value == int(value) or abs(value) >= 100:
        return f"{value + 0:,.0f}"  # + 0 makes -0 a 0
    return f"{value:.3g}"


def main() -> None:
    records = load()
    (BOOK / "benchmarks.md").write_text(page(records, faults()))
    for name, text in drawings(records).items():
        (BOOK / DRAWINGS / name).write_text(text)


if __name__ == "__main__":
    main()
