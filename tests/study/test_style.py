"""Every figure of the package is drawn in its style: found among the sources, drawn from made-up values, looked at."""

from __future__ import annotations

import ast
import inspect
from itertools import combinations
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.text import Text

from reidlib.study import attention_figures, clip_figures, drawings, figures, plots, worlds
from reidlib.study.provenance import ROOT
from reidlib.study.statistics import Difference
from reidlib.study.style import GUIDE, MARKS, NEUTRAL, PALE, PALETTE, RIGHT, SIZE, WIDTH, WRONG

MODULES = (attention_figures, clip_figures, drawings, figures, plots, worlds)
KNOWN = {to_rgb(colour) for colour in (*PALETTE, WRONG, GUIDE, NEUTRAL, PALE, "black", "white")}
PICTURES = np.full((8, 4, 3), 200, np.uint8)
RAW = [{"epoch": 1, "cross_entropy": 3.0, "triplet": 1.0}, {"epoch": 2, "cross_entropy": 2.0, "triplet": 0.5}]


def apart(mean: float) -> Difference:
    return Difference(mean, mean - 1, mean + 1)


def result(mean: float):
    return SimpleNamespace(minus=lambda other: apart(mean))


def gallery():
    labels = {name: torch.arange(4) for name in ("person", "sequence", "frame")}
    return SimpleNamespace(query_labels=labels, gallery_labels=labels)


def audited() -> pd.DataFrame:
    rows = {"person": [0, 1], "sequence": [0, 1], "frame": [0, 1], "loss": [2.0, 1.0], "visible": [0.2, 0.9]}
    return pd.DataFrame(rows | {"decision": ["deleted", "hard"]})


def seen_clips() -> dict:
    return {
        "shown": torch.arange(2),
        "chosen": torch.zeros(2),
        "visible": torch.ones(2, 3),
        **{name: torch.zeros(2, 3, 3, 8, 4, dtype=torch.uint8) for name in ("shown_pixels", "shown_erased")},
        **{name: torch.full((2, 3), 1 / 3) for name in ("clean_weights", "erased_weights")},
    }


def searched():
    space = {f"name {k}": (0.1, 1.0, k % 2 == 0) for k in range(7)}
    trials = [SimpleNamespace(value=v, values=dict.fromkeys(space, v)) for v in (0.2, 0.9, 0.4)]
    return trials, space, dict.fromkeys(space, 0.5)


def lines() -> dict:
    return {name: {"near": apart(1.0), "far": apart(2.0)} for name in ("one", "other")}


RANKING = {"before": torch.tensor([[1, 0, 2]])}
EXAMPLES = {
    plots.variants_plot: lambda: (result(0), {"mean": {"Local-1": result(1)}}, {"mean": {"Local-1": 1.5}}),
    plots.difference_plot: lambda: ({"base": result(0), "row": result(1)}, "base", {"row": 2.0}),
    plots.training_curves: lambda: ({"one": RAW, "other": RAW, "third": RAW},),
    plots.interval_lines: lambda: (lines(), "window", "mAP, points"),
    plots.gain_and_cost: lambda: ({"one": [(1.0, 80.0), (10.0, 90.0)]}, {"chosen": (10.0, 90.0)}),
    plots.votes: lambda: (np.full((20, 5), 0.2),),
    plots.over_epochs: lambda: ({"left": {"one": np.eye(3)}, "right": {"one": np.eye(3)}}, "mAP, percent"),
    figures.retrieval_strips: lambda: (None, gallery(), RANKING, [0], "val", 3),
    figures.frame_order_strip: lambda: (None, gallery(), RANKING["before"], [0], "val", 3),
    figures.backdrops: lambda: (None, "val", [0], ["kept"], 3),
    figures.audit_sheet: lambda: (None, audited()),
    figures.window_drawing: lambda: (),
    drawings.metric_spaces: lambda: (),
    clip_figures.activation_strips: lambda: (
        {"model": (torch.ones(2, 3, 4, 2), torch.zeros(2, 3, 3, 8, 4, dtype=torch.uint8))},
    ),
    clip_figures.scatter_panels: lambda: ({"left": np.random.rand(4, 3, 2)}, np.array([0, 0, 7, 7])),
    attention_figures.attended_clips: lambda: ({"model": seen_clips()}, ["as it is", "one erased"]),
    attention_figures.search_panels: searched,
    worlds._grid: lambda: ([[PICTURES] * 3] * 2,),
}
SHADED = {plots.votes}  # one colour of the palette, lighter and darker: an order, not kinds


@pytest.fixture(params=EXAMPLES, ids=lambda draw: draw.__name__)
def drawn(request, monkeypatch):
    monkeypatch.setattr(figures, "picture", lambda *_: PICTURES)
    monkeypatch.setattr(figures, "render_image", lambda *_: (PICTURES, 1.0))
    monkeypatch.setattr(figures, "replace", lambda spec, **_: spec)
    figure = request.param(*EXAMPLES[request.param]())
    figure.canvas.draw()
    yield request.param, figure
    plt.close(figure)


def test_every_figure_of_the_package_is_styled_and_has_an_example():
    found = {value for module in MODULES for value in vars(module).values() if inspect.isfunction(value)}
    assert {draw for draw in found if hasattr(draw, "__wrapped__") and "Figure" in str(draw.__annotations__)} == set(
        EXAMPLES
    )
    for path in (ROOT / "reidlib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "fontsize=" not in text and "labelsize=" not in text, f"{path}: one size of letters, in style.py"
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef) and "plt.subplots(" in ast.unparse(function):
                assert "styled" in [ast.unparse(d) for d in function.decorator_list], f"{path}: {function.name}"


def test_letters_are_of_one_size_on_a_white_ground_of_one_width(drawn):
    _, figure = drawn
    words = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert {text.get_fontsize() for text in words} <= {SIZE}
    assert to_rgb(figure.get_facecolor()) == (1, 1, 1)
    assert figure.get_figwidth() == WIDTH


def test_colours_are_the_palettes(drawn):
    draw, figure = drawn
    used = set()
    for axis in figure.axes:
        for line in axis.get_lines():
            shown = [line.get_color()] if line.get_linestyle() != "None" else [line.get_markeredgecolor()]
            shown += [line.get_markerfacecolor()] if line.get_marker() != "None" else []
            used |= {to_rgb(colour) for colour in shown if colour != "none"}
        for patch in axis.patches:
            used |= {to_rgb(patch.get_facecolor()), to_rgb(patch.get_edgecolor())}
        for collection in axis.findobj(Collection):
            used |= {tuple(colour[:3]) for colour in collection.get_facecolor()}
        used |= {to_rgb(text.get_color()) for text in axis.findobj(Text)}
    if draw in SHADED:
        hue = np.array(PALETTE[0]) < np.array(PALETTE[0]).max()  # what of it is not blue
        assert all((np.array(c)[hue] <= max(c)).all() for c in used)
    else:
        assert {tuple(np.round(c, 6)) for c in used} <= {tuple(np.round(c, 6)) for c in KNOWN}


def test_lines_are_told_apart_without_colours(drawn):
    """Lines that a legend names differ in their mark or dashes where they may lie on each other."""
    draw, figure = drawn
    if draw in (plots.variants_plot, plots.training_curves, plots.interval_lines):
        handles, _ = figure.axes[0].get_legend_handles_labels()
        solid = [handle[0] if not isinstance(handle, Line2D) else handle for handle in handles]
        looks = [(line.get_marker(), line.get_linestyle(), line.get_markerfacecolor() == "none") for line in solid]
        assert len(set(looks)) == len(looks)


def test_charts_have_labelled_axes(drawn):
    """Pictures and drawings have none to label; names of rows beside an axis are labels."""
    draw, figure = drawn
    for axis in figure.axes:
        if axis.get_images() or not axis.axison:
            continue
        assert axis.get_xlabel()
        if axis.get_subplotspec().is_first_col() and draw is not drawings.metric_spaces:  # a plane of two features
            named = any(text.get_text().isalpha() for text in axis.get_yticklabels())
            assert axis.get_ylabel() or figure.get_supylabel() or named


SEEN = {  # linear RGB as seen with no working cones of one kind: Machado, Oliveira and Fernandes (2009), severity 1
    "protanopia": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)],
    "deuteranopia": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)],
    "tritanopia": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)],
}


def apart_for(kind: str, one, other) -> float:
    """The CIE76 distance of two colours so seen; 2.3 is just noticeable side by side."""
    labs = []
    for colour in (one, other):
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.array(SEEN[kind]) @ linear, 0, 1)
        xyz = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)]) @ linear
        xyz /= (0.9505, 1, 1.089)
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        labs.append((116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])))
    return float(np.linalg.norm(np.subtract(*labs)))


@pytest.mark.parametrize("kind", SEEN)
def test_colours_are_told_apart_by_the_colour_blind(kind):
    """As many as there are marks; matplotlib's own first four are not."""
    assert min(apart_for(kind, *pair) for pair in combinations(PALETTE[: len(MARKS)], 2)) > 10
    assert apart_for(kind, RIGHT, WRONG) > 25
    usual = plt.rcParamsDefault["axes.prop_cycle"].by_key()["color"][:4]
    assert kind == "tritanopia" or min(apart_for(kind, *pair) for pair in combinations(usual, 2)) < 8
