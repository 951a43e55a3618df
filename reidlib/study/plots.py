"""Charts of the chapters: rows with their intervals beside the report's, curves; an opaque ground for the dark mode."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from reidlib.study.statistics import Difference
from reidlib.study.style import GUIDE, LINES, MARKS, PALETTE, WIDTH, styled
from reidlib.study.tables import Result

DURATIONS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h", 360_000: "100 h"}


@styled
def variants_plot(
    base: Result, curves: Mapping[str, Mapping[str, Result]], reported: Mapping[str, Mapping[str, float]]
) -> Figure:
    """mAP difference to the baseline against the window, ours with 95 % intervals, the report's as open marks.

    curves: line name -> window name -> Result; reported: line name -> window name -> difference in points.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
    axis.axhline(0, color=GUIDE, lw=1)
    windows = list(dict.fromkeys(name for line in curves.values() for name in line))
    for number, ((line, points), colour) in enumerate(zip(curves.items(), PALETTE, strict=False)):
        x = np.array([windows.index(name) for name in points]) + 0.12 * (number - (len(curves) - 1) / 2)
        found = [result.minus(base) for result in points.values()]
        mean = np.array([d.mean for d in found])
        error = np.array([[d.mean - d.low for d in found], [d.high - d.mean for d in found]])
        axis.errorbar(x, mean, error, fmt=MARKS[number], ms=5, capsize=3, lw=1.3, color=colour, label=f"{line}, ours")
        quoted = [
            (position, reported[line][name])
            for position, name in zip(x, points, strict=True)
            if name in reported.get(line, {})
        ]
        if quoted:
            axis.plot(
                *zip(*quoted, strict=True), MARKS[number], mfc="none", ms=8, color=colour, label=f"{line}, report"
            )
    axis.set_xticks(range(len(windows)), windows)
    axis.set(xlabel="window", ylabel="mAP, points above the baseline")
    figure.legend(ncols=3, loc="outside lower center")
    sns.despine(ax=axis)
    return figure


@styled
def difference_plot(rows: Mapping[str, Result], base: str, reported: Mapping[str, float]) -> Figure:
    """Each row's mAP above a base row: ours with its 95 % interval, the report's as an open mark."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.55 * len(rows) + 1.0), layout="constrained")
    axis.axvline(0, color=GUIDE, lw=1)
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
            label="ours, 95 % interval",
        )
        if name in reported:
            axis.plot(reported[name], y, "D", mfc="none", ms=8, color=PALETTE[1], label="report")
    axis.set_yticks(range(len(names)), list(reversed(names)))
    axis.set(xlabel=f"mAP, points above {base}", ylim=(-0.6, len(names) - 0.4))
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once, ncols=2, loc="outside lower center")
    sns.despine(ax=axis)
    return figure


@styled
def training_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Cross-entropy and triplet loss against the epoch, a line a run."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8))
    for number, (name, curve) in enumerate(curves.items()):
        epochs = [point["epoch"] for point in curve]
        style = {"color": PALETTE[number], "ls": LINES[number], "label": name}
        axes[0].plot(epochs, [point["cross_entropy"] for point in curve], **style)
        axes[1].plot(epochs, [point["triplet"] for point in curve], **style)
    for axis, loss in zip(axes, ("cross-entropy", "triplet loss"), strict=True):
        axis.set(xlabel="epoch", ylabel=loss)
        sns.despine(ax=axis)
    axes[0].legend()
    figure.tight_layout()
    return figure


@styled
def interval_lines(
    lines: Mapping[str, Mapping[str, Difference]],
    xlabel: str,
    ylabel: str,
    *,
    spread: float = 0.07,
    joined: bool = True,
) -> Figure:
    """Means with 95 % intervals against named positions, a line each.

    spread: the lines' offset along the axis. joined: whether there is an order between the positions.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6), layout="constrained")
    axis.axhline(0, color=GUIDE, lw=1)
    positions = list(dict.fromkeys(name for line in lines.values() for name in line))
    for number, (name, points) in enumerate(lines.items()):
        x = np.array([positions.index(point) for point in points]) + spread * (number - (len(lines) - 1) / 2)
        mean = np.array([d.mean for d in points.values()])
        error = [[d.mean - d.low for d in points.values()], [d.high - d.mean for d in points.values()]]
        style = {"ls": "-" if joined else "", "lw": 1.2, "elinewidth": 1.2}
        axis.errorbar(x, mean, error, marker=MARKS[number], ms=5, capsize=3, color=PALETTE[number], label=name, **style)
    crowded = len("".join(map(str, positions))) > 70
    tilted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axis.set_xticks(range(len(positions)), positions, **tilted)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if len(lines) > 1:
        figure.legend(ncols=len(lines), loc="outside lower center")
    sns.despine(ax=axis)
    return figure


@styled
def gain_and_cost(
    points: Mapping[str, Sequence[tuple[float, float]]], chosen: Mapping[str, tuple[float, float]]
) -> Figure:
    """(seconds, mAP) of candidates on a logarithmic axis, a colour a kind; a ring and its name for what is chosen."""
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
    seconds = [of for pairs in points.values() for of, _ in pairs]
    middle = math.sqrt(min(seconds) * max(seconds))
    for number, (name, pairs) in enumerate(points.items()):
        axis.scatter(*zip(*pairs, strict=True), s=18, marker=MARKS[number], color=PALETTE[number], label=name)
    for place in dict.fromkeys(chosen.values()):
        names = ", ".join(name for name, other in chosen.items() if other == place)
        axis.scatter(*place, s=140, facecolors="none", edgecolors="k", linewidths=1.2)
        side = {"xytext": (10, 6), "ha": "left"} if place[0] < middle else {"xytext": (-10, 6), "ha": "right"}
        axis.annotate(names, place, textcoords="offset points", **side)
    axis.set(xscale="log", xlabel="time of one thread, training included", ylabel="mAP, percent")
    ticks = {s: words for s, words in DURATIONS.items() if min(seconds) / 2 <= s <= max(seconds) * 2}
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()
    figure.legend(ncols=3, loc="outside lower center")
    sns.despine(ax=axis)
    return figure


@styled
def votes(shares: np.ndarray) -> Figure:
    """(steps, K) shares of 1 .. K votes as stacked bars, all K votes at the bottom."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    steps, models = shares.shape
    colours = sns.light_palette(PALETTE[0], models + 1)[1:]
    bottom = np.zeros(steps)
    for count in range(models, 0, -1):
        label = f"{count} vote{'s' if count > 1 else ''}"
        axis.bar(range(1, steps + 1), shares[:, count - 1], bottom=bottom, color=colours[count - 1], label=label)
        bottom += shares[:, count - 1]
    axis.set(xlabel="position in the fused sequence", ylabel="share of queries", xlim=(0.4, steps + 0.6), ylim=(0, 1))
    axis.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside right upper")
    sns.despine(ax=axis)
    return figure


@styled
def over_epochs(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    ylabel: str,
    *,
    epochs: Mapping[str, Sequence[int]] | None = None,
    bands: bool = False,
    from_zero: bool = False,
    key: str | None = None,
    columns: int | None = None,
) -> Figure:
    """(S, E) values against the epoch: panel -> line -> a run a row; the thick line is the mean over the seeds.

    epochs: (E,) of each panel; None: 1 .. E. bands: the range of the seeds as a band behind their thin lines.
    from_zero: the axis begins there. key: title of the legend. columns: of the legend; None: as many as it has lines.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.1), layout="constrained", squeeze=False)
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for (name, values), colour in zip(lines.items(), PALETTE, strict=False):
            x = np.arange(1, values.shape[1] + 1) if epochs is None else epochs[title]
            axis.plot(x, values.T, color=colour, lw=0.6, alpha=0.6)
            axis.plot(x, values.mean(axis=0), color=colour, lw=2, label=name)
            if bands:
                axis.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0)
        axis.set(xlabel="epoch", title=title)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if from_zero:
            axis.set_ylim(bottom=0)
        sns.despine(ax=axis)
    axes[0][0].set_ylabel(ylabel)
    handles = axes[0][0].get_legend_handles_labels()
    columns = columns or len(handles[0])
    figure.legend(*handles, title=key, ncols=columns, loc="outside lower center")
    return figure
