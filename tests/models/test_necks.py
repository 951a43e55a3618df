"""The head: reduction, BNNeck and classifiers as Bag of Tricks and FastReID define them."""

import math

import pytest
import torch

from reidlib.losses import circle_logits, cross_entropy
from reidlib.models import Baseline
from reidlib.models.necks import Head, bn_neck, classifier, cosines

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def test_bn_neck_normalises_and_never_shifts():
    torch.manual_seed(0)
    neck = bn_neck(6)
    x = 4 + 3 * torch.randn(32, 6)
    wanted = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(neck(x), wanted)
    assert neck.weight.requires_grad and not neck.bias.requires_grad
    assert (neck.weight == 1).all() and (neck.bias == 0).all()


@pytest.mark.parametrize("std", [0.001, 0.01])
def test_classifier_starts_small_and_has_no_bias(std):
    torch.manual_seed(0)
    layer = classifier(256, 400, std)
    assert layer.bias is None
    assert layer.weight.std().item() == pytest.approx(std, rel=0.02)


def test_reduction_starts_with_he_fan_in():
    torch.manual_seed(0)
    head = Head(512, 2, dim=64)
    assert head.reduce.bias is None
    assert head.reduce.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)


@pytest.mark.parametrize("dim", [None, 4])
@pytest.mark.parametrize("metric_feature", ["before", "after"])
def test_head_gives_the_metric_loss_the_feature_it_is_told_to(metric_feature, dim):
    torch.manual_seed(0)
    head = Head(8, 3, dim=dim, pooling="average", metric_feature=metric_feature)
    x = torch.randn(6, 8, 4, 2)
    output = head(x)
    before = x.mean(dim=(2, 3))
    if dim is not None:
        before = before @ head.reduce.weight.T
    after = (before - before.mean(0)) / (before.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(output.feature, after)
    torch.testing.assert_close(output.metric, before if metric_feature == "before" else after)
    torch.testing.assert_close(output.logits, after @ head.classify.weight.T)


def test_dropout_reaches_the_classifier_alone_and_rests_in_evaluation():
    torch.manual_seed(0)
    head = Head(500, 500, pooling="average", dropout=0.2)
    torch.nn.init.eye_(head.classify.weight)                                  # logits show the classifier's input
    output = head(torch.randn(40, 500, 2, 1))
    kept = output.logits != 0
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.01)         # 20,000 draws: 3.5 standard errors
    torch.testing.assert_close(output.logits[kept], output.feature[kept] / 0.8)
    assert (output.feature != 0).all() and torch.equal(output.metric, output.feature)

    output = head.eval()(torch.randn(40, 500, 2, 1))
    assert torch.equal(output.logits, output.feature)


def test_without_dropout_training_draws_no_random_numbers():
    torch.manual_seed(0)
    head, state = Head(8, 3), torch.get_rng_state()
    head = head.train()
    head(torch.ones(4, 8, 2, 2))
    assert torch.equal(torch.get_rng_state(), state)


def cosine(a, b):
    """Of two lists of numbers, by its definition."""
    dot, lengths = math.fsum(x * y for x, y in zip(a, b, strict=True)), math.hypot(*a) * math.hypot(*b)
    return dot / lengths if lengths else 0.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_cosines_of_rows_of_any_length(dtype):
    torch.manual_seed(0)
    features = (torch.randn(5, 30) * torch.tensor([[1e-20], [1.0], [1e4], [1e18], [0.0]])).to(dtype)
    weight = (torch.randn(4, 30) * torch.tensor([[1e-3], [0.0], [1.0], [1e10]])).to(dtype)
    weight[2] = features[1]
    weight[3] = -features[1]
    wanted = [[cosine(x, w) for w in weight.tolist()] for x in features.tolist()]
    assert wanted[1][2] == pytest.approx(1) and wanted[1][3] == pytest.approx(-1) and not any(wanted[4])
    ours = cosines(features, weight)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-7                      # of a number up to 1
    torch.testing.assert_close(ours, torch.tensor(wanted, dtype=ours.dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_cosine_head_takes_cosines_with_what_dropout_leaves_in_float32_under_autocast(dropout, device):
    torch.manual_seed(0)
    head = Head(256, 7, dim=64, pooling="average", dropout=dropout, cosine=True).to(device)
    seen = []
    head.dropout.register_forward_hook(lambda module, inputs, kept: seen.append(kept))
    with torch.autocast(device, torch.bfloat16):
        assert head.reduce(torch.ones(2, 256, device=device)).dtype == torch.bfloat16
        output = head(torch.randn(5, 256, 4, 2, device=device))
    kept, = seen
    assert (kept == 0).any() == (dropout > 0)
    wanted = torch.tensor([[cosine(x, w) for w in head.classify.weight.tolist()] for x in kept.tolist()])
    assert output.logits.dtype == torch.float32
    torch.testing.assert_close(output.logits.cpu(), wanted, rtol=0, atol=1e-7)


def test_a_cosine_baseline_has_cosines_before_circle_logits():
    """Longer class weights are other logits of a plain classifier; cosines stay, and no gradient lengthens a weight."""
    torch.manual_seed(0)
    model = Baseline(num_classes=3, backbone="resnet18", width=0.125, cosine=True)
    images, weight = torch.randn(4, 3, 32, 32), model.head.classify.weight
    logits, = model(images).logits
    with torch.no_grad():
        weight.mul_(torch.tensor([[3.0], [100.0], [1e4]]))
    longer, = model(images).logits
    torch.testing.assert_close(longer, logits)
    cross_entropy(circle_logits(longer, torch.tensor([0, 0, 1, 2]), margin=0.3), torch.tensor([0, 0, 1, 2])).backward()
    along = (weight.grad * weight).sum(dim=1) / weight.grad.norm(dim=1) / weight.norm(dim=1)
    torch.testing.assert_close(along, torch.zeros(3), rtol=0, atol=1e-5)


def test_a_feature_or_a_class_of_zeros_has_cosine_0_and_finite_gradients():
    torch.manual_seed(0)
    head = Head(8, 4, cosine=True)
    with torch.no_grad():
        head.classify.weight[3] = 0
    head.dropout.register_forward_hook(lambda module, inputs, kept: kept * (torch.arange(6) > 0)[:, None])
    x, labels = torch.randn(6, 8, 4, 2, requires_grad=True), torch.tensor([0, 0, 1, 1, 2, 3])
    logits = head(x).logits
    assert (logits[0] == 0).all() and (logits[:, 3] == 0).all() and (logits[1:, :3] != 0).all()
    cross_entropy(circle_logits(logits, labels), labels).backward()
    for gradient in (x.grad, *(p.grad for p in head.parameters() if p.requires_grad)):
        assert gradient.isfinite().all() and gradient.any()


@pytest.mark.parametrize("options, message", [
    ({"num_classes": 0}, "num_classes: want an int >= 1, got 0"),
    ({"num_classes": 2.0}, "num_classes: "),
    ({"num_classes": 2, "metric_feature": "both"}, "metric_feature: want 'after' or 'before', got 'both'"),
    ({"num_classes": 2, "dropout": 1.0}, r"dropout: want a chance in \[0, 1\), got 1.0"),
    ({"num_classes": 2, "dropout": -0.1}, "dropout: "),
    ({"num_classes": 2, "dropout": float("nan")}, "dropout: "),
])
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Head(8, **options)
