"""Pictures and tables of the page on the worlds: drawn from the specs, no world on disk needed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reidlib.data.worlds import CourtsideSpec, crosswalk, frozen_manifest, frozen_spec, plan, render_frame, render_image
from reidlib.data.worlds.crosswalk import CrosswalkSpec
from reidlib.data.worlds.spec import PERSON_OFFSET
from reidlib.study.chapter import published_records
from reidlib.study.data import VIDEO
from reidlib.study.style import WIDTH, styled
from reidlib.study.tables import markdown

COURTSIDE, CROSSWALK = "courtside-1", "crosswalk-1"  # of the full-size worlds, with the real data sets' counts
TRACKLETS = tuple(f"crosswalk-1-{layout}" for layout in VIDEO)  # likewise, a part of the persons: see study.data
Spec = CourtsideSpec | CrosswalkSpec


def wide_view(spec: CourtsideSpec, split: str, shot: int, frame: int) -> Figure:
    """The whole court of one shot at one frame."""
    return _grid(
        [[render_frame(spec, split, shot, frame)]],
    )


def contact_sheet(spec: CourtsideSpec, split: str, people: Iterable[int]) -> Figure:
    """Every frame of some identities (numbers from 0 within the split), a row each."""
    frames = range(spec.frames_per_sequence)
    return _grid([[_person(spec, split, person, frame) for frame in frames] for person in people])


def interval_strips(
    spec: CourtsideSpec, split: str, person: int, intervals: Sequence[float], first: int = 12
) -> Figure:
    """The first frames of one identity, a row for each frame interval (s)."""
    rows = [
        [_person(replace(spec, frame_interval=interval), split, person, frame) for frame in range(first)]
        for interval in intervals
    ]
    return _grid(rows, names=[f"{interval:g} s" for interval in intervals])


def visible_strip(spec: CourtsideSpec, split: str, people: Iterable[int], count: int = 12) -> Figure:
    """Pictures spread evenly over the visible fraction among one frame of each identity."""
    found = sorted((_render(spec, split, person, 7) for person in people), key=lambda pair: pair[1])
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, count).round().astype(int)]
    return _grid([[pixels for pixels, _ in chosen]], titles=[f"{visible:.2f}" for _, visible in chosen])


def pedestrians(spec: CrosswalkSpec, split: str, people: Sequence[int], count: int = 12) -> Figure:
    """Pictures of some identities (numbers from 0 among those of the split), a row each, spread over its cameras."""
    table = crosswalk.plan(spec).query("split == @split and kind == 'person' and person > 0")
    persons = sorted(table["true_person"].unique())
    return _grid([_spread(spec, table[table["true_person"] == persons[n]], count) for n in people])


def bystanders(spec: CrosswalkSpec, label: int, count: int = 12) -> Figure:
    """Pictures of the gallery that are of no query's person: those labelled -1 (junk) or 0 (distractors)."""
    return _grid([_spread(spec, crosswalk.plan(spec).query("person == @label"), count)])


def _spread(spec: CrosswalkSpec, rows: pd.DataFrame, count: int) -> list[np.ndarray]:
    rows = rows.sort_values(["camera", "tracklet", "frame", "path"])
    chosen = rows.iloc[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    return [
        crosswalk.render_image(spec, r.pool, r.member, r.camera, r.tracklet, r.frame, kind=r.kind)[0]
        for r in chosen.itertuples()
    ]


def counts_table(spec: Spec, name: str) -> str:
    """Identities and images of each split and role; of Crosswalk's gallery junk and distractors apart."""
    if isinstance(spec, CourtsideSpec):
        table = plan(spec).assign(what=lambda rows: rows["role"])
    else:
        apart = {-1: "gallery, junk", 0: "gallery, distractors"}
        table = crosswalk.plan(spec).assign(what=lambda rows: rows["person"].map(apart).fillna(rows["role"]))
    counts = table.groupby(["split", "what"], sort=False).agg(people=("person", "nunique"), images=("path", "size"))
    rows = [
        [split, what, "–" if "," in what else f"{found.people:,}", f"{found.images:,}"]
        for (split, what), found in counts.iterrows()
    ]
    header = ["split", "role", "people", "images"]
    return markdown("Identities and pictures of the full-size world.", name, header, rows, left=(0, 1))


def knobs_table(spec: Spec, name: str) -> str:
    """Every knob with the frozen value and its meaning, as the spec documents it."""
    knobs = [f.name for f in dataclasses.fields(spec) if f.type in (float, "float")] + ["jpeg_quality"]
    rows = [[f"`{knob}`", f"{getattr(spec, knob):g}", _meaning(spec, knob)] for knob in knobs]
    return markdown(
        "The knobs and their values in version 1.", name, ["knob", "version 1", "meaning"], rows, left=(0, 2)
    )


# world -> the numbers of its calibration and what they are of
MEASURED = {
    "courtside": (
        {"plain": "mAP, 50", "reranked": "re-ranked, 50", "plain_all": "mAP, all", "reranked_all": "re-ranked, all"},
        "mAP of plain MGN on validation galleries of 50 identities, as many as the report's, and on the whole split",
    ),
    "crosswalk": (
        {"plain": "mAP", "rank1": "rank-1"},
        "the Strong Baseline of report `stronger` on the laptop profile's test split",
    ),
    "mars": (
        {"plain": "mAP", "rank1": "rank-1"},
        "Model 1 of report `ica` on the laptop profile's test split in MARS's layout",
    ),
    "ilidsvid": ({"rank1": "rank-1"}, "Model 1 of report `ica` on a split of the laptop profile in iLIDS-VID's layout"),
}


def calibration_table(world: str, name: str) -> str:
    """The candidates in the order in which they were tried, and the target."""
    record = json.loads((published_records() / f"calibration-{world}.json").read_text())
    target, seeds, (columns, what) = record["target"], record["seeds"], MEASURED[world]
    rows = [[f"target: {target['report']}", *(f"{100 * target[c]:.1f}" if c in target else "" for c in columns)]]
    rows += [[_knobs(found["knobs"]), *(f"{100 * found[c]:.1f}" for c in columns)] for found in record["candidates"]]
    caption = (
        f"Calibration: {what}; in the order tried, world seed {seeds['world']}, training seed {seeds['training']}. "
        f"Knobs not named: {_knobs(record['start'])}. Chosen, by the smallest sum of the differences to the target: "
        f"{_knobs(record['chosen'])}."
    )
    return markdown(caption, name, ["knobs", *columns.values()], rows)


def freezing_sentence(name: str) -> str:
    """Name, key and manifest hash of a frozen world."""
    spec = frozen_spec(name)
    return f"Frozen as `{name}`, specification `{spec.key}`, manifest hash `{frozen_manifest(spec)}`."


def _knobs(values: dict[str, float]) -> str:
    return ", ".join(f"{knob} {value:g}" for knob, value in values.items()) or "all defaults"


def _meaning(spec: Spec, knob: str) -> str:
    lines = type(spec).__doc__.splitlines()
    start = next(i for i, line in enumerate(lines) if re.match(rf"\s+{knob}\s\s", line))
    text = lines[start].split(knob, 1)[1].strip()
    for line in lines[start + 1 :]:
        if not line.startswith(" " * 20):
            break
        text += " " + line.strip()
    return text


def _render(spec: CourtsideSpec, split: str, person: int, frame: int) -> tuple[np.ndarray, float]:
    return render_image(spec, split, PERSON_OFFSET[split] + person, frame)


def _person(spec: CourtsideSpec, split: str, person: int, frame: int) -> np.ndarray:
    return _render(spec, split, person, frame)[0]


@styled
def _grid(
    pictures: Sequence[Sequence[np.ndarray]],
    *,
    names: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Figure:
    rows, columns = len(pictures), len(pictures[0])
    high, wide = pictures[0][0].shape[:2]
    height = WIDTH / columns * high / wide * rows + (0.3 if titles else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False)
    for row, line in zip(axes, pictures, strict=True):
        for axis, pixels in zip(row, line, strict=True):
            axis.imshow(pixels, interpolation="antialiased")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for row, text in zip(axes, names, strict=False):
        row[0].set_ylabel(text)
    for axis, text in zip(axes[0], titles, strict=False):
        axis.set_title(text)
    figure.subplots_adjust(0.06 if names else 0, 0, 1, 0.9 if titles else 1, 0.03, 0.03)
    return figure
