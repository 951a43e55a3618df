"""The noise audit: its scores by loops over thresholds and pairs, its table and its sheet by hand."""

from __future__ import annotations

import itertools

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reidlib.curation import Curation, decide
from reidlib.data import Dataset
from reidlib.study import audit, figures
from reidlib.study.audit import FULLY, FULLY_OR_PARTLY, Target
from reidlib.study.data import StudyData
from reidlib.study.profile import load_profile
from reidlib.study.tables import interval

NAN = np.nan
CURATION = Curation(delete=0.1, hard=0.2)


def slow_average_precision(scores, occluded):
    """Percent: over every threshold, from the highest down, precision times the recall that it adds."""
    found, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [wanted for score, wanted in zip(scores, occluded, strict=True) if score >= threshold]
        recall = sum(taken) / sum(occluded)
        found += sum(taken) / len(taken) * (recall - recall_before)
        recall_before = recall
    return 100 * found


def slow_auroc(scores, occluded):
    """Percent of pairs of an occluded image and another that are in order; an equal pair counts half."""
    right = [score for score, wanted in zip(scores, occluded, strict=True) if wanted]
    wrong = [score for score, wanted in zip(scores, occluded, strict=True) if not wanted]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in right for b in wrong]
    return 100 * sum(wins) / len(wins) if wins else NAN


def people(visible, each=1):
    """The training rows of a world with these visible fractions, `each` images a person."""
    count = len(visible)
    paths = [f"{number:02}.png" for number in range(count)]
    persons, numbers = 7 + np.arange(count) // each, np.arange(count)
    rows = {"path": paths, "split": "train", "person": persons, "sequence": 0, "frame": numbers, "visible": visible}
    return pd.DataFrame(rows, index=range(40, 40 + count))


@st.composite
def cases(draw):
    """Scores (S, N) with ties, and visible fractions (N,) of which one or more is fully occluded."""
    seeds, count = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    scores = draw(st.lists(st.lists(st.integers(0, 5), min_size=count, max_size=count), min_size=seeds, max_size=seeds))
    visible = draw(st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.79, 0.8, 1.0]), min_size=count, max_size=count))
    visible[draw(st.integers(0, count - 1))] = 0.1
    return np.array(scores, dtype=float), np.array(visible)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([FULLY, FULLY_OR_PARTLY]))
def test_scores_by_loops(case, target):
    scores, visible = case
    found = audit.finds(scores, people(visible), CURATION, target)
    occluded = [bool(v < {"fully occluded": 0.3, "fully or partly occluded": 0.8}[target.name]) for v in visible]
    wanted = np.mean([slow_average_precision(row, occluded) for row in scores])
    assert found.average_precision.mean == pytest.approx(wanted)
    assert found.auroc.mean == pytest.approx(np.mean([slow_auroc(row, occluded) for row in scores]), nan_ok=True)
    decided, right = 0, 0
    for row in scores:
        for decision, wanted in zip(decide(row, CURATION), occluded, strict=True):
            taken = decision == "deleted" or (decision == "hard" and target is FULLY_OR_PARTLY)
            decided += taken
            right += taken and wanted
    assert found.precision.mean == pytest.approx(100 * right / decided if decided else NAN, nan_ok=True)
    assert found.recall.mean == pytest.approx(100 * right / (len(scores) * sum(occluded)))


def test_intervals_are_those_of_all_draws(monkeypatch):
    """Two seeds and four persons of three images: every draw of both, each as likely as the others."""
    monkeypatch.setattr(audit, "RESAMPLES", 20_000)
    rng, curation = np.random.default_rng(1), Curation(delete=0.25)
    visible = np.array([0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.9])
    first = rng.normal(size=(2, 12)) - visible
    second, rows = first + rng.normal(size=(2, 12)), people(visible, each=3)
    values, deleted = [], [decide(row, curation) == "deleted" for row in first]
    for persons in itertools.product(range(4), repeat=4):
        images = np.concatenate([np.arange(3 * p, 3 * p + 3) for p in persons])
        occluded = (visible < 0.3)[images]
        if occluded.any():
            precision, auroc = (
                [f(row[images], occluded) for row in first] for f in (slow_average_precision, slow_auroc)
            )
            gain = [p - slow_average_precision(row[images], occluded) for p, row in zip(precision, second, strict=True)]
            taken, right = ([(mask[images] & x).sum() for mask in deleted] for x in (True, occluded))
            for seeds in itertools.product(range(2), repeat=2):
                hits, decided = sum(right[s] for s in seeds), sum(taken[s] for s in seeds)
                recall = 100 * hits / (2 * occluded.sum())
                rest = (np.mean([of[s] for s in seeds]) for of in (precision, auroc, gain))
                values.append((100 * hits / decided if decided else NAN, recall, *rest))
    found = audit.finds(first, rows, curation, FULLY)
    gain = audit.advantage(first, second, rows, FULLY)
    for ours, column in zip([*vars(found).values(), gain], np.transpose(values), strict=True):
        about = np.nanpercentile(column, (2, 3, 97, 98))  # around the ends of the interval
        assert about[0] - 1e-9 <= ours.low <= about[1] + 1e-9
        assert about[2] - 1e-9 <= ours.high <= about[3] + 1e-9
    theirs = audit.finds(second, rows, curation, FULLY)
    assert gain.mean == pytest.approx(found.average_precision.mean - theirs.average_precision.mean)
    assert audit.advantage(first, np.exp(first), rows, FULLY).high == 0


def test_perfect_constant_and_reversed_scores():
    visible = np.array([0.1] * 4 + [0.9] * 16)
    rows = people(visible)
    perfect = audit.finds([1 - visible] * 2, rows, Curation(delete=0.2), FULLY)
    for value in (perfect.precision, perfect.recall, perfect.average_precision, perfect.auroc):
        assert (value.mean, value.low, value.high) == (100, 100, 100)
    constant = audit.finds(np.ones((1, 20)), rows, CURATION, FULLY)
    assert (constant.average_precision.mean, constant.auroc.mean) == (pytest.approx(20), 50)
    assert (constant.auroc.low, constant.auroc.high) == (50, 50)
    assert audit.finds([visible], rows, CURATION, FULLY).auroc.high == 0
    assert audit.advantage([1 - visible], np.ones((1, 20)), rows, FULLY).mean == pytest.approx(80)


@settings(max_examples=20, deadline=None)
@given(cases())
def test_only_the_order_of_scores_matters(case):
    scores, visible = case
    before, after = (audit.finds(x, people(visible), CURATION, FULLY) for x in (scores, np.exp(scores) - 9))
    assert str(before) == str(after)  # NaN too


@pytest.mark.parametrize(("count", "hits"), [(1, 1), (5, 1), (6, 2), (6, 5), (4, 4)])
def test_chance_is_the_mean_over_all_orders(count, hits):
    visible = np.array([0.1] * hits + [1.0] * (count - hits))
    curation, occluded = Curation(delete=0.5), visible < 0.3
    found = audit.by_chance(visible, curation, FULLY)
    orders = list(itertools.permutations(range(count)))
    every = [(slow_average_precision(order, occluded), slow_auroc(order, occluded)) for order in orders]
    taken = [decide(order, curation) == "deleted" for order in orders]
    values = (found.precision, found.recall, found.average_precision, found.auroc)
    recall = 100 * np.mean([(mask & occluded).sum() for mask in taken]) / hits
    wanted = (100 * hits / count if taken[0].any() else NAN, recall, *np.mean(every, axis=0))
    assert [value.mean for value in values] == pytest.approx(wanted, nan_ok=True)


def test_by_epoch():
    visible = [0.1, 0.9, 0.9, 0.1]
    losses = [[3.0, 2.0, 1.0, NAN], [1.0, 5.0, 2.0, 3.0], [NAN, 0.0, 0.0, NAN]]
    found = audit.by_epoch(losses, visible)
    assert found["epoch"].tolist() == [1, 2, 3]
    second = slow_average_precision(losses[1], [True, False, False, True])
    assert found["one epoch"].tolist() == pytest.approx([100, second, NAN], nan_ok=True)
    means = [[2.0, 3.5, 1.5, 3.0], [2.0, 7 / 3, 1.0, 3.0]]
    wanted = [100, *(slow_average_precision(row, [True, False, False, True]) for row in means)]
    assert found["up to there"].tolist() == pytest.approx(wanted)
    assert audit.by_epoch([[1.0, 2.0]], [1.0, 0.9]).iloc[0, 1:].isna().all()
    with pytest.raises(ValueError, match=r"losses: want shape \(epochs, 4 images\), got \(1, 2\)"):
        audit.by_epoch([[1.0, 2.0]], visible)


def test_suspicions():
    found = audit.suspicions([[2.0, 1.0]], [[0.25, 1.0]], [[0.5, 1.0]])
    assert [list(values[0]) for values in found.values()] == [[2.0, 1.0], [0.75, 0.0], [0.5, 0.0]]


def test_table():
    losses = [0.5, 2.0, 1.0, 2.0, 0.1]
    rows, decisions = people([1.0, 0.5, 0.9, 0.1, 1.0], each=2), decide(losses, Curation(delete=0.2, hard=0.4))
    table = audit.audit_table(rows, losses, decisions)
    assert table.to_csv(index=False).splitlines() == [
        "image,path,person,sequence,frame,loss,decision,visible",
        "3,03.png,8,0,3,2.0,deleted,0.1",
        "1,01.png,7,0,1,2.0,hard,0.5",
        "2,02.png,8,0,2,1.0,hard,0.9",
        "0,00.png,7,0,0,0.5,kept,1.0",
        "4,04.png,9,0,4,0.1,kept,1.0",
    ]
    real = audit.audit_table(rows.drop(columns="visible"), losses, decisions)
    pd.testing.assert_frame_equal(real, table.drop(columns="visible"))
    for name, arguments in (("losses", (losses[:4], decisions)), ("decisions", (losses, decisions[:4]))):
        with pytest.raises(ValueError, match=rf"{name}: want one for each of the 5 rows, got shape \(4,\)"):
            audit.audit_table(rows, *arguments)


def test_what_is_not_defined_is_a_dash():
    half = Curation(delete=0.5)
    nothing = audit.finds(np.ones((2, 3)), people([1.0, 0.9, 0.5]), half, FULLY)
    lines = audit.found_table(
        {"loss": nothing, "chance": audit.by_chance([1.0, 0.9], half, FULLY)}, "Caption.", "name"
    ).splitlines()
    assert lines[0] == "~~~~{table} Caption." and lines[-3:-1] == [
        "| loss | – | – | – | – |",
        "| chance | – | – | – | – |",
    ]
    assert interval(audit.advantage([[1.0]], [[2.0]], people([1.0]), FULLY)) == "–"
    everything = audit.finds([[1.0, 2.0]], people([0.0, 0.1]), Curation(), FULLY)
    cells = [audit.level(value) for value in vars(everything).values()]
    assert cells == ["–", "0.0", "100.0", "–"]  # nothing is decided on; there is no other image
    chance = audit.by_chance([0.0, 0.1], Curation(), FULLY)
    assert [audit.level(value) for value in vars(chance).values()] == cells
    assert audit.level(audit.Difference(43.21, 38.06, 48.04)) == "43.2 [38.1, 48.0]"


@pytest.mark.parametrize(
    ("scores", "visible", "message"),
    [
        ([1.0, 2.0], [0.1, 1.0], r"scores: want finite numbers of shape \(seeds, 2 images\), got \(2,\)"),
        ([[1.0, NAN]], [0.1, 1.0], "scores: want finite numbers"),
        ([[1.0, 2.0]], [0.1, 1.0, 1.0], r"3 images\), got \(1, 2\)"),
        ([[1.0, 2.0]], [0.1, NAN], r"rows: visible wants shares in \[0, 1\]"),
    ],
)
def test_bad_input(scores, visible, message):
    with pytest.raises(ValueError, match=message):
        audit.finds(scores, people(visible), CURATION, FULLY)
    with pytest.raises(ValueError, match=message):
        audit.advantage(scores, scores, people(visible), Target("half", 0.5, ("deleted",)))
    with pytest.raises(ValueError, match="a, b: want the same shape"):
        audit.advantage(np.ones((1, 2)), np.ones((2, 2)), people([0.1, 1.0]), FULLY)


@pytest.mark.parametrize("world", [True, False])
def test_sheet(tmp_path, world):
    """Deleted at 0.2 and hard at 0.5 are right; deleted at 0.5, hard at 0.2 and hard at 0.9 are not."""
    decisions = ["deleted"] * 2 + ["hard"] * 9 + ["kept"]
    visible = [0.2, 0.5, 0.5, 0.2, 0.9, *[0.5] * 6, 0.1]
    rows = people(visible)
    for number, path in enumerate(rows["path"]):
        Image.new("RGB", (10, 20), (20 * number, 0, 0)).save(tmp_path / path)
    table = audit.audit_table(rows if world else rows.drop(columns="visible"), np.arange(12, 0, -1.0), decisions)
    data = StudyData(load_profile("smoke"), Dataset("folder", tmp_path, rows, ""))
    figure = figures.audit_sheet(data, table)
    shown = [axis for axis in figure.axes if axis.images]
    meant = {figures.RIGHT: "right", figures.WRONG: "wrong", figures.NEUTRAL: "unknown"}
    colours = {matplotlib.colors.to_hex(colour): words for colour, words in meant.items()}
    found = [
        (
            int(axis.images[0].get_array()[10, 5, 0]) // 20,
            axis.get_xlabel().replace("\n", ", "),
            colours[matplotlib.colors.to_hex(axis.spines["left"].get_edgecolor())],
        )
        for axis in shown
    ]
    truth = ["right", "wrong", "right", "wrong", "wrong", *["right"] * 6]
    wanted = [
        (
            i,
            f"{decisions[i]}, loss {12 - i:.2f}" + f", visible {visible[i]:.2f}" * world,
            truth[i] if world else "unknown",
        )
        for i in (2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1)
    ]
    assert found == wanted
    assert len(figure.axes) == 3 * 8  # nine hard ones take two lines, the two deleted ones the third
    few = figures.audit_sheet(data, table, 3).axes
    losses = [axis.get_xlabel().split("\n")[1] for axis in few if axis.images]
    assert losses == ["loss 10.00", "loss 9.00", "loss 8.00", "loss 12.00", "loss 11.00"] and len(few) == 2 * 8
    with pytest.raises(ValueError, match="table: wants images decided hard or deleted"):
        figures.audit_sheet(data, table.tail(1))
    plt.close("all")
