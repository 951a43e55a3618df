"""Frame-order mining against Algorithm 1 of the report, one image at a time, in exact arithmetic."""

import itertools

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.retrieval import _rows, vtrm
from reidlib.retrieval._machine import order_key

WALKS = [
    {"window": window, "reference": reference, "aggregate": aggregate}
    for window, reference, aggregate in itertools.product([1, 2, 3, 10, None], [False, True], ["mean", "min"])
]


def name(walk):
    length = "Global" if walk["window"] is None else f"Local-{walk['window']}"
    return f"{length}{' w. ref' * walk['reference']} {walk['aggregate']}"


every_walk = pytest.mark.parametrize("walk", WALKS, ids=name)

# Five images in which every variant goes another way.
QUERY = np.array([[2, 4, 2, 9, 4]])
GALLERY = np.array([[0, 4, 8, 1, 3], [4, 0, 9, 5, 7], [8, 9, 0, 9, 6], [1, 5, 9, 0, 9], [3, 7, 6, 9, 0]])


@pytest.mark.parametrize(
    ("options", "want"),
    [
        # Images 0 and 2 are both 2 away from the query: the lower index is first.
        ({"depth": 0}, [0, 2, 1, 4, 3]),
        # Local-1: from 0 the nearest left is 3 (1), from 3 it is 1 (5), from 1 it is 4 (7).
        ({}, [0, 3, 1, 4, 2]),
        ({"depth": 2}, [0, 3, 2, 1, 4]),
        # Local-2: query + 0 have 8, 10, 10, 7 to 1..4, so 4; 0 + 4 have 11, 14, 10 to 1, 2, 3, so 3; 4 + 3: 12, 15.
        ({"window": 2}, [0, 4, 3, 1, 2]),
        # The query is in the first two windows of Local-2 anyway; then query + 0 + 4 have 15, 16, 19 to 1, 2, 3,
        # and query + 4 + 1 have 2 + 6 + 9 = 17 to 2, 9 + 9 + 5 = 23 to 3.
        ({"window": 2, "reference": True}, [0, 4, 1, 2, 3]),
        # By the minimum: query and 0 have 4, 2, 1, 3 to 1..4; 0 and 3 have 4, 8, 3 to 1, 2, 4; 3 and 4 have 5, 6.
        ({"window": 2, "aggregate": "min"}, [0, 3, 4, 1, 2]),
        # Local-1 w. ref: query + 0 as above, so 4; query + 4 have 11, 8, 18 to 1, 2, 3; query + 2 have 13, 18.
        ({"reference": True}, [0, 4, 2, 1, 3]),
        # query and 0: 4, 2, 1, 3; query and 3 have 4, 2, 4 to 1, 2, 4; query and 2 have 4 to both 1 and 4.
        ({"reference": True, "aggregate": "min"}, [0, 3, 2, 1, 4]),
        # Global: query + 0, so 4; query + 0 + 4 have 15, 16, 19 to 1, 2, 3; with 1 it is 25 to 2 and 24 to 3.
        ({"window": None}, [0, 4, 1, 3, 2]),
        # query, 0: 3 is 1 away; query, 0, 3 have 4, 2, 3 to 1, 2, 4; with 2 it is 4 to 1 and 3 to 4.
        ({"window": None, "aggregate": "min"}, [0, 3, 2, 4, 1]),
    ],
)
def test_by_hand(options, want, device):
    parts = (torch.tensor(part, dtype=torch.float32, device=device) for part in (QUERY, GALLERY))
    ranking = vtrm.mine(*parts, **options)
    assert ranking.dtype == torch.int64 and ranking.device.type == device.type
    assert ranking.tolist() == [want]


def ties(rng, *shape):
    return rng.integers(0, 3, shape)


def tenths(rng, *shape):
    """Sums that are equal to the reader and not in float32: 0.1 + 0.2 and 0.3."""
    return (rng.integers(-3, 4, shape) / 10).astype(np.float32)


def uneven(rng, *shape):
    """Float32 values over nine orders of magnitude."""
    return (10 ** rng.uniform(-6, 3, shape)).astype(np.float32)


def equal(rng, *shape):
    return np.full(shape, 0.7, np.float32)


SCENES = [
    lambda rng, *shape: rng.random(shape),
    lambda rng, *shape: rng.standard_normal(shape),
    ties,
    tenths,
    uneven,
    equal,
]


@every_walk
def test_every_variant_is_algorithm_1(walk):
    sizes = [(1, 1, None), (6, 12, None), (3, 11, 4), (6, 9, 1)]  # six walks are enough to sort lists for
    for seed, (scene, (m, n, depth)) in enumerate(itertools.product(SCENES, sizes)):
        rng = np.random.default_rng(seed)
        parts = scene(rng, m, n), scene(rng, n, n)  # the second is not symmetric
        got = vtrm.mine(*parts, depth=depth, **walk)
        np.testing.assert_array_equal(got, oracles.mine(*parts, depth=depth, **walk))


@every_walk
@pytest.mark.parametrize("listed", [vtrm._LISTED, 3])
def test_longer_walks_than_one_piece_or_one_list(walk, listed, monkeypatch):
    monkeypatch.setattr(vtrm, "_LISTED", listed)
    rng = np.random.default_rng(0)
    n = 3 * _rows._PIECE - 70
    parts = rng.integers(0, 40, (3, n)), rng.integers(0, 40, (n, n))
    got = vtrm.mine(np.repeat(parts[0], 2, axis=0), parts[1], depth=60, **walk)[::2]
    np.testing.assert_array_equal(got, oracles.mine(*parts, depth=60, **walk))


@every_walk
def test_to_the_end_of_a_gallery_of_clusters(walk):
    """Where lists run out: the last images are far from everything."""
    place = np.random.default_rng(0).integers(0, 9, 90) * 100 + np.arange(90) ** 2 % 17
    whole = abs(place[:, None] - place[None, :])
    got = vtrm.mine(whole[:6, 6:], whole[6:, 6:], **walk)
    np.testing.assert_array_equal(got, oracles.mine(whole[:6, 6:], whole[6:, 6:], **walk))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_what_holds_for_every_walk(data):
    m, n = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 9))
    values = data.draw(st.permutations(range((m + n) * n)))  # no two distances are equal
    # far enough apart in size that no two sums of a window are equal either
    query_gallery, gallery_gallery = np.split(1.01 ** np.array(values, float).reshape(m + n, n), [m])
    walk = data.draw(st.sampled_from(WALKS))
    ranking = vtrm.mine(query_gallery, gallery_gallery, **walk).numpy()
    np.testing.assert_array_equal(np.sort(ranking, axis=1), np.tile(np.arange(n), (m, 1)))
    np.testing.assert_array_equal(ranking[:, 0], query_gallery.argmin(axis=1))

    order = np.array(data.draw(st.permutations(range(n))))
    shuffled = vtrm.mine(query_gallery[:, order], gallery_gallery[order][:, order], **walk).numpy()
    np.testing.assert_array_equal(order[shuffled], ranking)

    depth = data.draw(st.integers(0, n))
    part = vtrm.mine(query_gallery, gallery_gallery, depth=depth, **walk).numpy()
    np.testing.assert_array_equal(part[:, :depth], ranking[:, :depth])
    rest = np.take_along_axis(query_gallery, part[:, depth:], axis=1)
    assert (np.diff(rest, axis=1) >= 0).all()

    alone = vtrm.mine(query_gallery[-1:], gallery_gallery, **walk)
    np.testing.assert_array_equal(alone, ranking[-1:])


@pytest.mark.parametrize("aggregate", ["mean", "min"])
@pytest.mark.parametrize("reference", [False, True])
def test_a_window_as_large_as_the_gallery_is_global(aggregate, reference):
    rng = np.random.default_rng(0)
    parts = rng.random((6, 30)), rng.random((30, 30))
    whole = vtrm.mine(*parts, window=None, aggregate=aggregate)
    for window in (30, 31, 10**9):
        got = vtrm.mine(*parts, window=window, reference=reference, aggregate=aggregate)
        np.testing.assert_array_equal(got, whole)  # the query is always inside, and counts once


def test_one_member_has_one_distance():
    rng = np.random.default_rng(0)
    parts = rng.random((6, 30)), rng.random((30, 30))
    np.testing.assert_array_equal(vtrm.mine(*parts, aggregate="min"), vtrm.mine(*parts, aggregate="mean"))


@pytest.mark.parametrize("window", [2, 7, 40])
def test_what_left_the_window_leaves_nothing_behind(window):
    """Once all members are equally far from everything left, only the index decides. Rounded sums would remember."""
    n = 3 * window + 60
    rng = np.random.default_rng(0)
    query_gallery, gallery_gallery = 0.5 + 0.5 * rng.random((1, n)), np.full((n, n), 0.7)
    first = vtrm.mine(query_gallery, gallery_gallery, window=window, depth=1)[0, 0]
    gallery_gallery[first] = 0.5 + 0.5 * rng.random(n)
    walk = vtrm.mine(query_gallery, gallery_gallery, window=window)[0]
    assert (walk[window + 1 :].diff() > 0).all()
    assert not (walk[1:].diff() > 0).all()


def test_both_zeros_are_equal():
    query_gallery = np.array([[0.0, -0.0, 0.0, -0.0]])
    for walk in WALKS:
        assert vtrm.mine(query_gallery, -np.zeros((4, 4)), **walk).tolist() == [[0, 1, 2, 3]]


def test_single_and_double_precision_may_be_mixed():
    rng = np.random.default_rng(0)
    query_gallery, gallery_gallery = rng.random((6, 20)).astype(np.float32), rng.random((20, 20))
    for walk in WALKS:
        got = vtrm.mine(query_gallery, torch.from_numpy(gallery_gallery), **walk)
        np.testing.assert_array_equal(got, oracles.mine(query_gallery, gallery_gallery, **walk))


def test_double_precision_is_not_rounded():
    """In float32 these would be ties."""
    query_gallery = np.array([[1 + 2e-12, 1 + 1e-12, 1.0]])
    gallery_gallery = np.ones((3, 3)) + 1e-12 * np.array([[0, 1, 2], [2, 0, 1], [2, 1, 0]])
    for walk in ({}, {"window": 2}, {"window": 2, "aggregate": "min"}, {"window": None, "aggregate": "min"}):
        want = oracles.mine(query_gallery, gallery_gallery, **walk)
        assert vtrm.mine(query_gallery, gallery_gallery, **walk).tolist() == want.tolist()
    assert vtrm.mine(query_gallery, gallery_gallery).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("walk", [{"window": 2}, {"reference": True}], ids=["Local-2", "Local-1 w. ref"])
def test_sums_of_two_that_single_precision_cannot_tell_apart(walk):
    rng = np.random.default_rng(0)
    query_gallery, gallery_gallery = (
        (1 + 2.0**-22 * rng.integers(0, 9, shape)).astype(np.float32) for shape in ((4, 700), (700, 700))
    )
    got = vtrm.mine(query_gallery, gallery_gallery, depth=90, **walk)
    np.testing.assert_array_equal(got, oracles.mine(query_gallery, gallery_gallery, depth=90, **walk))
    largest = np.finfo(np.float32).max  # a sum of two is infinite there, as what is taken must not be
    query_gallery, gallery_gallery = query_gallery * (largest / 2), gallery_gallery * (largest / 2)
    got = vtrm.mine(query_gallery, gallery_gallery, depth=90, **walk)
    np.testing.assert_array_equal(got, oracles.mine(query_gallery, gallery_gallery, depth=90, **walk))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_keys_sort_as_values_do(kind):
    values = np.array([-np.inf, -1e38, -1.5, -1e-45, 0.0, 1e-45, 1e-3, 2.0, 1e38, np.inf], kind)
    keys = [int(order_key(value, np.int8(0))) for value in values]
    assert keys == sorted(set(keys)) and int(order_key(kind(-0.0), np.int8(0))) == keys[4]
    assert {int(order_key(value, np.int8(-1))) for value in values} == {2 ** (8 * values.itemsize) - 1}
    assert keys[-1] < 2 ** (8 * values.itemsize) - 1


@pytest.mark.parametrize(
    ("query_gallery", "gallery_gallery", "options", "message"),
    [
        (np.ones((2, 5)), np.ones((5, 4)), {}, r"^gallery_gallery: wants shape \(5, 5\), got \(5, 4\)"),
        (np.ones(5), np.ones((5, 5)), {}, r"^query_gallery: wants shape \(any, any\), got \(5,\)"),
        (np.ones((0, 5)), np.ones((5, 5)), {}, r"^query_gallery: empty"),
        (np.ones((2, 0)), np.ones((0, 0)), {}, r"^query_gallery: empty"),
        (np.full((1, 1), np.nan), np.ones((1, 1)), {}, r"^query_gallery: 1 of 1 values are NaN"),
        (np.ones((1, 1)), np.full((1, 1), np.inf), {}, r"^gallery_gallery: 1 of 1 values are NaN or infinite"),
        (np.ones((1, 1)), np.ones((1, 1)), {"window": 0}, r"^window: wants a whole number of at least 1, got 0"),
        (np.ones((1, 1)), np.ones((1, 1)), {"window": 1.5}, r"^window: wants a whole number"),
        (np.ones((1, 1)), np.ones((1, 1)), {"depth": -1}, r"^depth: wants a whole number of at least 0, got -1"),
        (np.ones((1, 1)), np.ones((1, 1)), {"aggregate": "max"}, r"^aggregate: 'max' is not one of 'mean', 'min'"),
    ],
)
def test_bad_input_is_named(query_gallery, gallery_gallery, options, message):
    with pytest.raises(ValueError, match=message):
        vtrm.mine(query_gallery, gallery_gallery, **options)
