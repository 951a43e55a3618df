"""What is minimised is what the losses say, over the heads and features of a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from reidlib.losses import center_loss, circle_logits, circle_loss, cross_entropy, triplet_loss
from reidlib.models import Heads
from reidlib.objective import batch_loss, losses_of_images
from reidlib.optimisation import TrainingOptions, make_centers, step_centers

OPTIONS = TrainingOptions(
    epochs=1, persons=3, images=2, learning_rate=1e-3, triplet_margin=0.4, circle_margin=0.4, circle_gamma=32.0
)
LABELS = torch.arange(3).repeat_interleave(2)


class TwoHeads(nn.Module):
    """Two heads of cosines and three metric features, whatever the images are."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.cosines = nn.ParameterList(torch.rand(6, 3, generator=generator) * 2 - 1 for _ in range(2))
        self.features = nn.ParameterList(torch.randn(6, 4, generator=generator) for _ in range(3))

    def forward(self, images):
        return Heads(list(self.cosines), list(self.features))


def losses(**changes):
    model = TwoHeads()
    options = replace(OPTIONS, **changes)
    return model, options, batch_loss(model, torch.zeros(6, 3, 32, 32), LABELS, options)


def mean(parts):
    return float(sum(parts).detach() / len(parts))


def test_softmax_and_triplet():
    model, _, (classification, metric, _) = losses()
    assert classification.item() == pytest.approx(mean([cross_entropy(x, LABELS) for x in model.cosines]))
    assert metric.item() == pytest.approx(mean([triplet_loss(x, LABELS, margin=0.4) for x in model.features]))


def test_circle_takes_the_place_of_cross_entropy():
    model, options, (classification, metric, logits) = losses(classification="circle", label_smoothing=0.2)
    each = [cross_entropy(circle_logits(x, LABELS, margin=0.4, gamma=32.0), LABELS, smoothing=0.2) for x in
            model.cosines]
    assert classification.item() == pytest.approx(mean(each))
    assert metric.item() == pytest.approx(losses()[2][1].item())
    assert losses_of_images(logits, LABELS, options).mean() == pytest.approx(mean(each))


def test_pairs_are_added_to_the_triplets():
    model, _, (_, metric, _) = losses(pairs="circle")
    pairs = mean([circle_loss(x, LABELS, margin=0.4, gamma=32.0) for x in model.features])
    assert metric.item() == pytest.approx(losses()[2][1].item() + pairs)


def test_equation_1_literally_leaves_the_classifier_alone():
    model, _, (classification, metric, _) = losses(classification="none", pairs="circle")
    assert float(classification) == 0
    (classification + metric).backward()
    assert all(x.grad is None for x in model.cosines) and all(x.grad.abs().sum() > 0 for x in model.features)


def test_losses_of_images_are_the_means_over_the_heads():
    model, options, (classification, _, logits) = losses()
    found = losses_of_images(logits, LABELS, options)
    for i in range(6):
        own = [cross_entropy(x[i : i + 1], LABELS[i : i + 1]) for x in model.cosines]
        assert float(found[i]) == pytest.approx(mean(own), rel=1e-5)
    assert not found.requires_grad


@pytest.mark.parametrize("changes", [{"triplet_normalise": True}, {"triplet_distance": "squared"}])
def test_triplet_loss_is_the_one_asked_for(changes):
    model, _, (_, metric, _) = losses(**changes)
    asked = {name.removeprefix("triplet_"): value for name, value in changes.items()}
    each = [triplet_loss(x, LABELS, margin=0.4, **asked) for x in model.features]
    assert metric.item() == pytest.approx(torch.stack(each).mean().item())
    assert metric.item() != pytest.approx(losses()[2][1].item())


def test_center_loss_is_added_by_its_weight_and_moves_its_centers_without_it():
    """Bag of Tricks: SGD at 0.5 on the loss before its weight, so that the weight does not slow the centres down."""
    centers = make_centers(3, 4, seed=0, device=torch.device("cpu"))
    start, (model, options, (_, plain, _)) = centers.detach().clone(), losses(center_weight=5e-4)
    _, metric, _ = batch_loss(model, torch.zeros(6, 3, 32, 32), LABELS, options, centers)
    each = torch.stack([center_loss(x, LABELS, centers) for x in model.features]).mean()
    assert metric.item() == pytest.approx(plain.item() + 5e-4 * each.item())
    metric.backward()
    step_centers(centers, options)
    wanted = start.clone()
    for features in model.features:
        for person in range(3):
            pull = sum(start[person] - features[i].detach() for i in range(6) if LABELS[i] == person)
            wanted[person] -= 0.5 * 2 * pull / 6 / 3  # a batch of 6, the mean over 3 features
    assert torch.allclose(centers, wanted, atol=1e-5) and centers.grad is None


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_center_weight_in_its_range(weight):
    with pytest.raises(ValueError, match="center_weight: wants a finite number"):
        replace(OPTIONS, center_weight=weight)
