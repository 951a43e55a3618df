"""Online soft mining with class-aware attention against a loop over pairs in double precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.losses import osm_loss

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
OPTIONS = [{}, {"sigma": 0.9048, "alpha": 2.8437, "weight": 0.5873}, {"sigma": 0.3, "alpha": 0.9, "temperature": 0.18},
           {"weight": 0.0}, {"weight": 1.0, "temperature": 5.0}]


def unit(row):
    """Zeros for a row of zeros."""
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row] if length else row


def by_loop(features, labels, classes, sigma=0.8, alpha=1.2, weight=0.5, temperature=1.0):
    """The loss as a Python float, with the weights themselves in place of their logarithms."""
    rows = [unit(row) for row in features.double().tolist()]
    classes = [unit(row) for row in classes.double().tolist()]
    labels = labels.tolist()
    attention = []
    for row, label in zip(rows, labels, strict=True):
        powers = [math.exp(sum(x * y for x, y in zip(row, vector, strict=True)) / temperature) for vector in classes]
        attention.append(powers[label] / sum(powers))
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}        # of a positive and a negative pair: weighted values, weights
    for i, anchor in enumerate(rows):
        for j, other in enumerate(rows):
            if i == j:
                continue
            d = math.sqrt(sum((x - y) ** 2 for x, y in zip(anchor, other, strict=True)))
            inside = max(0.0, alpha - d)
            positive = labels[i] == labels[j]
            w = min(attention[i], attention[j]) * (math.exp(-d ** 2 / sigma ** 2) if positive else inside)
            sums[positive][0] += w * (d ** 2 if positive else inside ** 2)
            sums[positive][1] += w
    of_positive, of_negative = ((value / total if total else 0.0) for value, total in (sums[True], sums[False]))
    return (1 - weight) * of_positive / 2 + weight * of_negative / 2


def batch(persons=4, each=3, dim=6, dtype=torch.float32, seed=0):
    """Features about a centre for each person, of unlike lengths, and vectors for one class more than there is."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(persons).repeat_interleave(each)
    centres = torch.randn(persons, dim, generator=generator)
    features = centres[labels] + torch.randn(len(labels), dim, generator=generator)
    return features.to(dtype), labels, torch.randn(persons + 1, dim, generator=generator).to(dtype)


def gradients(features, labels, classes, **options):
    features, classes = (x.clone().requires_grad_() for x in (features, classes))
    with torch.autograd.set_detect_anomaly(True):       # a NaN on the way is one too many, even where it ends there
        loss = osm_loss(features, labels, classes, **options)
        loss.backward()
    return loss.item(), features.grad, classes.grad


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS)
def test_osm_loss_is_the_loop(options, dtype, device):
    features, labels, classes = batch(dtype=dtype)
    ours = osm_loss(features.to(device), labels.to(device), classes.to(device), **options)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and ours.shape == ()
    wanted = by_loop(features, labels, classes, **options)
    assert ours.item() == pytest.approx(wanted, rel=1e-9 if dtype == torch.float64 else 1e-6)


def test_the_defaults_are_the_codes():
    features, labels, classes = batch()
    wanted = by_loop(features, labels, classes, sigma=0.8, alpha=1.2, weight=0.5, temperature=1.0)
    assert osm_loss(features, labels, classes).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
def test_gradient_flows_through_the_weights_too(options):
    features, labels, classes = batch(persons=3, each=2, dim=4, dtype=torch.float64)
    features.requires_grad_()
    classes.requires_grad_()
    assert torch.autograd.gradcheck(lambda f, c: osm_loss(f, labels, c, **options), (features, classes))


@given(seed=st.integers(0, 10_000), persons=st.integers(1, 5), each=st.integers(1, 3), sigma=st.floats(0.1, 3),
       alpha=st.floats(0.01, 3), weight=st.floats(0, 1), temperature=st.floats(0.05, 10))
@settings(deadline=None, max_examples=40)
def test_any_batch_in_any_order_by_any_names_and_of_any_length(seed, persons, each, **options):
    features, labels, classes = batch(persons, each, dtype=torch.float64, seed=seed)
    labels[0] = labels[-1]                              # unlike numbers of images; one person may lose all of them
    loss = osm_loss(features, labels, classes, **options)
    assert loss.item() == pytest.approx(by_loop(features, labels, classes, **options), rel=1e-8, abs=1e-12)
    generator = torch.Generator().manual_seed(seed)
    order, names = (torch.randperm(n, generator=generator) for n in (len(labels), len(classes)))
    torch.testing.assert_close(osm_loss(features[order], labels[order], classes, **options), loss)
    torch.testing.assert_close(osm_loss(features, names.argsort()[labels], classes[names], **options), loss)
    lengths = 10 ** (12 * torch.rand(len(labels) + len(classes), 1, generator=generator, dtype=torch.float64) - 6)
    torch.testing.assert_close(
        osm_loss(lengths[:len(labels)] * features, labels, lengths[len(labels):] * classes, **options), loss)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("labels, left", [
    ([0, 1, 2, 3], "negative"), ([2, 2, 2, 2], "positive"), ([1], None), ([3, 0, 0, 1], "both")])
def test_a_half_without_pairs_is_0(labels, left, device):
    """K = 1 images a person, one person, one image: no 0 / 0 in the loss or in its gradient."""
    features, _, classes = (x.to(device) for x in batch(persons=2, each=2)[:3])
    labels, features = torch.tensor(labels, device=device), features[:len(labels)]
    for weight, half in ((0.0, "positive"), (1.0, "negative")):
        loss, *of = gradients(features, labels, torch.cat((classes, -classes)), weight=weight, alpha=2.5)
        assert all(x.isfinite().all() for x in of)
        assert (loss > 0) == (left in (half, "both"))
        assert any((x != 0).any() for x in of) == (left in (half, "both"))


def test_negatives_beyond_alpha_are_left_alone():
    features, labels = torch.eye(4).double(), torch.tensor([0, 0, 1, 1])       # all of them at a distance of √2
    classes = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).double()
    for alpha, inside in ((1.4, 0.0), (math.sqrt(2), 0.0), (1.5, 1.5 - math.sqrt(2))):
        loss, *of = gradients(features, labels, classes, alpha=alpha, weight=1.0)
        assert loss == pytest.approx(inside ** 2 / 2, abs=1e-15)
        assert (of[0] != 0).any() == (inside > 0) and of[0].isfinite().all() and of[1].isfinite().all()


@pytest.mark.parametrize("sigma", [0.01, 0.23])
def test_weights_that_underflow_have_a_mean(sigma):
    """exp(-(2 / 0.01)^2) is 0 in every precision, and exp(-(1.4 / 0.23)^2) in float16."""
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss, *of = gradients(features, torch.tensor([0, 0]), torch.eye(2), sigma=sigma, weight=0.0)
    assert loss == pytest.approx(2) and all(x.isfinite().all() for x in of)
    loss, *of = gradients(*batch(), sigma=sigma, temperature=1e-4)             # attentions of e^-10000
    assert math.isfinite(loss) and all(x.isfinite().all() for x in of)


def test_a_low_temperature_gives_an_outlier_no_attention():
    """Two images like their class and one like another: what the outlier adds at temperature 1 is gone at 0.05."""
    features = torch.tensor([[1.0, 0.1, 0.0], [1.0, -0.1, 0.0], [0.0, 0.0, 1.0]])
    labels, classes = torch.tensor([0, 0, 0]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    options = {"weight": 0.0, "sigma": 10.0}
    without = osm_loss(features[:2], labels[:2], classes, **options)
    assert osm_loss(features, labels, classes, **options) > 10 * without
    torch.testing.assert_close(osm_loss(features, labels, classes, temperature=0.05, **options), without, rtol=1e-4,
                               atol=0)
    torch.testing.assert_close(osm_loss(features, labels, classes, temperature=1e9, **options),
                               osm_loss(features, labels, torch.ones(1, 3), **options))     # all attentions equal


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [0.0, 1e-40, 1e-30, 1.0, 3e38])
def test_equal_features_zeros_and_extremes_have_a_finite_gradient(scale, device):
    labels = torch.tensor([0, 0, 0, 1, 1, 1], device=device)
    for options in OPTIONS:
        for rows in (torch.ones(6, 4), torch.eye(6, 4), -torch.eye(6, 4).flip(0)):
            features = (scale * rows).to(device)
            loss, *of = gradients(features, labels, features[[0, 3]], **options)
            assert math.isfinite(loss) and all(x.isfinite().all() for x in of)
            assert all(x.dtype == torch.float32 for x in of)
            if scale == 0:
                assert loss == pytest.approx(by_loop(features, labels, features[[0, 3]], **options), rel=1e-6)
                assert max(x.abs().max() for x in of) < 100


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_does_not_lower_the_precision(device):
    features, labels, classes = (x.to(device) for x in batch())
    features = 100 + features                           # half precision would see equal features
    wanted = osm_loss(features, labels, classes)
    with torch.autocast(device, torch.bfloat16):
        ours = osm_loss(features, labels, classes)
    assert ours == wanted and ours.dtype == torch.float32
    assert wanted.item() == pytest.approx(by_loop(features, labels, classes), rel=1e-6)
    mixed = osm_loss(features.bfloat16(), labels, classes)        # features as autocast leaves them, float32 centres
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(by_loop(features.bfloat16(), labels, classes), rel=1e-6)


def test_numpy_and_narrow_integers_are_taken():
    features, labels, classes = batch()
    ours = osm_loss(np.asarray(features), np.asarray(labels, dtype=np.int32), np.asarray(classes))
    torch.testing.assert_close(ours, osm_loss(features, labels, classes))


@pytest.mark.parametrize("change, message", [
    ({"features": torch.randn(4)}, "features: want floating point"),
    ({"features": torch.randn(0, 3), "labels": torch.zeros(0, dtype=torch.long)}, "features: .*not empty"),
    ({"features": torch.ones(4, 3, dtype=torch.long)}, "features: want floating point"),
    ({"features": torch.full((4, 3), math.nan)}, "features: want finite"),
    ({"labels": torch.tensor([0, 0, 1])}, r"labels: features \(4, 3\) want integers of shape \(4,\), got \(3,\)"),
    ({"labels": torch.rand(4)}, "labels: "),
    ({"labels": torch.tensor([0, 0, 1, 2])}, "labels: want 0 to 1 for 2 classes, got 0 to 2"),
    ({"labels": torch.tensor([0, 0, 1, -1])}, "labels: want 0 to 1 for 2 classes, got -1 to 1"),
    ({"class_vectors": torch.randn(2, 4)},
     r"class_vectors: features \(4, 3\) want floating point \(K, 3\), got \(2, 4\)"),
    ({"class_vectors": torch.randn(3)}, "class_vectors: "),
    ({"class_vectors": torch.randn(0, 3)}, "class_vectors: "),
    ({"class_vectors": torch.ones(2, 3, dtype=torch.long)}, "class_vectors: "),
    ({"class_vectors": torch.full((2, 3), math.inf)}, "class_vectors: want finite"),
    *(({name: value}, f"{name}: want a number > 0, got {value}")
      for name in ("sigma", "alpha", "temperature") for value in (0, -1.0, math.nan, math.inf)),
    ({"weight": -0.1}, r"weight: want a number in \[0, 1\], got -0.1"),
    ({"weight": 1.1}, "weight: "),
    ({"weight": math.nan}, "weight: "),
])
def test_wrong_input_is_refused(change, message):
    arguments = {"features": torch.randn(4, 3), "labels": torch.tensor([0, 0, 1, 1]),
                 "class_vectors": torch.randn(2, 3)}
    with pytest.raises(ValueError, match=message):
        osm_loss(**arguments | change)
