"""Circle loss, in both forms, against loops over anchors and pairs in double precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.losses import circle_logits, circle_loss, circle_softmax, cross_entropy

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
OPTIONS = [{"margin": 0.25, "gamma": 128.0}, {"margin": 0.4, "gamma": 8.0}, {"margin": 0.0, "gamma": 1.0}]


def cosine(a, b):
    """0 for a vector of zeros."""
    length = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0


def exponent(s, weighed_at, positive, margin, gamma):
    """gamma a (s - D), with the weight a taken at another cosine: what a detached weight is to a derivative."""
    if positive:
        return gamma * max(0.0, 1 + margin - weighed_at) * (s - (1 - margin))
    return gamma * max(0.0, weighed_at + margin) * (s - margin)


def pairs_by_loop(rows, labels, margin=0.25, gamma=128.0, weighed_at=None):
    """The pair form of rows, lists of floats: log(1 + sum_n e^... sum_p e^-...), anchor after anchor."""
    weighed_at = rows if weighed_at is None else weighed_at
    losses = []
    for i in range(len(rows)):
        positives, negatives = [], []
        for j in range(len(rows)):
            if j != i:
                positive = labels[j] == labels[i]
                e = exponent(cosine(rows[i], rows[j]), cosine(weighed_at[i], weighed_at[j]), positive, margin, gamma)
                (positives if positive else negatives).append(e)
        if positives and negatives:
            product = sum(math.exp(-p) for p in positives) * sum(math.exp(n) for n in negatives)
            losses.append(math.log1p(product))
    return sum(losses) / len(losses)


def classes_by_loop(rows, weight, labels, margin=0.35, gamma=64.0, smoothing=0.0, weighed_at=None):
    """The class form: softmax written out, target 1 - ε for the own class and ε / (K - 1) for every other."""
    weighed_at = (rows, weight) if weighed_at is None else weighed_at
    total = 0.0
    for i, label in enumerate(labels):
        logits = [exponent(cosine(rows[i], w), cosine(weighed_at[0][i], v), k == label, margin, gamma)
                  for k, (w, v) in enumerate(zip(weight, weighed_at[1], strict=True))]
        log_sum = math.log(sum(math.exp(x) for x in logits))
        for k, x in enumerate(logits):
            total -= (1 - smoothing if k == label else smoothing / (len(logits) - 1)) * (x - log_sum)
    return total / len(labels)


def numerical_gradient(function, rows, step=1e-6):
    """d function(rows) / d rows by central differences."""
    gradient = torch.zeros(len(rows), len(rows[0]), dtype=torch.float64)
    for i, row in enumerate(rows):
        for c in range(len(row)):
            sides = [[list(r) for r in rows] for _ in range(2)]
            sides[0][i][c] -= step
            sides[1][i][c] += step
            gradient[i, c] = (function(sides[1]) - function(sides[0])) / (2 * step)
    return gradient


def batch(persons=4, each=3, dim=6, dtype=torch.float32, seed=0):
    """Features about a centre for each person, of unlike lengths."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(persons).repeat_interleave(each)
    features = torch.randn(persons, dim, generator=generator)[labels] + torch.randn(len(labels), dim,
                                                                                    generator=generator)
    return features.to(dtype), labels


def class_weight(classes=4, dim=6, dtype=torch.float32, seed=1):
    return torch.randn(classes, dim, generator=torch.Generator().manual_seed(seed)).to(dtype)


def as_lists(*tensors):
    return [x.double().tolist() if x.is_floating_point() else x.tolist() for x in tensors]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS)
def test_both_forms_are_the_loops(options, dtype, device):
    features, labels = batch(dtype=dtype)
    weight = class_weight(dtype=dtype)
    there = features.to(device), weight.to(device), labels.to(device)
    pair = circle_loss(there[0], there[2], **options)
    of_classes = circle_softmax(*there, smoothing=0.1, **options)
    for loss, wanted in ((pair, pairs_by_loop(*as_lists(features, labels), **options)),
                         (of_classes, classes_by_loop(*as_lists(features, weight, labels), smoothing=0.1, **options))):
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and loss.shape == ()
        assert loss.item() == pytest.approx(wanted, rel=1e-9 if dtype == torch.float64 else 1e-6)


@given(seed=st.integers(0, 10_000), persons=st.integers(2, 5), each=st.integers(1, 3), margin=st.floats(0, 0.5),
       gamma=st.floats(0.1, 60))
@settings(deadline=None, max_examples=30)
def test_any_batch(seed, persons, each, margin, gamma):
    features, labels = batch(persons, each, dtype=torch.float64, seed=seed)
    labels[0] = labels[-1]                              # unlike numbers of images; one person may lose all of them
    rows, weight = features.tolist(), class_weight(persons, dtype=torch.float64, seed=seed)
    ours = circle_softmax(features, weight, labels, margin=margin, gamma=gamma)
    assert ours.item() == pytest.approx(
        classes_by_loop(rows, weight.tolist(), labels.tolist(), margin, gamma), rel=1e-9, abs=1e-12)
    if len(labels.unique()) > 1:                        # of two single images one person is left
        ours = circle_loss(features, labels, margin=margin, gamma=gamma).item()
        assert ours == pytest.approx(pairs_by_loop(rows, labels.tolist(), margin, gamma), rel=1e-7, abs=1e-8)


def test_the_defaults_are_fastreids():
    features, labels = batch()
    weight = class_weight()
    rows, classes, names = as_lists(features, weight, labels)
    assert circle_loss(features, labels).item() == pytest.approx(pairs_by_loop(rows, names, 0.25, 128.0), rel=1e-6)
    assert circle_softmax(features, weight, labels).item() == pytest.approx(
        classes_by_loop(rows, classes, names, 0.35, 64.0, 0.0), rel=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
def test_no_gradient_flows_through_the_weights(options):
    """The gradient is that of the loss with every weight held at its value."""
    features, labels = batch(persons=3, each=2, dim=4, dtype=torch.float64)
    weight = class_weight(classes=3, dim=4, dtype=torch.float64)
    rows, classes, names = as_lists(features, weight, labels)
    features.requires_grad_()
    weight.requires_grad_()
    of_pairs, = torch.autograd.grad(circle_loss(features, labels, **options), features)
    wanted = numerical_gradient(lambda x: pairs_by_loop(x, names, **options, weighed_at=rows), rows)
    torch.testing.assert_close(of_pairs, wanted, rtol=1e-5, atol=1e-6)
    of_features, of_weight = torch.autograd.grad(circle_softmax(features, weight, labels, **options),
                                                 (features, weight))
    held = {**options, "weighed_at": (rows, classes)}
    wanted = numerical_gradient(lambda x: classes_by_loop(x, classes, names, **held), rows)
    torch.testing.assert_close(of_features, wanted, rtol=1e-5, atol=1e-6)
    wanted = numerical_gradient(lambda x: classes_by_loop(rows, x, names, **held), classes)
    torch.testing.assert_close(of_weight, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("margin", [0.25, 0.35])
@pytest.mark.parametrize("angle", [-30, 0, 45, 60, 90])
def test_the_boundary_is_the_circle_of_the_paper(angle, margin):
    """s_n^2 + (1 - s_p)^2 = 2 m^2, with (1 - m, m) at 45 degrees: there the two logits meet and the loss is log 2."""
    def cosines(radius):
        return 1 - radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))

    def lead(radius):
        cosine = torch.tensor([cosines(radius)], dtype=torch.float64)
        return circle_logits(cosine, torch.tensor([0]), margin=margin) @ torch.tensor([1.0, -1.0]).double()

    radius = margin * math.sqrt(2)
    assert lead(0.99 * radius) > 0.01 and lead(1.01 * radius) < -0.01 and abs(lead(radius)) < 1e-9
    s_p, s_n = cosines(radius)
    gram = torch.tensor([[1, s_p, s_n], [s_p, 1, s_n], [s_n, s_n, 1]], dtype=torch.float64)
    value, vector = torch.linalg.eigh(gram)
    features = vector * value.clamp(min=0).sqrt()       # two images of one person and one of another, of these cosines
    loss = circle_loss(features, torch.tensor([0, 0, 1]), margin=margin)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_logits_are_what_cross_entropy_takes():
    features, labels = batch()
    weight = class_weight()
    units, classes = torch.nn.functional.normalize(features), torch.nn.functional.normalize(weight)
    for margin, gamma in ((0.35, 64.0), (0.1, 20.0)):
        logits = circle_logits(units @ classes.T, labels, margin=margin, gamma=gamma)
        wanted = circle_softmax(features, weight, labels, margin=margin, gamma=gamma, smoothing=0.2)
        torch.testing.assert_close(cross_entropy(logits, labels, smoothing=0.2), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(circle_logits(units @ classes.T, labels),
                               circle_logits(units @ classes.T, labels, margin=0.35, gamma=64.0))
    half = circle_logits((units @ classes.T).bfloat16(), labels)
    assert half.dtype == torch.float32 and half.shape == (12, 4)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_order_names_and_lengths_do_not_matter(seed):
    features, labels = batch(seed=seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    lengths = 10 ** (6 * torch.rand(len(labels), 1, generator=generator, dtype=torch.float64) - 3)
    loss = circle_loss(features, labels)
    torch.testing.assert_close(circle_loss(features[order], labels[order]), loss)
    torch.testing.assert_close(circle_loss(features, 1000 - 7 * labels), loss)
    torch.testing.assert_close(circle_loss(features * lengths, labels), loss)
    weight, names = class_weight(dtype=torch.float64), torch.randperm(4, generator=generator)
    loss = circle_softmax(features, weight, labels)
    torch.testing.assert_close(circle_softmax(features[order], weight, labels[order]), loss)
    torch.testing.assert_close(circle_softmax(features, weight[names], names.argsort()[labels]), loss)
    torch.testing.assert_close(circle_softmax(features * lengths, 7 * weight, labels), loss)


def test_anchors_without_a_positive_or_a_negative_are_left_out():
    features, _ = batch(persons=2, each=3)
    labels = torch.tensor([0, 0, 1, 2, 3, 3])           # 1 and 2 have no positive
    features.requires_grad_()
    loss = circle_loss(features, labels)
    assert loss.item() == pytest.approx(pairs_by_loop(*as_lists(features, labels)), rel=1e-6)
    loss.backward()
    assert features.grad.isfinite().all() and (features.grad != 0).any(dim=1).all()   # they are negatives all the same


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0]])
def test_a_batch_without_any_pair_of_pairs_is_refused(labels):
    with pytest.raises(ValueError, match="labels: no anchor has both a positive and a negative among the 4 images"):
        circle_loss(torch.randn(4, 2), torch.tensor(labels))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("value", [1.0, 0.0, 1e-30])
def test_equal_features_and_zeros_have_a_small_finite_gradient(value, device):
    labels = torch.tensor([0, 0, 0, 1, 1, 1], device=device)
    features = torch.full((6, 4), value, device=device, requires_grad=True)
    weight = torch.full((2, 4), value, device=device, requires_grad=True)
    one_zero = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).to(device)
    one_zero[2] = 0
    one_zero.requires_grad_()
    for loss in (circle_loss(features, labels), circle_softmax(features, weight, labels),
                 circle_loss(one_zero, labels), circle_softmax(one_zero, weight, labels)):
        assert loss.isfinite()
        loss.backward()
    assert all(x.grad.isfinite().all() for x in (features, weight, one_zero))
    assert one_zero.grad[2].abs().max() < 1e4           # a step along it leads somewhere, not to the end of the world
    assert circle_loss(one_zero, labels).item() == pytest.approx(pairs_by_loop(*as_lists(one_zero, labels)), rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_does_not_lower_the_precision(device):
    features, labels = (x.to(device) for x in batch())
    weight = class_weight().to(device)
    features = 100 + features                           # half precision would see equal cosines
    wanted = circle_loss(features, labels), circle_softmax(features, weight, labels)
    with torch.autocast(device, torch.bfloat16):
        assert circle_loss(features, labels) == wanted[0]
        assert circle_softmax(features, weight, labels) == wanted[1]
        assert circle_logits(features @ weight.T, labels).dtype == torch.float32
    assert wanted[0].item() == pytest.approx(pairs_by_loop(*as_lists(features, labels)), rel=1e-6)


def test_numpy_and_narrow_integers_are_taken():
    features, labels = batch()
    weight, arrays = class_weight(), (np.asarray(features), np.asarray(labels, dtype=np.int32))
    torch.testing.assert_close(circle_loss(*arrays), circle_loss(features, labels))
    torch.testing.assert_close(circle_softmax(arrays[0], np.asarray(weight), arrays[1]),
                               circle_softmax(features, weight, labels))


WRONG = [
    ({"features": torch.randn(4)}, "features: want floating point"),
    ({"features": torch.randn(0, 3), "labels": torch.zeros(0, dtype=torch.long)}, "features: .*not empty"),
    ({"features": torch.ones(4, 3, dtype=torch.long)}, "features: want floating point"),
    ({"features": torch.full((4, 3), math.nan)}, "features: want finite"),
    ({"features": torch.full((4, 3), math.inf)}, "features: want finite"),
    ({"labels": torch.tensor([0, 0, 1])}, r"labels: features \(4, 3\) want integers of shape \(4,\), got \(3,\)"),
    ({"labels": torch.rand(4)}, "labels: "),
    ({"margin": -0.1}, r"margin: want a number in \[0, 1\], got -0.1"),
    ({"margin": 1.1}, "margin: "),
    ({"margin": math.nan}, "margin: "),
    ({"gamma": 0}, "gamma: want a number > 0, got 0"),
    ({"gamma": math.inf}, "gamma: "),
]


@pytest.mark.parametrize("change, message", WRONG)
def test_wrong_input_is_refused(change, message):
    arguments = {"features": torch.randn(4, 3), "labels": torch.tensor([0, 0, 1, 1])} | change
    with pytest.raises(ValueError, match=message):
        circle_loss(**arguments)
    with pytest.raises(ValueError, match=message):
        circle_softmax(weight=torch.randn(2, 3), **arguments)
    arguments["cosines"] = arguments.pop("features")
    if "want finite" not in message:
        with pytest.raises(ValueError, match=message.replace("features", "cosines")):
            circle_logits(**arguments)


@pytest.mark.parametrize("change, message", [
    ({"weight": torch.randn(2, 4)}, r"weight: features \(4, 3\) want floating point \(K, 3\), got \(2, 4\)"),
    ({"weight": torch.randn(3)}, "weight: "),
    ({"weight": torch.randn(0, 3)}, "weight: "),
    ({"weight": torch.ones(2, 3, dtype=torch.long)}, "weight: "),
    ({"weight": torch.tensor([[1, 2, math.nan], [1, 2, 3]])}, "weight: want finite"),
    ({"labels": torch.tensor([0, 0, 1, 2])}, "labels: want 0 to 1 for 2 classes, got 0 to 2"),
    ({"labels": torch.tensor([0, 0, 1, -1])}, "labels: want 0 to 1 for 2 classes, got -1 to 1"),
    ({"smoothing": 1.0}, "smoothing: "),
])
def test_wrong_classes_are_refused(change, message):
    arguments = {"features": torch.randn(4, 3), "labels": torch.tensor([0, 0, 1, 1]), "weight": torch.randn(2, 3)}
    with pytest.raises(ValueError, match=message):
        circle_softmax(**arguments | change)
    if "labels" in change:
        with pytest.raises(ValueError, match=message):
            circle_logits(torch.randn(4, 2), change["labels"])
