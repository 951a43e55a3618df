"""Pictures of the chapters: retrieval and frame-order strips, the noise audit's sheet, VTRM's windows drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from PIL import Image
from torch import Tensor

from reidlib.curation import DELETED, HARD
from reidlib.data.worlds import CourtsideSpec, render_image
from reidlib.data.worlds.spec import PERSON_OFFSET
from reidlib.study.audit import FULLY, FULLY_OR_PARTLY
from reidlib.study.data import StudyData
from reidlib.study.ranking import Gallery
from reidlib.study.style import NEUTRAL, PALE, PALETTE, RIGHT, WIDTH, WRONG, styled


def picture(data: StudyData, split: str, labels: Mapping[str, Tensor] | pd.DataFrame, index: int) -> np.ndarray:
    """(H, W, 3) uint8: one image of a split. A world's is rendered anew, so no world need be on disk."""
    wanted = {name: int(labels[name][index]) for name in ("person", "sequence", "frame")}
    if data.spec is not None:
        return render_image(data.spec, split, wanted["person"], wanted["frame"])[0]
    rows = data.dataset.rows(split)
    rows = rows[(rows[list(wanted)] == list(wanted.values())).all(axis=1)]
    return np.asarray(Image.open(data.dataset.root / rows["path"].iloc[0]).convert("RGB"))


@styled
def retrieval_strips(
    data: StudyData,
    gallery: Gallery,
    rankings: Mapping[str, Tensor],
    queries: Sequence[int],
    split: str,
    first: int = 12,
) -> Figure:
    """Figure 4 of report `vtrm`: for each query, the first images of each ranking, right in green, wrong in red.

    rankings: name -> (m, n). queries: indices into the m queries.
    """
    rows = len(queries) * len(rankings)
    figure, axes = plt.subplots(rows, first + 1, figsize=(WIDTH, 0.15 + 1.1 * rows), squeeze=False)
    for block, query in enumerate(queries):
        for line, (name, ranking) in enumerate(rankings.items()):
            row = axes[block * len(rankings) + line]
            _image(row[0], picture(data, split, gallery.query_labels, query), NEUTRAL)
            row[0].set_ylabel(name)
            for axis, index in zip(row[1:], ranking[query, :first].tolist(), strict=True):
                right = gallery.gallery_labels["person"][index] == gallery.query_labels["person"][query]
                _image(axis, picture(data, split, gallery.gallery_labels, index), RIGHT if right else WRONG)
    axes[0][0].set_title("query")
    figure.tight_layout(pad=0.25)
    return figure


@styled
def frame_order_strip(
    data: StudyData, gallery: Gallery, ranking: Tensor, queries: Sequence[int], split: str, first: int = 12
) -> Figure:
    """Figure 5 of report `vtrm`: the retrieved sequence with each image's true frame number above it.

    A number is green and bold where it is the successor of the one before, red where it is not; × is another person.
    """
    figure, axes = plt.subplots(len(queries), first + 1, figsize=(WIDTH, 1.3 * len(queries)), squeeze=False)
    for row, query in zip(axes, queries, strict=True):
        _image(row[0], picture(data, split, gallery.query_labels, query), NEUTRAL)
        before = int(gallery.query_labels["frame"][query])
        row[0].set_title(f"query {before}")
        for axis, index in zip(row[1:], ranking[query, :first].tolist(), strict=True):
            labels = gallery.gallery_labels
            same = bool(labels["person"][index] == gallery.query_labels["person"][query])
            frame = int(labels["frame"][index])
            in_order = same and frame == before + 1
            _image(axis, picture(data, split, labels, index), RIGHT if same else WRONG)
            weight = "bold" if in_order else "normal"
            axis.set_title(str(frame) if same else "×", color=RIGHT if in_order else WRONG, weight=weight)
            before = frame if same else before
    figure.tight_layout(pad=0.3)
    return figure


@styled
def backdrops(spec: CourtsideSpec, split: str, people: Sequence[int], names: Sequence[str], frames: int = 8) -> Figure:
    """The first frames of some identities (numbers from 0 within the split) on each backdrop, a row each."""
    rows = [(person, name) for person in people for name in names]
    figure, axes = plt.subplots(len(rows), frames, figsize=(WIDTH, 1.75 * len(rows)), squeeze=False)
    for line, (person, name) in zip(axes, rows, strict=True):
        for frame, axis in enumerate(line):
            pixels, _ = render_image(replace(spec, backdrop=name), split, PERSON_OFFSET[split] + person, frame)
            _image(axis, pixels, NEUTRAL)
        line[0].set_ylabel(name)
    figure.tight_layout(pad=0.25)
    return figure


@styled
def audit_sheet(data: StudyData, table: pd.DataFrame, first: int = 16) -> Figure:
    """Figure 1 of report `along`: the images of the highest losses, those decided hard above those deleted.

    table: of training images, as `audit.audit_table` gives it. first: how many images of each decision. Beneath each
    image its loss, its decision and, in a world, how much of the person is visible; a world's images have a green
    border where the truth agrees with the decision, a red, dashed one where it does not.
    Raises ValueError for a table without a hard or deleted image.
    """
    blocks = [table[table["decision"] == decision].head(first) for decision in (HARD, DELETED)]
    blocks = [block for block in blocks if len(block)]
    if not blocks:
        raise ValueError("table: wants images decided hard or deleted, has none")
    across = 8
    lines = [block.iloc[start : start + across] for block in blocks for start in range(0, len(block), across)]
    figure, axes = plt.subplots(
        len(lines), across, figsize=(WIDTH, 0.3 + 2.2 * len(lines)), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for line, row in zip(lines, axes, strict=True):
        for axis, index in zip(row, line.index, strict=False):
            entry = table.loc[index]
            axis.axis("on")
            _image(axis, picture(data, "train", table, index), _border(entry))
            visible = f"\nvisible {entry['visible']:.2f}" if "visible" in entry else ""
            axis.set_xlabel(f"{entry['decision']}\nloss {entry['loss']:.2f}{visible}")
    if "visible" in table:
        words = {"the decision agrees with the truth": (RIGHT, "-"), "it does not": (WRONG, (0, (3, 2)))}
        handles = [Patch(fc="none", ec=colour, ls=style, lw=2.2, label=word) for word, (colour, style) in words.items()]
        figure.legend(handles=handles, ncols=2, loc="outside upper center")
    return figure


def _border(entry: Mapping) -> str:
    """Whether the decision on a line of the audit's table is right, as a colour; neutral where the truth is unknown."""
    if "visible" not in entry:
        return NEUTRAL
    fully, partly = (entry["visible"] < target.below for target in (FULLY, FULLY_OR_PARTLY))
    return RIGHT if (fully if entry["decision"] == DELETED else partly and not fully) else WRONG


def _image(axis, pixels: np.ndarray, colour: str) -> None:
    axis.imshow(pixels, interpolation="antialiased")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=2.2, linestyle=(0, (3, 2)) if colour == WRONG else "-")


@styled
def window_drawing() -> Figure:
    """Figure 3 of report `vtrm`: which members of the sequence look for the next image, for four variants."""
    variants = {
        "Local-1": {3},
        "Local-2": {2, 3},
        "Local-2 w. ref": {0, 2, 3},
        "Global": {0, 1, 2, 3},
    }
    names = ["query", "1st", "2nd", "3rd", "next?"]
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for line, (variant, window) in enumerate(variants.items()):
        y = -1.25 * line
        axis.text(-0.75, y, variant, ha="right", va="center")
        for x, name in enumerate(names):
            used, target = x in window, x == 4
            face = PALETTE[1] if used else ("white" if target else PALE)
            axis.add_patch(
                FancyBboxPatch(
                    (x - 0.3, y - 0.3),
                    0.6,
                    0.6,
                    boxstyle="round,pad=0.05",
                    fc=face,
                    ec=NEUTRAL,
                    ls="--" if target else "-",
                )
            )
            axis.text(x, y, name, ha="center", va="center")
        for x in window:
            axis.add_patch(
                FancyArrowPatch(
                    (x, y + 0.36),
                    (4, y + 0.36),
                    connectionstyle=f"arc3,rad={-0.10 - 0.03 * (4 - x)}",
                    arrowstyle="-|>",
                    mutation_scale=10,
                    color=PALETTE[0],
                )
            )
    axis.set(xlim=(-2.3, 4.6), ylim=(-4.3, 0.95), aspect="equal")
    axis.axis("off")
    figure.tight_layout(pad=0.2)
    return figure
