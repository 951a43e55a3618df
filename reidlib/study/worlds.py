"""Pictures and tables of the page on the Courtside world: drawn from the spec, no world on disk needed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from reidlib.data.worlds import CourtsideSpec, frozen_manifest, frozen_spec, plan, render_frame, render_image
from reidlib.data.worlds.spec import PERSON_OFFSET
from reidlib.study.chapter import published_records
from reidlib.study.tables import markdown

NAME = "courtside-1"


def frozen_full_size() -> CourtsideSpec:
    """The frozen world of SynergyReID's counts."""
    return frozen_spec(NAME)


def wide_view(spec: CourtsideSpec, split: str, shot: int, frame: int) -> Figure:
    """The whole court of one shot at one frame."""
    return _grid([[render_frame(spec, split, shot, frame)]], width=7.2)


def contact_sheet(spec: CourtsideSpec, split: str, people: Iterable[int]) -> Figure:
    """Every frame of some identities (numbers from 0 within the split), a row each."""
    frames = range(spec.frames_per_sequence)
    return _grid([[_person(spec, split, person, frame) for frame in frames] for person in people], width=9.6)


def interval_strips(
    spec: CourtsideSpec, split: str, person: int, intervals: Sequence[float], first: int = 12
) -> Figure:
    """The first frames of one identity, a row for each frame interval (s)."""
    rows = [
        [_person(replace(spec, frame_interval=interval), split, person, frame) for frame in range(first)]
        for interval in intervals
    ]
    return _grid(rows, width=8.4, names=[f"{interval:g} s" for interval in intervals])


def visible_strip(spec: CourtsideSpec, split: str, people: Iterable[int], count: int = 12) -> Figure:
    """Pictures spread evenly over the visible fraction among one frame of each identity."""
    found = sorted((_render(spec, split, person, 7) for person in people), key=lambda pair: pair[1])
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, count).round().astype(int)]
    return _grid([[pixels for pixels, _ in chosen]], width=8.4, titles=[f"{visible:.2f}" for _, visible in chosen])


def counts_table(spec: CourtsideSpec, name: str) -> str:
    """Identities and images of each split and role."""
    counts = (
        plan(spec).groupby(["split", "role"], sort=False).agg(people=("person", "nunique"), images=("path", "size"))
    )
    rows = [[split, role, f"{n.people:,}", f"{n.images:,}"] for (split, role), n in counts.iterrows()]
    return markdown(
        "Identities and pictures of the full-size world.", name, ["split", "role", "people", "images"], rows
    )


def knobs_table(spec: CourtsideSpec, name: str) -> str:
    """Every knob with the frozen value and its meaning, as CourtsideSpec documents it."""
    knobs = [f.name for f in dataclasses.fields(spec) if f.type in (float, "float")] + ["jpeg_quality"]
    rows = [[f"`{knob}`", f"{getattr(spec, knob):g}", _meaning(knob)] for knob in knobs]
    return markdown(
        "The knobs and their values in version 1.", name, ["knob", "version 1", "meaning"], rows, left=(0, 2)
    )


def calibration_table(name: str) -> str:
    """The candidates in the order in which they were tried, and the target."""
    record = json.loads((published_records() / "calibration.json").read_text())
    target, seeds, groups = record["target"], record["seeds"], record["candidates"][0]["groups"]
    columns = ("plain", "reranked", "plain_all", "reranked_all")
    rows = [[f"target: {target['report']}", *(f"{100 * target[c]:.1f}" if c in target else "" for c in columns)]]
    rows += [[_knobs(found["knobs"]), *(f"{100 * found[c]:.1f}" for c in columns)] for found in record["candidates"]]
    caption = (
        f"Calibration: mAP of plain MGN on validation galleries of 50 identities, as many as the report's (mean over "
        f"{groups}), and on the whole split; in the order tried, world seed {seeds['world']}, training seed "
        f"{seeds['training']}. Knobs not named: {_knobs(record['start'])}. Chosen, by the smallest sum of both "
        f"differences to the target: {_knobs(record['chosen'])}."
    )
    header = ["knobs", "mAP, 50", "re-ranked, 50", "mAP, all", "re-ranked, all"]
    return markdown(caption, name, header, rows)


def freezing_sentence() -> str:
    """Name, key and manifest hash of the frozen world."""
    spec = frozen_full_size()
    return f"Frozen as `{NAME}`, specification `{spec.key}`, manifest hash `{frozen_manifest(spec)}`."


def _knobs(values: dict[str, float]) -> str:
    return ", ".join(f"{knob} {value:g}" for knob, value in values.items()) or "all defaults"


def _meaning(knob: str) -> str:
    lines = CourtsideSpec.__doc__.splitlines()
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


def _grid(
    pictures: Sequence[Sequence[np.ndarray]],
    *,
    width: float,
    names: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Figure:
    rows, columns = len(pictures), len(pictures[0])
    high, wide = pictures[0][0].shape[:2]
    height = width / columns * high / wide * rows + (0.3 if titles else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, facecolor="w")
    for row, line in zip(axes, pictures, strict=True):
        for axis, pixels in zip(row, line, strict=True):
            axis.imshow(pixels, interpolation="antialiased")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for row, text in zip(axes, names, strict=False):
        row[0].set_ylabel(text, fontsize=8)
    for axis, text in zip(axes[0], titles, strict=False):
        axis.set_title(text, fontsize=8)
    figure.subplots_adjust(0.06 if names else 0, 0, 1, 0.9 if titles else 1, 0.03, 0.03)
    return figure
