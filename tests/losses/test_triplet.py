"""Triplet loss against loops over anchors, positives and negatives in double precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.losses import triplet_loss

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
# In double precision what is left is torch.nn.functional.softplus, which takes x for log(1 + e^x) above 20.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10, torch.bfloat16: 1e-5, torch.float16: 1e-5}


def by_loop(features, labels, margin, distance, normalise):
    """The loss of one shard as a Python float: anchor after anchor, pair after pair."""
    rows, labels = features.double().tolist(), labels.tolist()
    if normalise or distance == "cosine":
        rows = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]
    losses = []
    for i, anchor in enumerate(rows):
        positives, negatives = [], []
        for j, other in enumerate(rows):
            squared = sum((x - y) ** 2 for x, y in zip(anchor, other, strict=True))
            d = {"euclidean": math.sqrt(squared), "squared": squared,
                 "cosine": 1 - sum(x * y for x, y in zip(anchor, other, strict=True))}[distance]
            if labels[j] != labels[i]:
                negatives.append(d)
            elif j != i:
                positives.append(d)
        if not positives or not negatives:
            continue
        positive, negative = max(positives), min(negatives)
        gap = positive - negative
        losses.append(max(0.0, gap + margin) if margin > 0 else math.log(1 + math.exp(gap)))
    return sum(losses) / len(losses)


def batch(persons=4, each=3, dim=6, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(persons).repeat_interleave(each)
    return torch.randn(len(labels), dim, generator=generator).to(dtype), labels


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("distance", ["euclidean", "squared", "cosine"])
@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
def test_triplet_loss_is_the_loop(margin, distance, normalise, dtype, device):
    features, labels = batch(dtype=dtype)
    options = {"margin": margin, "distance": distance, "normalise": normalise}
    ours = triplet_loss(features.to(device), labels.to(device), **options)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and ours.shape == ()
    assert ours.item() == pytest.approx(by_loop(features, labels, **options), rel=TOLERANCE[dtype])


@pytest.mark.parametrize("options", [{}, {"margin": 0.0}, {"distance": "squared"}, {"distance": "cosine"},
                                     {"normalise": True}, {"shards": 2}])
def test_gradient(options):
    features, labels = batch(dtype=torch.float64)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: triplet_loss(f, labels, **{"margin": 2.0} | options), features)


def test_the_defaults_are_batch_hard_euclidean_with_margin_0_3():
    features, labels = batch()
    assert triplet_loss(features, labels).item() == pytest.approx(
        by_loop(features, labels, 0.3, "euclidean", False), rel=1e-5)


@pytest.mark.parametrize("margin", [4.41e-5, 0.3])
def test_cosine_is_the_hinge_on_similarities(margin):
    """Mean of max(0, max_n s_an - min_p s_ap + m), of any length of the features."""
    features, labels = batch(dtype=torch.float64)
    s = [[torch.cosine_similarity(x, y, dim=0).item() for y in features] for x in features]
    losses = []
    for i, row in enumerate(s):
        negative = max(x for x, label in zip(row, labels, strict=True) if label != labels[i])
        positive = min(x for j, x in enumerate(row) if labels[j] == labels[i] and j != i)
        losses.append(max(0.0, negative - positive + margin))
    ours = triplet_loss(features * torch.arange(1, 13)[:, None], labels, margin=margin, distance="cosine")
    assert ours.item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    torch.testing.assert_close(
        ours, triplet_loss(features, labels, margin=2 * margin, distance="squared", normalise=True) / 2)


@given(seed=st.integers(0, 10_000), margin=st.sampled_from([0.0, 0.3]))
@settings(deadline=None, max_examples=25)
def test_order_and_names_of_the_batch_do_not_matter(seed, margin):
    features, labels = batch(seed=seed)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    loss = triplet_loss(features, labels, margin=margin)
    torch.testing.assert_close(triplet_loss(features[order], labels[order], margin=margin), loss)
    torch.testing.assert_close(triplet_loss(features, 1000 - 7 * labels, margin=margin), loss)
    torch.testing.assert_close(triplet_loss(features + 3, labels, margin=margin), loss)


def test_shards_are_separate_calls():
    features, labels = batch(persons=8, each=4)
    parts = zip(features.chunk(4), labels.chunk(4), strict=True)
    separate = [triplet_loss(f, y) for f, y in parts]
    torch.testing.assert_close(triplet_loss(features, labels, shards=4), torch.stack(separate).mean())
    assert triplet_loss(features, labels) != triplet_loss(features, labels, shards=4)


def test_anchors_without_a_positive_or_a_negative_are_left_out():
    features, _ = batch(persons=2, each=3)
    labels = torch.tensor([0, 0, 1, 2, 3, 3])           # 1 and 2 have no positive
    features.requires_grad_()
    loss = triplet_loss(features, labels, margin=10.0)
    assert loss.item() == pytest.approx(by_loop(features, labels, 10.0, "euclidean", False), rel=1e-5)
    loss.backward()
    assert features.grad.isfinite().all()
    # A shard of one person has no negatives; the loss is that of the other shard.
    torch.testing.assert_close(
        triplet_loss(torch.cat((features, features)), torch.cat((labels, torch.full((6,), 9))), margin=10.0, shards=2),
        loss)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0]])
def test_a_batch_without_any_triplet_is_refused(labels):
    with pytest.raises(ValueError, match="labels: no anchor has both a positive and a negative among the 4 images"):
        triplet_loss(torch.randn(4, 2), torch.tensor(labels))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", [{}, {"margin": 0.0}, {"distance": "squared"}, {"distance": "cosine"},
                                     {"normalise": True}])
def test_equal_features_have_a_finite_gradient(options, device):
    features = torch.ones(6, 4, device=device, requires_grad=True)
    triplet_loss(features, torch.tensor([0, 0, 0, 1, 1, 1], device=device), **options).backward()
    assert (features.grad == 0).all()
    zeros = torch.zeros(6, 4, device=device, requires_grad=True)
    triplet_loss(zeros, torch.tensor([0, 0, 0, 1, 1, 1], device=device), **options).backward()
    assert zeros.grad.isfinite().all()


def test_distances_far_from_the_origin_stay_exact():
    features, labels = batch()
    features = 1000 + features                          # squares of a million: their differences drown in float32
    ours = triplet_loss(features, labels, margin=0.0)
    assert ours.item() == pytest.approx(by_loop(features, labels, 0.0, "euclidean", False), rel=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_does_not_lower_the_precision(device):
    features, labels = (x.to(device) for x in batch())
    features = 100 + features * 1e-2                    # half precision would see equal features
    wanted = triplet_loss(features, labels)
    with torch.autocast(device, torch.bfloat16):
        assert triplet_loss(features, labels) == wanted
        assert triplet_loss(features, labels, normalise=True).dtype == torch.float32


def test_numpy_arrays_are_taken():
    features, labels = batch()
    torch.testing.assert_close(triplet_loss(np.asarray(features), np.asarray(labels)), triplet_loss(features, labels))


@pytest.mark.parametrize("change, message", [
    ({"features": torch.randn(4)}, "features: want floating point"),
    ({"features": torch.randn(0, 3), "labels": torch.zeros(0, dtype=torch.long)}, "features: .*not empty"),
    ({"features": torch.ones(4, 3, dtype=torch.long)}, "features: want floating point"),
    ({"features": torch.tensor([[1.0], [2.0], [math.nan], [3.0]])}, "features: want finite"),
    ({"features": torch.tensor([[1.0], [2.0], [math.inf], [3.0]])}, "features: want finite"),
    ({"labels": torch.tensor([0, 0, 1])}, r"labels: features \(4, 3\) want integers of shape \(4,\), got \(3,\)"),
    ({"labels": torch.rand(4)}, "labels: "),
    ({"shards": 3}, "shards: want a divisor of the 4 images, got 3"),
    ({"shards": 0}, "shards: "),
    ({"margin": -0.1}, "margin: "),
    ({"margin": math.nan}, "margin: "),
    ({"distance": "manhattan"}, "distance: want 'euclidean', 'squared' or 'cosine', got 'manhattan'"),
])
def test_wrong_input_is_refused(change, message):
    arguments = {"features": torch.randn(4, 3), "labels": torch.tensor([0, 0, 1, 1])} | change
    with pytest.raises(ValueError, match=message):
        triplet_loss(arguments.pop("features"), arguments.pop("labels"), **arguments)
