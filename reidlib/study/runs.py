"""The pages of runs: behind each number of a chapter its record, the training, its recipe and what the profile scaled.

Written from a book's executed chapters and records, as `reidlib.study.summary` does. An anchor names a record by the
first twelve digits of its key; `reidlib.study.site` leads the chapters' links there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from reidlib.study.curves import curves_svg
from reidlib.study.data import Scene
from reidlib.study.executed import Page
from reidlib.study.fusing import Fusion
from reidlib.study.needs import CHAPTERS, JOINT
from reidlib.study.page import changes_rows
from reidlib.study.profile import Profile
from reidlib.study.provenance import device_of, seconds_of
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study
from reidlib.study.store import Entry, Store, canonical

RECORD = re.compile(r"<\.\./records/(\w+)/(\w+)/record\.json>")
SHORT = 12  # digits of a key

Entries = Mapping[tuple[str, str], Entry]  # by stage and key


def runs_pages(pages: Sequence[Page], entries: Sequence[Entry]) -> dict[str, str]:
    """The texts of the pages by their paths in the book: one for each chapter whose tables link to records."""
    by_key = {(entry.record["stage"], entry.key): entry for entry in entries}
    found = {f"runs/{page.chapter}.md": text for page in pages if (text := _page(page, by_key))}
    words = (
        "# The runs\n\nA number of a table leads to its record, here, and so to the training behind it: its curve, its "
        "recipe, and what the profile scaled. A page for each chapter, written by `reid summary` from `book/records`, "
        "where every record stands in full; training records and those of features are there too."
    )
    listed = "\n".join(f"- {{doc}}`{name.removesuffix('.md').split('/')[1]}`" for name in found)
    return {"runs/index.md": f"{words}\n\n{listed}\n"} | found


def _page(page: Page, entries: Entries) -> str:
    linked = [entries[key] for text in page.outputs for key in RECORD.findall(text) if key in entries]
    linked = list({entry.key: entry for entry in linked}.values())
    if not linked:
        return ""
    recipes = _recipes(page, linked[0].folder.parents[1])
    parts = [
        f"# Runs of “{page.title}”",
        f"The records that the tables of {{doc}}`../chapters/{page.chapter}` link to, by the training that they come "
        "from. mAP in percent, a number a seed; it leads to its record, compressed.",
    ]
    trained: dict[str, list[Entry]] = {}  # a recipe -> its runs
    ranked: dict[str, list[Entry]] = {}  # -> the rankings of these
    for entry in linked:
        for run in _trainings(entry, entries):
            group = canonical([run.record["row"], run.record["config"]["recipe"]])
            known = trained.setdefault(group, [])
            known += [run] if run.key not in [other.key for other in known] else []
            ranked.setdefault(group, [])
            if entry.record["stage"] == "evaluate":
                ranked[group].append(entry)
    firsts: dict[str, dict[str, Any]] = {}  # of each row its first recipe: others of that name say what is different
    for group, runs in trained.items():
        row, recipe = _row(runs[0].record, recipes), _flat(runs[0].record["config"]["recipe"])
        first = firsts.setdefault(row, recipe)
        other = _differences({name: value for name, value in recipe.items() if name in first}, first)
        heading = f"## {row}" + (f" ({other})" if other else "")
        parts += [heading, *_training(sorted(runs, key=_seed), ranked[group], recipes)]
    fused = [entry for entry in linked if entry.record["stage"] == "fuse"]
    if fused:
        parts += ["## Fusions", _rankings(fused, _fusion_words, "Fusions of several models' rankings.", entries)]
    measured = [entry for entry in linked if not _trainings(entry, entries)]
    if measured:
        rows = [[_anchor(e) + e.record["stage"], e.record["row"], _link(e, e.key[:SHORT])] for e in measured]
        parts += ["## Measurements", _table("On no training run.", ["of", "recipe", "record"], rows)]
    return "\n\n".join(parts) + "\n"


def _trainings(entry: Entry, entries: Entries) -> list[Entry]:
    """The training runs that a record comes from; itself, if it is one, and none for a measurement on no run."""
    if entry.record["stage"] == "train":
        return [entry]
    found = []
    for parent in entry.record["config"].get("parents", ()):
        for stage in ("train", "features"):
            if (stage, parent) in entries:
                found += _trainings(entries[stage, parent], entries)
    return list({run.key: run for run in found}.values())


def _recipes(page: Page, records: Path) -> dict[str, tuple[Recipe, Profile]]:
    """The report's recipe and the profile by the recipe as it was scaled; what a search found is read from records."""
    names = [field.name for field in fields(Profile)]
    if not set(names) <= set(page.parameters):
        return {}
    values = {name: page.parameters[name] for name in names}
    profile = Profile(**values | {"seeds": tuple(values["seeds"])})
    needs = CHAPTERS[page.chapter](Study(profile, Store(records)))
    recipes = [r for need in needs for r in (need.recipes if isinstance(need, JOINT) else [need.recipe])]
    recipes += [first for recipe in recipes for first in (recipe.first_model, recipe.pretrained) if first]
    found: dict[str, tuple[Recipe, Profile]] = {}
    for recipe in recipes:
        scaled = json.loads(json.dumps(recipe.scaled(profile).config()))
        found[canonical([recipe.row, scaled])] = recipe, profile
        found.setdefault(canonical([None, scaled]), (recipe, profile))
    return found


def _known(record: Mapping[str, Any], recipes: Mapping) -> tuple[Recipe, Profile] | None:
    """The page's recipe that a run is of, under its row's name or, where another chapter trained it first, another."""
    scaled = record["config"]["recipe"]
    return recipes.get(canonical([record["row"], scaled])) or recipes.get(canonical([None, scaled]))


def _row(record: Mapping[str, Any], recipes: Mapping) -> str:
    """What the page calls a run's row."""
    known = _known(record, recipes)
    return known[0].row if known else record["row"]


def _training(runs: Sequence[Entry], ranked: Sequence[Entry], recipes: Mapping) -> list[str]:
    record = runs[0].record
    curves = {f"seed {_seed(run)}": run.record["curve"] for run in runs}
    title = f"Losses of {_row(record, recipes)} against the epoch, a line a seed"
    parts = [
        "\n".join(
            [
                "```{raw} html",
                f'<figure class="curves">{curves_svg(curves, title)}',
                f"<figcaption>{title}.</figcaption></figure>",
                "```",
            ]
        ),
        _table(
            "The training runs.",
            ["seed", "images", "parameters", "seconds", "device", "commit", "record"],
            [
                [
                    _anchor(run) + str(_seed(run)),
                    f"{run.record['images']:,}",
                    f"{run.record['parameters']:,}",
                    f"{seconds_of(run.record):.0f}",
                    device_of(run.record),
                    (run.record["commit"] or "none")[:10],
                    _link(run, run.key[:SHORT]),
                ]
                for run in runs
            ],
        ),
    ]
    if ranked:
        parts.append(_rankings(ranked, _ranking_words, "Its rankings.", {}))
    if known := _known(record, recipes):
        recipe, profile = known
        rows = changes_rows(recipe, profile)
        header = ["field", "the report's recipe", "as trained"]
        parts.append(_table(f"What the profile `{profile.profile}` scaled.", header, rows))
    text = yaml.safe_dump(record["config"]["recipe"], sort_keys=True, default_flow_style=None, width=110)
    parts.append(f"`````{{dropdown}} The recipe as trained\n```yaml\n{text}```\n`````")
    return parts


def _rankings(found: Sequence[Entry], words, caption: str, entries: Entries) -> str:
    """A line for each ranking and scene, a number a seed."""
    rows: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        rows.setdefault((words(entry.record, entries), _scene_words(entry.record)), []).append(entry)
    body = []
    for (ranking, scene), of in rows.items():
        numbers = [_anchor(e) + _link(e, f"{100 * e.record['metrics']['mAP']:.2f}") for e in sorted(of, key=_seed)]
        body.append([ranking, scene, ", ".join(numbers)])
    return _table(caption, ["ranking", "of", "mAP"], body, left=(0, 1))


def _ranking_words(record: Mapping[str, Any], entries: Entries) -> str:
    return _differences(record["config"]["ranking"], asdict(Ranking())) or "plain distance"


def _fusion_words(record: Mapping[str, Any], entries: Entries) -> str:
    fusion, default = record["config"]["fusion"], asdict(Fusion(Ranking()))
    members = ", ".join(record["config"]["members"])
    ranking = _differences(fusion["ranking"], default.pop("ranking")) or "plain distance"
    options = _differences({name: fusion.get(name, value) for name, value in default.items()}, default)
    return f"{members}; each {ranking}; by {options or 'vote'}"


def _scene_words(record: Mapping[str, Any]) -> str:
    scene = dict(record["config"]["scene"])
    knobs = [f"{name} {value}" for name, value in scene.pop("knobs")]
    default = json.loads(json.dumps(asdict(Scene())))
    changed = _differences({name: value for name, value in scene.items() if name != "split"}, default)
    return ", ".join([scene["split"], *knobs] + ([changed] if changed else []))


def _differences(values: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    """ "rerank, window 2": the fields that are not at their default, as `name value`."""
    changed = [(name, value) for name, value in values.items() if value != default[name]]
    return ", ".join(
        name if value is True else f"{name} {'all' if value is None else value}" for name, value in changed
    )


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe on one level of names, without what it holds of other recipes; fields left out are default."""
    simple = {field.name: field.default for field in fields(Recipe) if isinstance(field.default, int | float | str)}
    found: dict[str, Any] = {name: value for name, value in simple.items() if name != "row"} | {"knobs": []}
    for name, value in recipe.items():
        if name not in ("curation", "first_model", "pretrained", "harder"):
            found |= value if name in ("augmentation", "model_options", "training") else {name: value}
    return found


def _seed(entry: Entry) -> int:
    return entry.record["config"]["seed"]


def _anchor(entry: Entry) -> str:
    return f'<span id="{entry.key[:SHORT]}"></span>'


def _link(entry: Entry, text: str) -> str:
    return f"{{download}}`{text} <../records/{entry.record['stage']}/{entry.key}/record.json>`"


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table without a number: these are not talked about."""
    lines = [f"~~~~{{table}} {caption}", ":class: unnumbered", "", "| " + " | ".join(header) + " |"]
    lines.append("|" + "|".join(":--" if i in left else "--:" for i in range(len(header))) + "|")
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), "~~~~"])
