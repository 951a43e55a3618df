"""Attention loss against a loop over clips and frames."""

import math

import numpy as np
import pytest
import torch

from reidlib.losses import attention_loss

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def by_loop(scores, labels, reduction):
    total = 0.0
    for row, marks in zip(scores.double().tolist(), labels.tolist(), strict=True):
        clip = sum(score for score, erased in zip(row, marks, strict=True) if erased)
        total += clip / len(row) if reduction == "mean" else clip
    return total / len(scores)


def batch(clips=5, frames=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(clips, frames, generator=generator).softmax(dim=1).to(dtype)
    return scores, torch.rand(clips, frames, generator=generator) < 0.5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_attention_loss_is_the_loop(reduction, dtype, kind, device):
    scores, labels = batch(dtype=dtype)
    ours = attention_loss(scores.to(device), labels.to(device, kind), reduction=reduction)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and ours.shape == ()
    assert ours.item() == pytest.approx(by_loop(scores, labels, reduction), rel=1e-6)


def test_the_default_is_equation_1_and_the_code_has_t_times_as_much():
    scores, labels = batch(frames=3)
    assert attention_loss(scores, labels).item() == pytest.approx((scores * labels).sum().item() / 15)
    torch.testing.assert_close(attention_loss(scores, labels, reduction="sum"), 3 * attention_loss(scores, labels))


def test_all_or_nothing_erased():
    scores, labels = batch()                            # weights after a softmax: a clip's are 1 together
    assert attention_loss(scores, torch.zeros_like(labels)) == 0
    assert attention_loss(scores, torch.ones_like(labels)).item() == pytest.approx(1 / 4)


@pytest.mark.parametrize("reduction, each", [("mean", 1 / 20), ("sum", 1 / 5)])
def test_gradient_reaches_the_erased_frames_alone(reduction, each):
    scores, labels = batch(dtype=torch.float64)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: attention_loss(s, labels, reduction=reduction), scores)
    attention_loss(scores, labels, reduction=reduction).backward()
    torch.testing.assert_close(scores.grad, each * labels.double())


def test_order_of_clips_and_frames_does_not_matter():
    scores, labels = batch()
    clips, frames = torch.tensor([3, 0, 4, 2, 1])[:, None], torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(attention_loss(scores[clips, frames], labels[clips, frames]),
                               attention_loss(scores, labels))


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_does_not_lower_the_precision(device):
    scores, labels = (x.to(device) for x in batch())
    scores = 100 + scores
    with torch.autocast(device, torch.bfloat16):
        ours = attention_loss(scores, labels)
    assert ours == attention_loss(scores, labels) and ours.dtype == torch.float32
    assert ours.item() == pytest.approx(by_loop(scores, labels, "mean"), rel=1e-6)


def test_numpy_arrays_are_taken():
    scores, labels = batch()
    torch.testing.assert_close(attention_loss(np.asarray(scores), np.asarray(labels)), attention_loss(scores, labels))


@pytest.mark.parametrize("change, message", [
    ({"scores": torch.rand(4)}, r"scores: want floating point \(B, T\)"),
    ({"scores": torch.rand(2, 0), "labels": torch.ones(2, 0, dtype=torch.bool)}, "scores: .*not empty"),
    ({"scores": torch.ones(2, 3, dtype=torch.long)}, "scores: want floating point"),
    ({"scores": torch.full((2, 3), math.nan)}, "scores: want finite"),
    ({"labels": torch.ones(2, dtype=torch.bool)},
     r"labels: scores \(2, 3\) want bool or integers of that shape, got \(2,\)"),
    ({"labels": torch.ones(1, 3, dtype=torch.bool)}, "labels: "),
    ({"labels": torch.rand(2, 3)}, "labels: "),
    ({"labels": torch.full((2, 3), 2)}, "labels: want 0 to 1 for 2 kinds of frame, got 2 to 2"),
    ({"labels": torch.full((2, 3), -1)}, "labels: want 0 to 1 for 2 kinds of frame, got -1 to -1"),
    ({"reduction": "none"}, "reduction: want 'mean' or 'sum', got 'none'"),
])
def test_wrong_input_is_refused(change, message):
    arguments = {"scores": torch.rand(2, 3), "labels": torch.ones(2, 3, dtype=torch.bool)}
    with pytest.raises(ValueError, match=message):
        attention_loss(**arguments | change)
