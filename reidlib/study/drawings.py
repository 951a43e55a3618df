"""Drawings of the reports' arguments, computed from small fixed examples: what is marked is found, not typed."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Arc, Circle, FancyArrowPatch

from reidlib.study.style import GUIDE, PALE, PALETTE, WIDTH, styled

# Features of three persons, not negative, as pooling after a ReLU leaves them; the first is the anchor.
FEATURES = np.array([(1.2, 1.1), (3.0, 3.2), (0.6, 1.9), (1.8, 0.6), (3.8, 2.1), (3.5, 1.1), (2.6, 0.5)])
PERSONS = np.array([0, 0, 0, 1, 1, 2, 2])
NAMES = ("$a$", "$p_1$", "$p_2$", "$n_1$", "$n_2$", "$n_3$", "$n_4$")
WINDOWS = (((-0.25, -0.25), 4.4), ((-2.15, -1.7), 4.3), ((-1.4, -1.3), 2.8))  # lower left corner and width of a panel
TITLES = ("(a) pooled features", "(b) batch-normalised", "(c) then L2-normalised")
EUCLIDEAN, COSINE = PALETTE[0], PALETTE[1]
INK, POSITIVE, NEGATIVE = "black", PALETTE[2], PALE
SOLID, DASHED = "-", (0, (2.5, 1.2))


def _spaces() -> list[np.ndarray]:
    """(N, 2) features three times: pooled, after batch normalisation over the N, after L2 normalisation of that."""
    normalised = (FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0)
    return [FEATURES, normalised, normalised / np.linalg.norm(normalised, axis=1, keepdims=True)]


def _hardest(features: np.ndarray) -> dict[str, tuple[int, int]]:
    """Indices of the anchor's farthest positive and nearest negative, by Euclidean distance and by angle."""
    distance = np.linalg.norm(features - features[0], axis=1)
    cosine = features @ features[0] / np.linalg.norm(features, axis=1) / np.linalg.norm(features[0])
    same = PERSONS[0] == PERSONS
    return {
        name: (int(np.where(same, far, -np.inf).argmax()), int(np.where(same, np.inf, far).argmin()))
        for name, far in (("distance", distance), ("angle", 1 - cosine))
    }


def _pulls(feature: np.ndarray, anchor: np.ndarray, *, l2: bool) -> tuple[np.ndarray, np.ndarray]:
    """(2,) unit vectors: where its Euclidean and its cosine distance to the anchor pull a positive's feature.

    l2: the Euclidean distance is one between L2-normalised features, and its gradient passes through the normalisation.
    """
    radial = feature / np.linalg.norm(feature)
    link = anchor / np.linalg.norm(anchor) - radial if l2 else anchor - feature
    euclidean = link - radial * (radial @ link) if l2 else link
    cosine = anchor - radial * (radial @ anchor)
    return euclidean / np.linalg.norm(euclidean), cosine / np.linalg.norm(cosine)


def _draw_pairs(axis: Axes, features: np.ndarray) -> None:
    """Links to the samples hardest by distance, rays and arcs to those hardest by angle, and a ring round each."""
    found = _hardest(features)
    degrees = np.degrees(np.arctan2(features[:, 1], features[:, 0]))
    axis.plot((0, features[0, 0]), (0, features[0, 1]), color=COSINE, lw=1.2, zorder=1)
    for index, style in zip(found["distance"], (SOLID, DASHED), strict=True):
        axis.plot(*features[[0, index]].T, color=EUCLIDEAN, ls=style, lw=1.4, zorder=2)
        axis.plot(*features[index], "o", mfc="none", mec=EUCLIDEAN, mew=1.4, ms=11, zorder=4)
    for index, style, radius in zip(found["angle"], (SOLID, DASHED), (0.5, 0.72), strict=True):
        axis.plot((0, features[index, 0]), (0, features[index, 1]), color=COSINE, ls=style, lw=1.2, zorder=1)
        axis.plot(*features[index], "o", mfc="none", mec=COSINE, mew=1.4, ms=15, zorder=4)
        start, turn = degrees[0], (degrees[index] - degrees[0] + 180) % 360 - 180  # the shorter way round
        ends = sorted((start, start + turn))
        size = 2 * radius * np.linalg.norm(features[0])
        axis.add_patch(Arc((0, 0), size, size, theta1=ends[0], theta2=ends[1], color=COSINE, ls=style, lw=1.4))


def _draw_pulls(axis: Axes, features: np.ndarray, length: float, *, l2: bool) -> str:
    """Both pulls on the positive hardest by distance, the cosine one underneath; returns the line that says so."""
    index = _hardest(features)["distance"][0]
    both = _pulls(features[index], features[0], l2=l2)
    shapes = "tail_width=2, head_width=6.5, head_length=9", "tail_width=6, head_width=15, head_length=12"
    for pull, colour, shape, zorder in zip(both, (EUCLIDEAN, COSINE), shapes, (3.8, 3.5), strict=True):
        ends = features[index], features[index] + length * pull
        arrow = FancyArrowPatch(*ends, arrowstyle=f"simple, {shape}", color=colour, lw=0, shrinkA=0, shrinkB=0)
        axis.add_patch(arrow).set_zorder(zorder)
    apart = np.degrees(np.arccos(min(1.0, both[0] @ both[1])))
    return f"pulls on {NAMES[index]}: {apart:.0f}° apart"


@styled
def metric_spaces() -> Figure:
    """The argument of report `stronger`'s Figure 2: which samples are hard, and where a positive is pulled.

    The same seven points of three persons in each panel: an example of what may happen, not a proof that it does.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.5), layout="constrained")
    for number, (axis, features) in enumerate(zip(axes, _spaces(), strict=True)):
        (left, low), side = WINDOWS[number]
        axis.set(xlim=(left, left + side), ylim=(low, low + 0.95 * side), aspect="equal")
        axis.axhline(0, color=PALE, lw=0.8, zorder=0)
        axis.axvline(0, color=PALE, lw=0.8, zorder=0)
        if number == 2:
            axis.add_patch(Circle((0, 0), 1, fill=False, color=GUIDE, lw=0.8, zorder=0))
        _draw_pairs(axis, features)
        said = _draw_pulls(axis, features, 0.27 * side, l2=number == 2)
        centre = features.mean(axis=0)
        for point, person, name in zip(features, PERSONS, NAMES, strict=True):
            colour = INK if name == NAMES[0] else POSITIVE if person == PERSONS[0] else NEGATIVE
            axis.plot(*point, "os^"[person], color=colour, mec=INK, mew=0.6, ms=6, zorder=5)
            away = (point - centre) / np.linalg.norm(point - centre)
            axis.annotate(name, point, 15 * away, textcoords="offset points", ha="center", va="center")
        found = {metric: " and ".join(NAMES[i] for i in pair) for metric, pair in _hardest(features).items()}
        lines = [f"hardest by {metric}: {pair}" for metric, pair in found.items()]
        axis.set_xlabel("\n".join([*lines, said]))
        axis.set_title(TITLES[number])
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    point = {"ls": "", "mec": INK, "mew": 0.6, "ms": 6}
    handles = [
        Line2D([], [], marker="o", color=INK, label="anchor", **point),
        Line2D([], [], marker="o", color=POSITIVE, label="positives", **point),
        Line2D([], [], marker="s", color=NEGATIVE, label="negatives (shape: person)", **point),
        Line2D([], [], ls="", color=GUIDE, marker=r"$\rightarrow$", ms=16, label="pull on a positive"),
        Line2D([], [], color=EUCLIDEAN, marker="o", mfc="none", ms=9, label="Euclidean distance"),
        Line2D([], [], color=COSINE, marker="o", mfc="none", ms=9, label="cosine (angle)"),
        Line2D([], [], color=GUIDE, ls=SOLID, label="to the hardest positive"),
        Line2D([], [], color=GUIDE, ls=DASHED, label="to the hardest negative"),
    ]
    figure.legend(handles=handles, ncols=4, loc="outside lower center")
    return figure
