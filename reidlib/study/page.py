"""The parts that every chapter's page has: the scale it ran at, source lines, verdicts, the folded box of facts."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterable, Sequence

import matplotlib.pyplot as plt
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

from reidlib.study.data import VIDEO, WORLDS
from reidlib.study.profile import Profile, label
from reidlib.study.provenance import device_of, seconds_of
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study
from reidlib.study.store import Entry
from reidlib.study.tables import markdown

TITLES = {
    "synergyreid": "SynergyReID",
    "market1501": "Market-1501",
    "mars": "MARS",
    "ilidsvid": "iLIDS-VID",
    "prid2011": "PRID 2011",
}


def show(text: str) -> None:
    """Displays MyST markdown."""
    display(Markdown(text))


def photograph(figure: Figure, *, dpi: int = 144) -> Image:
    """A figure made of pictures as JPEG: a tenth of the PNG's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", dpi=dpi, pil_kwargs={"quality": 88})
    plt.close(figure)
    return Image(buffer.getvalue(), format="jpeg")


def data_name(study: Study, benchmark: str) -> str:
    """What a benchmark runs on here: "Crosswalk", "Market-1501" and the like."""
    if study.profile.data == "folder":
        return "one's own images"
    if study.profile.data == "worlds":
        layout = f" in {TITLES[benchmark]}'s layout" if benchmark in VIDEO else ""
        return WORLDS[benchmark].capitalize() + layout
    return TITLES[benchmark]


def _data_words(study: Study, benchmark: str) -> str:
    spec = study.data_of(benchmark).spec
    if spec is None:
        return data_name(study, benchmark)
    sizes = {split: getattr(spec, f"{split}_ids", 0) for split in ("train", "val", "test")}
    words = {"train": "training", "val": "validation", "test": "test"}
    people = ", ".join(f"{count} {words[split]}" for split, count in sizes.items() if count)
    world, _, layout = data_name(study, benchmark).partition(" ")
    return f"the {world} world{' ' * bool(layout)}{layout} ({people} identities)"


def scale_sentence(study: Study, recipe: Recipe, entries: Sequence[Entry], *, also: Sequence[str] = ()) -> str:
    """Data, scale and date of a page in two sentences. also: benchmarks on the page beside the recipe's own."""
    p, scaled = study.profile, recipe.scaled(study.profile)
    data = " and ".join(_data_words(study, benchmark) for benchmark in (recipe.benchmark, *also))
    seeds = f"{len(p.seeds)} seed{'s' if len(p.seeds) > 1 else ''} ({', '.join(map(str, p.seeds))})"
    newest = max(entry.record["end"][:10] for entry in entries)
    return (
        f"**Data and scale.** Profile {label(p)}: {data}, {scaled.height}×{scaled.width} pixels, backbone "
        f"`{scaled.model_options['backbone']}` at width {p.backbone_width:g}, epochs × {p.epoch_scale:g}, {seeds}. "
        f"Newest record: {newest}."
    )


def changes_rows(recipe: Recipe, profile: Profile) -> list[list[str]]:
    """Field, the report's value, the scaled one, as a table's cells."""
    changes = recipe.changes(recipe.scaled(profile))
    return [[f"`{name}`", _cell(ours), _cell(scaled)] for name, ours, scaled in changes]


def scaling_table(study: Study, recipe: Recipe, name: str) -> str:
    """A table, labelled name, of every field in which the scaled recipe differs from the report's."""
    rows = changes_rows(recipe, study.profile)
    if not rows:
        return "The profile changes nothing: these are the report's own numbers."
    caption = f"What the profile `{study.profile.profile}` changes in the recipe of {recipe.row}."
    return markdown(caption, name, ["field", "the report's recipe", "this page"], rows)


def source_block(function: Callable, *, lines: int = 45) -> str:
    """The real lines of a function, without its docstring's body, as a code block."""
    source = inspect.getsource(inspect.unwrap(function))
    source = re.sub(r'\n( +)"""(.*?)\n.*?"""', r'\n\1"""\2 [...]"""', source, count=1, flags=re.DOTALL)
    shown = source.splitlines()[:lines]
    place = f"{inspect.getmodule(function).__name__}.{function.__name__}"
    return f"```python\n# {place}\n" + "\n".join(shown) + "\n```"


def facts_box(entries: Iterable[Entry], name: str) -> str:
    """The folded box of a page: commit, versions, device, wall time and memory; its table is labelled name."""
    entries = list({entry.key: entry for entry in entries}.values())
    trained = [entry.record for entry in entries if entry.record["stage"] == "train"]
    total = sum(seconds_of(entry.record) for entry in entries)
    lines = [
        f"- {len(entries)} records, {total / 60:.1f} minutes of computing in all",
        f"- commits: {_set(_commit(entry) for entry in entries)}",
        f"- device: {_set(device_of(entry.record) for entry in entries)}",
        f"- versions: {_set(', '.join(f'{n} {v}' for n, v in e.record['versions'].items()) for e in entries)}",
        f"- between {min(e.record['start'] for e in entries)} and {max(e.record['end'] for e in entries)}",
    ]
    if trained:
        lines.append(f"- peak memory of a training process: {max(r['peak_memory_mib'] for r in trained)} MiB")
        rows = [
            [
                r["row"],
                str(r["config"]["seed"]),
                f"{r['parameters']:,}",
                f"{r['images']:,}",
                f"{seconds_of(r):.0f}",
                f"`{r['key'][:12]}`",
            ]
            for r in trained
        ]
        header = ["run", "seed", "parameters", "images", "seconds", "key"]
        lines += ["", markdown("The training runs behind this page.", name, header, rows)]
    return "`````{dropdown} The runs behind this page\n" + "\n".join(lines) + "\n`````"


def _commit(entry: Entry) -> str:
    name = entry.record["commit"][:10] if entry.record["commit"] else "none"
    return name + (" (with uncommitted changes)" if entry.record["dirty"] else "")


def _set(values: Iterable[str]) -> str:
    return "; ".join(sorted(set(values)))


def _cell(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return ", ".join(_cell(item) for item in value)
    return str(value)
