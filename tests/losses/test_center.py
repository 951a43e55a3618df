"""Center loss against a loop over images and coordinates."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.losses import center_loss

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def by_loop(features, labels, centers):
    rows, centres = features.double().tolist(), centers.double().tolist()
    total = 0.0
    for row, label in zip(rows, labels.tolist(), strict=True):
        total += sum((x - c) ** 2 for x, c in zip(row, centres[label], strict=True))
    return total / len(rows)


def batch(images=7, classes=4, dim=5, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=generator)
    return (torch.randn(images, dim, generator=generator).to(dtype), labels,
            torch.randn(classes, dim, generator=generator).to(dtype))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("offset", [0, 1000])           # squares of a million: their differences drown in float32
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_center_loss_is_the_loop(dtype, offset, device):
    features, labels, centers = batch(dtype=dtype)
    features, centers = features + offset, centers + offset
    ours = center_loss(features.to(device), labels.to(device), centers.to(device))
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and ours.shape == ()
    assert ours.item() == pytest.approx(by_loop(features, labels, centers), rel=1e-6)


@given(seed=st.integers(0, 10_000), images=st.integers(1, 9), classes=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_order_names_and_place_do_not_matter(seed, images, classes):
    features, labels, centers = batch(images, classes, dtype=torch.float64, seed=seed)
    loss = center_loss(features, labels, centers)
    assert loss.item() == pytest.approx(by_loop(features, labels, centers), rel=1e-9)
    generator = torch.Generator().manual_seed(seed)
    order, names = torch.randperm(images, generator=generator), torch.randperm(classes, generator=generator)
    torch.testing.assert_close(center_loss(features[order], labels[order], centers), loss)
    torch.testing.assert_close(center_loss(features, names.argsort()[labels], centers[names]), loss)
    torch.testing.assert_close(center_loss(features + 3, labels, centers + 3), loss)


def test_gradient():
    features, labels, centers = batch(dtype=torch.float64)
    features.requires_grad_()
    centers.requires_grad_()
    assert torch.autograd.gradcheck(lambda f, c: center_loss(f, labels, c), (features, centers))
    center_loss(features, labels, centers).backward()
    for k, own in enumerate(centers):                   # a centre goes to its images, and stays where it has none
        wanted = 2 / len(labels) * (own - features[labels == k]).sum(dim=0)
        torch.testing.assert_close(centers.grad[k], wanted)


def test_a_step_of_half_the_batch_puts_every_centre_of_one_image_on_it():
    features, _, centers = batch(images=4)
    centers.requires_grad_()
    labels = torch.arange(4)
    center_loss(features, labels, centers).backward()
    moved = centers - 4 / 2 * centers.grad
    torch.testing.assert_close(moved, features)
    at_rest = features.clone().requires_grad_()
    loss = center_loss(at_rest, labels, features)
    loss.backward()
    assert loss == 0 and (at_rest.grad == 0).all()      # nothing is added, and no root makes a NaN


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_does_not_lower_the_precision(device):
    features, labels, centers = (x.to(device) for x in batch())
    features, centers = 100 + 1e-2 * features, 100 + 1e-2 * centers  # half precision would see equal ones
    wanted = center_loss(features, labels, centers)
    with torch.autocast(device, torch.bfloat16):
        assert center_loss(features, labels, centers) == wanted
    assert wanted.item() == pytest.approx(by_loop(features, labels, centers), rel=1e-6)
    mixed = center_loss(features.bfloat16(), labels, centers)     # features as autocast leaves them, float32 centres
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(by_loop(features.bfloat16(), labels, centers), rel=1e-6)


def test_numpy_and_narrow_integers_are_taken():
    features, labels, centers = batch()
    ours = center_loss(np.asarray(features), np.asarray(labels, dtype=np.int32), np.asarray(centers))
    torch.testing.assert_close(ours, center_loss(features, labels, centers))


@pytest.mark.parametrize("change, message", [
    ({"features": torch.randn(4)}, "features: want floating point"),
    ({"features": torch.randn(0, 3), "labels": torch.zeros(0, dtype=torch.long)}, "features: .*not empty"),
    ({"features": torch.ones(4, 3, dtype=torch.long)}, "features: want floating point"),
    ({"features": torch.full((4, 3), math.nan)}, "features: want finite"),
    ({"labels": torch.tensor([0, 0, 1])}, r"labels: features \(4, 3\) want integers of shape \(4,\), got \(3,\)"),
    ({"labels": torch.rand(4)}, "labels: "),
    ({"labels": torch.tensor([0, 0, 1, 2])}, "labels: want 0 to 1 for 2 centers, got 0 to 2"),
    ({"labels": torch.tensor([0, 0, 1, -1])}, "labels: want 0 to 1 for 2 centers, got -1 to 1"),
    ({"centers": torch.randn(2, 4)}, r"centers: features \(4, 3\) want floating point \(K, 3\), got \(2, 4\)"),
    ({"centers": torch.randn(3)}, "centers: "),
    ({"centers": torch.randn(0, 3)}, "centers: "),
    ({"centers": torch.ones(2, 3, dtype=torch.long)}, "centers: "),
    ({"centers": torch.full((2, 3), math.inf)}, "centers: want finite"),
])
def test_wrong_input_is_refused(change, message):
    arguments = {"features": torch.randn(4, 3), "labels": torch.tensor([0, 0, 1, 1]), "centers": torch.randn(2, 3)}
    with pytest.raises(ValueError, match=message):
        center_loss(**arguments | change)
