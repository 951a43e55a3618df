"""Metrics by hand, against sorting one query at a time, and against scikit-learn."""

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.retrieval.metrics import PROTOCOLS, Labels, evaluate, evaluate_rankings

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def scene(seed, m, n, distances):
    """Labels as dictionaries for the oracle, with junk (-1), distractors (0) and queries without a match."""
    rng = np.random.default_rng(seed)
    sides = [
        {"person": rng.integers(-1, 5, size), "camera": rng.integers(0, 3, size), "sequence": rng.integers(0, 40, size)}
        for size in (m, n)
    ]
    values = {
        "real": rng.standard_normal((m, n)),
        "float32": rng.random((m, n)).astype(np.float32),
        "ties": rng.integers(0, 4, (m, n)),
        "equal": np.zeros((m, n)),
    }
    return values[distances], *sides


def check(evaluation, want):
    precisions, cmc, penalty = want
    precisions = np.array([np.nan if precision is None else precision for precision in precisions])
    np.testing.assert_allclose(evaluation.average_precision, precisions, atol=1e-12)
    np.testing.assert_allclose(evaluation.mAP, np.nanmean(precisions), atol=1e-12)
    np.testing.assert_allclose(evaluation.cmc, cmc, atol=1e-12)
    known = ~np.isnan(precisions)
    np.testing.assert_array_equal(np.isnan(evaluation.first_match), ~known)
    within = [(evaluation.first_match[known] <= k).mean() for k in range(1, len(cmc) + 1)]
    np.testing.assert_allclose(within, cmc, atol=1e-12)
    np.testing.assert_allclose(evaluation.mINP, penalty, atol=1e-12)
    np.testing.assert_array_equal(evaluation.skipped, np.flatnonzero(np.isnan(precisions)))


@pytest.mark.parametrize(
    ("protocol", "average_precision", "first", "penalty"),
    [
        # Ranked: 7 same camera, 9, 7, junk, 7, 0. True matches at 1, 3 and 5 of all six.
        ("synergyreid", (1 / 1 + 2 / 3 + 3 / 5) / 3, 1, 3 / 5),
        # Without the same camera's image and without junk: 9, 7, 7, 0. True matches at 2 and 3 of four.
        ("market1501", (1 / 2 + 2 / 3) / 2, 2, 2 / 3),
        # The same ranking; just before the matches the precision is 0 and 1/2.
        ("mars", ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2, 2, 2 / 3),
        # The second match is a query's own sequence: 9, 7, 0 are left.
        ("mars-9330", 1 / 2, 2, 1 / 2),
    ],
)
def test_by_hand(protocol, average_precision, first, penalty, device):
    query = Labels([7], camera=[1], sequence=[10])
    gallery = Labels([0, 7, 9, 7, -1, 7], camera=[3, 2, 1, 1, 2, 3], sequence=[0, 1, 2, 3, 4, 10])
    distances = torch.tensor([[6.0, 3.0, 2.0, 1.0, 4.0, 5.0]], device=device)
    for evaluation in (
        evaluate(distances, query, gallery, protocol),
        evaluate_rankings(distances.argsort(dim=1), query, gallery, protocol),
    ):
        assert evaluation.mAP == pytest.approx(average_precision)
        assert evaluation.average_precision.tolist() == pytest.approx([average_precision])
        assert evaluation.first_match.tolist() == [first]
        assert evaluation.cmc.tolist() == [0.0] * (first - 1) + [1.0] * (7 - first)
        assert evaluation.mINP == pytest.approx(penalty)
        assert evaluation.skipped.tolist() == []


@every_protocol
@pytest.mark.parametrize("distances", ["real", "float32", "ties", "equal"])
def test_sorting_gives_the_same(protocol, distances):
    for seed, (m, n) in enumerate([(1, 40), (9, 25), (20, 60)]):
        values, query, gallery = scene(seed, m, n, distances)
        labels = Labels(**query), Labels(**gallery)
        want = oracles.evaluate(values, query, gallery, protocol)
        if want[1] is None:
            with pytest.raises(ValueError, match="no query has a true match"):
                evaluate(values, *labels, protocol)
            continue
        check(evaluate(values, *labels, protocol), want)
        rankings = np.argsort(values, axis=1, kind="stable")
        places = np.argsort(rankings, axis=1)  # distances without ties that sort the same way
        check(evaluate_rankings(rankings, *labels, protocol), oracles.evaluate(places, query, gallery, protocol))


def test_scikit_learn_gives_the_same_with_ties():
    sklearn = pytest.importorskip("sklearn.metrics")
    values, query, gallery = scene(0, 12, 50, "ties")
    evaluation = evaluate(values, Labels(query["person"]), Labels(gallery["person"]), "synergyreid")
    for i, precision in enumerate(evaluation.average_precision):
        matches = gallery["person"] == query["person"][i]
        assert precision == pytest.approx(sklearn.average_precision_score(matches, -values[i]))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_what_holds_for_every_evaluation(data):
    m, n = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    draw_labels = [data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)) for size in (m, n, m, n)]
    sequences = np.arange(m), np.arange(m, m + n)
    query = Labels(draw_labels[0], draw_labels[2], sequences[0])
    gallery = Labels(draw_labels[1], draw_labels[3], sequences[1])
    places = np.array(data.draw(st.lists(st.integers(-5, 5), min_size=m * n, max_size=m * n))).reshape(m, n)
    protocol = data.draw(st.sampled_from(sorted(PROTOCOLS)))
    try:
        evaluation = evaluate(places, query, gallery, protocol)
    except ValueError as error:
        assert "no query has a true match" in str(error)
        return

    monotone = evaluate(np.exp(3.0 * places) - 1, query, gallery, protocol)  # ties stay ties
    np.testing.assert_array_equal(monotone.average_precision, evaluation.average_precision)
    np.testing.assert_array_equal(monotone.cmc, evaluation.cmc)
    assert (monotone.mAP, monotone.mINP) == (evaluation.mAP, evaluation.mINP)

    assert (np.diff(evaluation.cmc) >= 0).all() and evaluation.cmc[-1] == 1
    known = evaluation.average_precision[~np.isnan(evaluation.average_precision)]
    assert ((known > 0) & (known <= 1)).all() and 0 < evaluation.mINP <= 1
    assert len(known) + len(evaluation.skipped) == m

    order = np.array(data.draw(st.permutations(range(n))))
    distinct = places + np.arange(n) / (2 * n)  # no two of a row are equal, so that no order is left to the index
    shuffled = Labels(gallery.person[order], gallery.camera[order], gallery.sequence[order])
    np.testing.assert_allclose(
        evaluate(distinct[:, order], query, shuffled, protocol).average_precision,
        evaluate(distinct, query, gallery, protocol).average_precision,
    )


def test_perfect_and_worst_rankings():
    query, gallery = Labels([1, 2]), Labels([1, 1, 2, 3, 3])
    perfect = evaluate_rankings([[0, 1, 2, 3, 4], [2, 0, 1, 3, 4]], query, gallery, "synergyreid")
    assert (perfect.mAP, perfect.mINP, perfect.cmc.tolist()) == (1.0, 1.0, [1.0] * 5)
    worst = evaluate_rankings([[2, 3, 4, 0, 1], [0, 1, 3, 4, 2]], query, gallery, "synergyreid")
    assert worst.mAP == pytest.approx(((1 / 4 + 2 / 5) / 2 + 1 / 5) / 2)
    assert worst.cmc.tolist() == [0, 0, 0, 0.5, 1.0]


def test_queries_without_a_match_are_listed_and_left_out_of_the_means():
    query = Labels([5, 1, 6, 2], camera=[0, 0, 0, 0])
    gallery = Labels([1, 2, 6, 3], camera=[1, 1, 0, 1])  # person 5 is nowhere, person 6 before the same camera only
    evaluation = evaluate(np.tile([[1.0, 2.0, 3.0, 4.0]], (4, 1)), query, gallery)
    assert evaluation.skipped.tolist() == [0, 2]
    np.testing.assert_allclose(evaluation.average_precision, [np.nan, 1, np.nan, 1 / 2])
    assert evaluation.mAP == pytest.approx(3 / 4)
    assert evaluation.cmc.tolist() == [0.5, 1, 1, 1]


def test_double_precision_is_not_rounded():
    """In float32 the three would be tied."""
    evaluation = evaluate(1 + np.array([[2e-12, 1e-12, 0.0]]), Labels([1]), Labels([2, 2, 1]), "synergyreid")
    assert evaluation.mAP == 1


def test_labels_are_read_from_lists_arrays_and_tensors():
    for person in ([3, 4], np.array([3, 4], np.int32), torch.tensor([3, 4]), np.array([3, 4], np.uint8)):
        assert Labels(person).person.dtype == np.int64
        assert Labels(person, camera=person).camera.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Labels([0.5]), r"^person: wants integers, got float64"),
        (lambda: Labels([[1, 2]]), r"^person: wants shape \(any\), got \(1, 2\)"),
        (lambda: Labels([1, 2], camera=[1]), r"^camera: wants shape \(2\), got \(1,\)"),
        (lambda: Labels([1, 2], sequence=["a", "b"]), r"^sequence: wants integers"),
        (lambda: Labels(None), r"^person: wants integers"),
    ],
)
def test_bad_labels_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("distances", "query", "gallery", "protocol", "message"),
    [
        (
            np.ones((1, 2)),
            Labels([1]),
            Labels([1, 2]),
            "cuhk03",
            r"^protocol: 'cuhk03' is not one of 'synergyreid', 'mark",
        ),
        (np.ones((1, 0)), Labels([1]), Labels([]), "synergyreid", r"^gallery: empty"),
        (np.ones((0, 1)), Labels([]), Labels([1]), "synergyreid", r"^query: empty"),
        (
            np.ones((2, 2)),
            Labels([1]),
            Labels([1, 2]),
            "synergyreid",
            r"^distances: wants shape \(1, 2\), got \(2, 2\)",
        ),
        (np.array([[1, np.nan]]), Labels([1]), Labels([1, 2]), "synergyreid", r"^distances: 1 of 2 values are NaN"),
        (np.ones((1, 2)), Labels([1]), Labels([1, 2]), "market1501", r"^query: protocol 'market1501' needs the camera"),
        (np.ones((1, 1)), Labels([1], [0]), Labels([1]), "mars", r"^gallery: protocol 'mars' needs the camera"),
        (
            np.ones((1, 1)),
            Labels([1], [0]),
            Labels([1], [1]),
            "mars-9330",
            r"^query: protocol 'mars-9330' needs the sequ",
        ),
        (np.ones((1, 2)), Labels([1]), Labels([2, 3]), "synergyreid", r"^gallery: no query has a true match under"),
        (
            np.ones((1, 2)),
            Labels([-1], [0]),
            Labels([-1, 3], [1, 1]),
            "market1501",
            r"^gallery: no query has a true mat",
        ),
        (np.ones((1, 2)), [1], Labels([2, 3]), "synergyreid", r"^query: wants Labels, got list"),
    ],
)
def test_bad_input_is_named(distances, query, gallery, protocol, message):
    with pytest.raises(ValueError, match=message):
        evaluate(distances, query, gallery, protocol)


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([[0, 1, 1]], r"^rankings: row 0 does not hold every index from 0 to 2 once"),
        ([[0, 1, 3]], r"^rankings: row 0 does not hold"),
        ([[0, -1, 2]], r"^rankings: row 0 does not hold"),
        ([[0, 1]], r"^rankings: wants shape \(1, 3\), got \(1, 2\)"),
        ([[0.0, 1.0, 2.0]], r"^rankings: wants integers, got float64"),
    ],
)
def test_bad_rankings_are_named(rankings, message):
    with pytest.raises(ValueError, match=message):
        evaluate_rankings(np.array(rankings), Labels([1]), Labels([1, 2, 3]), "synergyreid")
