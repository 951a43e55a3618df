"""Distances against one pair at a time in float64."""

import numpy as np
import oracles
import pytest
import torch

from reidlib.retrieval import distance


@pytest.fixture
def training_precision():
    """What training may have left behind: reduced float32 products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cosine_oracle(x, y):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return np.array([[1 - a @ b / np.sqrt((a @ a) * (b @ b)) for b in y] for a in x])


@pytest.mark.parametrize("length", [1e-20, 1.0, 1e15])
def test_both_distances_are_those_of_a_loop(device, length):
    x, y = length * normal(7, 33), length * normal(11, 33, seed=1)
    on_device = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    for compute, oracle, scale in (
        (distance.euclidean, oracles.euclidean, length),
        (distance.cosine, cosine_oracle, 1),
    ):
        got = compute(*on_device)
        assert got.shape == (7, 11) and got.dtype == torch.float32 and got.device.type == device.type
        np.testing.assert_allclose(got.cpu(), oracle(x, y), rtol=1e-6, atol=1e-7 * scale)


def test_near_duplicates_far_from_the_origin(device):
    """|x|^2 + |y|^2 - 2xy in float32 would have no correct digit here."""
    x = 10 + normal(5, 64)
    y = x + 1e-3 * normal(5, 64, seed=1)
    got = distance.euclidean(torch.from_numpy(x).to(device), torch.from_numpy(y).to(device))
    np.testing.assert_allclose(got.cpu(), oracles.euclidean(x, y), rtol=1e-5)


def test_equal_rows_are_at_most_rounding_apart():
    x = normal(20, 512)
    assert distance.euclidean(x, x).diagonal().max() < 1e-7 * np.linalg.norm(x, axis=1).max()
    assert distance.cosine(x, 3 * x).diagonal().max() < 1e-7


def test_cosine_stays_between_same_and_opposite_direction():
    x = normal(30, 5)
    got = distance.cosine(np.concatenate([x, -x]), x)
    assert got.min() >= 0 and got.max() <= 2
    np.testing.assert_allclose(got[30:].diagonal(), 2, atol=1e-6)


def test_a_row_of_zeros_has_no_direction():
    x = normal(4, 3)
    x[2] = 0
    assert torch.isfinite(distance.euclidean(x, x)).all()
    with pytest.raises(ValueError, match=r"^y: row 2 is all zeros"):
        distance.cosine(normal(4, 3), x)


def test_blocks_do_not_show(monkeypatch):
    x, y = normal(23, 8), normal(9, 8, seed=1)
    whole = distance.euclidean(x, y)
    monkeypatch.setattr(distance, "rows_at_once", lambda _: 2)  # two rows at a time
    np.testing.assert_allclose(distance.euclidean(x, y), whole, rtol=1e-6)


def test_reduced_precision_left_by_training_changes_nothing(training_precision, device):
    x, y = torch.from_numpy(normal(64, 256)).to(device), torch.from_numpy(normal(64, 256, seed=1)).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        got = distance.euclidean(x, y)
    np.testing.assert_allclose(got.cpu(), oracles.euclidean(x.cpu(), y.cpu()), rtol=1e-6)


def test_arrays_of_every_kind_are_read_and_left_alone():
    x = normal(4, 6)
    want = distance.euclidean(x, x)
    frozen = x.copy()
    frozen.flags.writeable = False
    trained = torch.from_numpy(x.copy()).requires_grad_()
    for other in (frozen, trained, x[::-1][::-1], x.astype(np.float64), np.asfortranarray(x), x.astype(">f4")):
        got = distance.euclidean(other, x)
        assert not got.requires_grad
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(frozen, x)
    whole = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_allclose(distance.euclidean(whole, whole), oracles.euclidean(whole, whole), rtol=1e-6)
    assert distance.cosine(torch.ones(2, 3, dtype=torch.float16), torch.ones(1, 3)).dtype == torch.float32


@pytest.mark.parametrize("compute", [distance.euclidean, distance.cosine])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones(3), np.ones((2, 3)), r"^x: wants shape \(any, any\), got \(3,\)"),
        (np.ones((2, 3)), np.ones((2, 4)), r"^y: wants shape \(any, 3\), got \(2, 4\)"),
        (np.ones((0, 3)), np.ones((2, 3)), r"^x: empty"),
        (np.ones((2, 3)), np.ones((0, 3)), r"^y: empty"),
        (np.ones((2, 0)), np.ones((2, 0)), r"^x: empty"),
        (np.array([[1, np.nan]]), np.ones((1, 2)), r"^x: 1 of 2 values are NaN"),
        (np.ones((1, 2)), np.array([[np.inf, -np.inf]]), r"^y: 2 of 2 values are NaN or infinite"),
        (np.ones((1, 2)), np.full((1, 2), 1e300), r"^y: 2 of 2 values are NaN or infinite"),  # in float32
        (np.array([["a"]]), np.ones((1, 1)), r"^x: wants a tensor or array of numbers"),
        (np.ones((1, 1)), torch.ones(1, 1, dtype=torch.complex64), r"^y: wants real numbers"),
        (None, np.ones((1, 1)), r"^x: wants a tensor or array of numbers"),
    ],
)
def test_bad_input_is_named(compute, x, y, message):
    with pytest.raises(ValueError, match=message):
        compute(x, y)
