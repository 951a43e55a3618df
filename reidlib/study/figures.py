"""Figures of the chapters: retrieval strips, frame-order strips, the drawing of VTRM's windows, intervals.

Every figure has an opaque white ground, so that it reads in the book's dark mode too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image
from torch import Tensor

from reidlib.data.worlds import render_image
from reidlib.study.data import StudyData
from reidlib.study.ranking import Gallery
from reidlib.study.tables import Result

PALETTE = sns.color_palette("colorblind")
RIGHT, WRONG, NEUTRAL = "#1a9641", "#d7191c", "#555555"  # also told apart by a solid and a dashed border


def picture(data: StudyData, split: str, labels: Mapping[str, Tensor], index: int) -> np.ndarray:
    """(H, W, 3) uint8: one image of a split. A world's is rendered anew, so no world need be on disk."""
    wanted = {name: int(labels[name][index]) for name in ("person", "sequence", "frame")}
    if data.spec is not None:
        return render_image(data.spec, split, wanted["person"], wanted["frame"])[0]
    rows = data.dataset.rows(split)
    rows = rows[(rows[list(wanted)] == list(wanted.values())).all(axis=1)]
    return np.asarray(Image.open(data.dataset.root / rows["path"].iloc[0]).convert("RGB"))


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
    figure, axes = plt.subplots(
        rows, first + 1, figsize=(0.72 * (first + 1), 1.42 * rows), squeeze=False, facecolor="w"
    )
    for block, query in enumerate(queries):
        for line, (name, ranking) in enumerate(rankings.items()):
            row = axes[block * len(rankings) + line]
            _image(row[0], picture(data, split, gallery.query_labels, query), NEUTRAL)
            row[0].set_ylabel(name, fontsize=8)
            for axis, index in zip(row[1:], ranking[query, :first].tolist(), strict=True):
                right = gallery.gallery_labels["person"][index] == gallery.query_labels["person"][query]
                _image(axis, picture(data, split, gallery.gallery_labels, index), RIGHT if right else WRONG)
    axes[0][0].set_title("query", fontsize=8)
    figure.tight_layout(pad=0.25)
    return figure


def frame_order_strip(
    data: StudyData, gallery: Gallery, ranking: Tensor, queries: Sequence[int], split: str, first: int = 12
) -> Figure:
    """Figure 5 of report `vtrm`: the retrieved sequence with each image's true frame number above it.

    A number is green where it is the successor of the one before, red where it is not; × is another person.
    """
    figure, axes = plt.subplots(
        len(queries), first + 1, figsize=(0.72 * (first + 1), 1.6 * len(queries)), squeeze=False, facecolor="w"
    )
    for row, query in zip(axes, queries, strict=True):
        _image(row[0], picture(data, split, gallery.query_labels, query), NEUTRAL)
        before = int(gallery.query_labels["frame"][query])
        row[0].set_title(f"query {before}", fontsize=8)
        for axis, index in zip(row[1:], ranking[query, :first].tolist(), strict=True):
            labels = gallery.gallery_labels
            same = bool(labels["person"][index] == gallery.query_labels["person"][query])
            frame = int(labels["frame"][index])
            in_order = same and frame == before + 1
            _image(axis, picture(data, split, labels, index), RIGHT if same else WRONG)
            axis.set_title(str(frame) if same else "×", fontsize=9, color=RIGHT if in_order else WRONG)
            before = frame if same else before
    figure.tight_layout(pad=0.3)
    return figure


def _image(axis, pixels: np.ndarray, colour: str) -> None:
    axis.imshow(pixels, interpolation="antialiased")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=2.2, linestyle=(0, (3, 2)) if colour == WRONG else "-")


def window_drawing() -> Figure:
    """Figure 3 of report `vtrm`: which members of the sequence look for the next image, for four variants."""
    variants = {
        "Local-1": {3},
        "Local-2": {2, 3},
        "Local-2 w. ref": {0, 2, 3},
        "Global": {0, 1, 2, 3},
    }
    names = ["query", "1st", "2nd", "3rd", "next?"]
    figure, axis = plt.subplots(figsize=(7.2, 4.6), facecolor="w")
    for line, (variant, window) in enumerate(variants.items()):
        y = -1.25 * line
        axis.text(-0.75, y, variant, ha="right", va="center", fontsize=11)
        for x, name in enumerate(names):
            used, target = x in window, x == 4
            face = "#fdae61" if used else ("#ffffff" if target else "#e6e6e6")
            axis.add_patch(
                FancyBboxPatch(
                    (x - 0.3, y - 0.3),
                    0.6,
                    0.6,
                    boxstyle="round,pad=0.05",
                    fc=face,
                    ec="#333333",
                    ls="--" if target else "-",
                )
            )
            axis.text(x, y, name, ha="center", va="center", fontsize=9, color="#000000")
        for x in window:
            axis.add_patch(
                FancyArrowPatch(
                    (x, y + 0.36),
                    (4, y + 0.36),
                    connectionstyle=f"arc3,rad={-0.10 - 0.03 * (4 - x)}",
                    arrowstyle="-|>",
                    mutation_scale=10,
                    color="#2c5f8a",
                )
            )
    axis.set(xlim=(-2.3, 4.6), ylim=(-4.3, 0.95), aspect="equal")
    axis.axis("off")
    figure.tight_layout(pad=0.2)
    return figure


def variants_plot(
    base: Result, curves: Mapping[str, Mapping[str, Result]], reported: Mapping[str, Mapping[str, float]]
) -> Figure:
    """mAP difference to the baseline against the window, ours with 95 % intervals, the report's as open marks.

    curves: line name -> window name -> Result; reported: line name -> window name -> difference in points.
    """
    figure, axis = plt.subplots(figsize=(7.2, 4.2), facecolor="w", layout="constrained")
    axis.axhline(0, color="#888888", lw=1)
    windows = list(dict.fromkeys(name for line in curves.values() for name in line))
    for number, ((line, points), colour) in enumerate(zip(curves.items(), PALETTE, strict=False)):
        x = np.array([windows.index(name) for name in points]) + 0.12 * (number - (len(curves) - 1) / 2)
        found = [result.minus(base) for result in points.values()]
        mean = np.array([d.mean for d in found])
        error = np.array([[d.mean - d.low for d in found], [d.high - d.mean for d in found]])
        axis.errorbar(x, mean, error, fmt="os^Dv"[number], ms=5, capsize=3, lw=1.3, color=colour, label=f"{line}, ours")
        quoted = [
            (position, reported[line][name])
            for position, name in zip(x, points, strict=True)
            if name in reported.get(line, {})
        ]
        if quoted:
            axis.plot(
                *zip(*quoted, strict=True), "os^Dv"[number], mfc="none", ms=8, color=colour, label=f"{line}, report"
            )
    axis.set_xticks(range(len(windows)), windows)
    axis.set(xlabel="window", ylabel="mAP, points above the baseline")
    figure.legend(fontsize=8, ncols=3, frameon=False, loc="outside lower center")
    sns.despine(ax=axis)
    return figure


def difference_plot(rows: Mapping[str, Result], base: str, reported: Mapping[str, float]) -> Figure:
    """Each row's mAP above a base row: ours with its 95 % interval, the report's as an open mark."""
    figure, axis = plt.subplots(figsize=(7.2, 0.55 * len(rows) + 1.0), facecolor="w")
    axis.axvline(0, color="#888888", lw=1)
    names = [name for name in rows if name != base]
    for y, name in enumerate(reversed(names)):
        d = rows[name].minus(rows[base])
        axis.errorbar(
            d.mean,
            y,
            xerr=[[d.mean - d.low], [d.high - d.mean]],
            fmt="o",
            capsize=3,
            color=PALETTE[0],
            label="ours, 95 % interval" if y == 0 else None,
        )
        if name in reported:
            axis.plot(reported[name], y, "D", mfc="none", ms=8, color=PALETTE[1], label="report" if y == 0 else None)
    axis.set_yticks(range(len(names)), list(reversed(names)))
    axis.set(xlabel=f"mAP, points above {base}", ylim=(-0.6, len(names) - 0.4))
    axis.legend(fontsize=8, frameon=False)
    sns.despine(ax=axis)
    figure.tight_layout()
    return figure


def training_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Cross-entropy and triplet loss against the epoch, a line a run."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), facecolor="w")
    for name, curve in curves.items():
        epochs = [point["epoch"] for point in curve]
        axes[0].plot(epochs, [point["cross_entropy"] for point in curve], label=name)
        axes[1].plot(epochs, [point["triplet"] for point in curve], label=name)
    for axis, title in zip(axes, ("cross-entropy", "triplet loss"), strict=True):
        axis.set(xlabel="epoch", title=title)
        sns.despine(ax=axis)
    axes[0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    return figure
