"""The head: reduction, BNNeck and classifier as Bag of Tricks and FastReID define them."""

import pytest
import torch

from reidlib.models.necks import Head, bn_neck, classifier


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


@pytest.mark.parametrize("options, message", [
    ({"num_classes": 0}, "num_classes: want an int >= 1, got 0"),
    ({"num_classes": 2.0}, "num_classes: "),
    ({"num_classes": 2, "metric_feature": "both"}, "metric_feature: want 'after' or 'before', got 'both'"),
])
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Head(8, **options)
