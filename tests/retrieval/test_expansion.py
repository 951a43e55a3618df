"""Query expansion against the definition, one image at a time, its neighbours chosen in exact arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.retrieval import expansion
from reidlib.retrieval.expansion import average_query_expansion


def by_loop(query, gallery, k, alpha, times=1):
    """The definition: every image's k nearest among queries and gallery, ranked by exact cosines, ties by index."""
    rows = [[float(value) for value in row] for row in (*query, *gallery)]
    for _ in range(times):
        exact = [[Fraction(value) for value in row] for row in rows]
        squares = [sum(value * value for value in row) for row in exact]
        units = [np.array(row) / math.sqrt(square) for row, square in zip(rows, squares, strict=True)]
        expanded = []
        for i, row in enumerate(exact):
            dots = [sum(a * b for a, b in zip(row, other, strict=True)) for other in exact]
            # the cosine times its absolute value, which needs no root, over the image's own square, which all share
            others = sorted((-dot * abs(dot) / square, j) for j, (dot, square) in enumerate(zip(dots, squares))
                            if j != i)
            total = np.array(units[i])
            for _, j in others[: k - 1]:
                similarity = float(units[i] @ units[j])
                if alpha == 0:
                    total += units[j]
                elif similarity > 0:
                    total += similarity**alpha * units[j]
            length = np.linalg.norm(total)
            expanded.append(total / length if length > 1e-9 else units[i])
        rows = [row.tolist() for row in expanded]
    return np.array(rows[: len(query)]), np.array(rows[len(query) :])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(got, want, atol=1e-6):
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours.cpu(), theirs, atol=atol, rtol=0)


@pytest.mark.parametrize(("m", "n"), [(4, 15), (1, 1), (5, 1)])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("alpha", [0, 0.5, 3.0])
@pytest.mark.parametrize("k", [1, 2, 5, 100])
def test_it_is_the_loop(k, alpha, times, m, n, device):
    query, gallery = normal(m, 4), normal(n, 4, seed=1)
    k = min(k, m + n)
    got = average_query_expansion(
        torch.from_numpy(query).to(device), torch.from_numpy(gallery).to(device), k, alpha, times
    )
    assert [part.shape for part in got] == [(m, 4), (n, 4)]
    assert all(part.dtype == torch.float32 and part.device.type == device.type for part in got)
    close(got, by_loop(query, gallery, k, alpha, times))
    for part in got:
        np.testing.assert_allclose(part.cpu().norm(dim=1), 1, atol=1e-6)


def test_the_defaults_are_one_plain_mean_of_5():
    query, gallery = normal(4, 4), normal(15, 4, seed=1)
    close(average_query_expansion(query, gallery), by_loop(query, gallery, k=5, alpha=0))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_small_scene_with_ties_opposites_and_duplicates(data):
    count, size = data.draw(st.integers(2, 14)), data.draw(st.integers(1, 5))
    rows = st.lists(st.integers(-2, 2), min_size=size, max_size=size).filter(any)
    x = np.array(data.draw(st.lists(rows, min_size=count, max_size=count)), np.float32)
    m, k = data.draw(st.integers(1, count - 1)), data.draw(st.integers(1, count))
    alpha = data.draw(st.sampled_from([0, 0.7, 2]))
    close(average_query_expansion(x[:m], x[m:], k, alpha), by_loop(x[:m], x[m:], k, alpha))


def test_of_equal_ones_the_lower_index_is_taken():
    """All 40 others lie at the same angle, and in so many columns that the product rounds them differently."""
    gallery = np.zeros((40, 41), np.float32)
    gallery[np.arange(40), np.arange(1, 41)] = 0.7
    gallery[:, 0] = 0.3
    query = np.eye(1, 41, dtype=np.float32)
    got, _ = average_query_expansion(query, gallery, k=4)
    assert np.flatnonzero(got[0]).tolist() == [0, 1, 2, 3]


def test_an_image_is_in_its_own_mean_among_many_duplicates():
    x = normal(3, 8)
    close(average_query_expansion(x[:1], x[[0] * 20 + [1, 2]], k=5), by_loop(x[:1], x[[0] * 20 + [1, 2]], 5, 0))
    nearly = np.repeat(x[:1], 20, axis=0) * (1 + 1e-6 * normal(20, 8, seed=1))  # closer than cosines can tell apart
    alone, _ = average_query_expansion(nearly[10:], nearly[:10], k=1)
    np.testing.assert_allclose(alone, nearly[10:] / np.linalg.norm(nearly[10:], axis=1, keepdims=True), atol=1e-7)


def test_neighbours_that_cancel_out_leave_the_image_as_it_was():
    x = 3 * normal(2, 5)
    query, gallery = average_query_expansion(x, -x, k=4)
    np.testing.assert_allclose(query, x / np.linalg.norm(x, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(gallery, -query)


def test_a_person_of_k_images_becomes_one_point():
    """What it is for: groups of k, far apart, are drawn together, queries and gallery images alike."""
    centres = np.eye(6, 16, dtype=np.float32)
    x = np.repeat(centres, 4, axis=0) + 0.05 * normal(24, 16)
    query, gallery = average_query_expansion(x[::4], np.delete(x, np.s_[::4], axis=0), k=4)
    np.testing.assert_allclose(query.repeat_interleave(3, dim=0), gallery, atol=1e-6)


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 2.5]), k=st.integers(1, 30))
def test_order_role_and_length_do_not_matter(seed, alpha, k):
    rng = np.random.default_rng(seed)
    query, gallery, order = normal(6, 5, seed=seed), normal(24, 5, seed=seed + 1), rng.permutation(24)
    options = {"k": k, "alpha": alpha, "times": 2}
    got = average_query_expansion(query, gallery, **options)
    close(average_query_expansion(query, gallery[order], **options), (got[0], got[1][order]), atol=1e-5)
    close(average_query_expansion(gallery, query, **options), got[::-1], atol=1e-5)
    lengths = np.exp2(rng.integers(-50, 50, (24, 1))).astype(np.float32)  # powers of 2, which round nothing
    close(average_query_expansion(query, lengths * gallery, **options), got, atol=1e-5)


def test_blocks_do_not_show(monkeypatch):
    query, gallery = normal(5, 8), normal(18, 8, seed=1)
    whole = average_query_expansion(query, gallery, alpha=1.0, times=2)
    monkeypatch.setattr(expansion, "rows_at_once", lambda _: 2)  # two rows at a time, then one
    close(average_query_expansion(query, gallery, alpha=1.0, times=2), whole)


def test_autocast_changes_nothing_and_arguments_are_left_alone(device):
    query, gallery = normal(5, 64), normal(40, 64, seed=1)
    there = torch.from_numpy(query.copy()).to(device).requires_grad_(), torch.from_numpy(gallery).to(device)
    want = average_query_expansion(*there, alpha=3)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        got = average_query_expansion(*there, alpha=3)
    for ours, theirs in zip(got, want, strict=True):
        assert torch.equal(ours, theirs) and not ours.requires_grad
    np.testing.assert_array_equal(there[0].detach().cpu(), query)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": np.ones(3)}, r"^query: wants shape \(any, any\), got \(3,\)"),
        ({"query": np.ones((0, 3))}, "^query: empty"),
        ({"gallery": np.ones((2, 4))}, r"^gallery: wants shape \(any, 3\), got \(2, 4\)"),
        ({"query": np.array([[1, 2, np.nan]])}, "^query: 1 of 3 values are NaN"),
        ({"query": np.array([[1, 2, 3], [0, 0, 0]])}, "^query: row 1 is all zeros"),
        ({"gallery": np.zeros((2, 3))}, "^gallery: row 0 is all zeros"),
        ({"k": 0}, "^k: wants a whole number of at least 1, got 0"),
        ({"k": 2.0}, "^k: wants a whole number"),
        ({"k": 7}, "^k: wants at most the 6 images of query and gallery, got 7"),
        ({"alpha": -0.5}, "^alpha: wants a number of at least 0, got -0.5"),
        ({"alpha": math.nan}, "^alpha: "),
        ({"alpha": math.inf}, "^alpha: "),
        ({"alpha": "3"}, "^alpha: "),
        ({"times": 0}, "^times: wants a whole number of at least 1, got 0"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"query": np.ones((2, 3)), "gallery": np.ones((4, 3)), "k": 2} | change
    with pytest.raises(ValueError, match=message):
        average_query_expansion(**arguments)
