"""Smoothed cross-entropy against targets written out class by class."""

import math

import numpy as np
import pytest
import torch

from reidlib.losses import cross_entropy

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def by_loop(logits, labels, smoothing, target):
    total = 0.0
    for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
        classes = len(row)
        log_sum = math.log(sum(math.exp(x) for x in row))
        for k, x in enumerate(row):
            if target == "torch":
                share = smoothing / classes + (1 - smoothing) * (k == label)
            else:
                share = 1 - smoothing if k == label else smoothing / (classes - 1)
            total -= share * (x - log_sum)
    return total / len(labels)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("target", ["fastreid", "torch"])
def test_cross_entropy_is_the_loop(target, smoothing, classes, dtype, device):
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(5, classes, generator=generator)).to(dtype)
    labels = torch.randint(classes, (5,), generator=generator)
    ours = cross_entropy(logits.to(device), labels.to(device), smoothing=smoothing, target=target)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert ours.item() == pytest.approx(by_loop(logits, labels, smoothing, target), rel=1e-5)


def test_the_default_is_fastreids_target_with_0_1():
    logits, labels = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 5, 5])
    assert cross_entropy(logits, labels).item() == pytest.approx(by_loop(logits, labels, 0.1, "fastreid"), rel=1e-5)


@pytest.mark.parametrize("target", ["fastreid", "torch"])
def test_gradient_is_softmax_minus_target(target):
    logits = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 5, 5])
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels, smoothing=0.2, target=target), logits)


@pytest.mark.parametrize("target", ["fastreid", "torch"])
def test_one_class_has_no_loss(target):
    assert cross_entropy(torch.randn(3, 1), torch.zeros(3, dtype=torch.long), target=target) == 0


def test_numpy_and_narrow_integers_are_taken():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    ours = cross_entropy(np.asarray(logits), np.asarray(labels, dtype=np.int32))
    torch.testing.assert_close(ours, cross_entropy(logits, labels))


@pytest.mark.parametrize("change, message", [
    ({"logits": torch.randn(4)}, "logits: "),
    ({"logits": torch.randn(0, 3), "labels": torch.zeros(0, dtype=torch.long)}, "logits: .*not empty"),
    ({"labels": torch.tensor([0, 1])}, r"labels: logits \(4, 3\) want integers of shape \(4,\), got \(2,\)"),
    ({"labels": torch.rand(4)}, "labels: "),
    ({"labels": torch.tensor([0, 1, 2, 3])}, "labels: want 0 to 2 for 3 classes, got 0 to 3"),
    ({"labels": torch.tensor([0, 1, 2, -1])}, "labels: want 0 to 2 for 3 classes, got -1 to 2"),
    ({"target": "szegedy"}, "target: want 'fastreid' or 'torch', got 'szegedy'"),
    ({"smoothing": 1.0}, "smoothing: "),
    ({"smoothing": -0.1}, "smoothing: "),
    ({"smoothing": 0.7}, "smoothing: want at most 1 - 1/K for 3 classes"),
])
def test_wrong_input_is_refused(change, message):
    arguments = {"logits": torch.randn(4, 3), "labels": torch.tensor([0, 1, 2, 2])} | change
    with pytest.raises(ValueError, match=message):
        cross_entropy(arguments.pop("logits"), arguments.pop("labels"), **arguments)
