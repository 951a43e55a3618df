"""What is measured of report `stronger`'s argument, against loops; and that looking changes nothing."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from reidlib import models
from reidlib.objective import batch_loss
from reidlib.optimisation import TrainingOptions
from reidlib.probes import gradient_cosine, hardest_differ, probe

LABELS = torch.arange(4).repeat_interleave(3)


def batch(seed: int = 0, images: int = 12) -> torch.Tensor:
    return torch.randn(images, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def baseline(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build("baseline", num_classes=4, backbone="resnet18", width=0.125, **options).train()


def cosine_of(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def hardest(features, labels, anchor, closeness):
    """(positive, negative) of an anchor, by a closeness of two vectors: the least alike, the most alike."""
    alike = {i: closeness(features[anchor], features[i]) for i in range(len(labels)) if i != anchor}
    own = [i for i in alike if labels[i] == labels[anchor]]
    others = [i for i in alike if labels[i] != labels[anchor]]
    return min(own, key=alike.get), max(others, key=alike.get)


@pytest.mark.parametrize("seed", range(3))
def test_hardest_differ_by_loops(seed):
    features = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed)).double() + 1
    rows = features.tolist()
    apart = [0, 0]
    for anchor in range(12):
        euclidean = hardest(rows, LABELS, anchor, lambda a, b: -math.dist(a, b))
        cosine = hardest(rows, LABELS, anchor, cosine_of)
        apart = [count + (x != y) for count, x, y in zip(apart, euclidean, cosine, strict=True)]
    assert hardest_differ(features, LABELS) == pytest.approx([count / 12 for count in apart])
    assert sum(apart) > 0


def test_hardest_never_differ_on_the_unit_sphere():
    features = torch.nn.functional.normalize(torch.randn(12, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    assert hardest_differ(features, LABELS) == (0.0, 0.0)


@pytest.mark.parametrize("options", [{}, {"triplet_normalise": True}, {"triplet_distance": "squared"}])
@pytest.mark.parametrize("metric_feature", ["before", "after"])
def test_gradient_cosine_is_that_of_the_losses_in_training(metric_feature, options):
    """Against the gradients that a step's own backward passes leave at the pooled feature."""
    model = baseline(metric_feature=metric_feature).double()
    training = TrainingOptions(epochs=1, persons=4, images=3, learning_rate=1.0, **options)
    pooled = {}
    model.head.pool.register_forward_hook(lambda module, inputs, output: pooled.update(output=output))
    classification, metric, _ = batch_loss(model, batch().double(), LABELS, training)
    both = [torch.autograd.grad(loss, pooled["output"], retain_graph=True)[0] for loss in (classification, metric)]
    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in zip(*both, strict=True) if b.norm() > 0]
    found = gradient_cosine(model.head, pooled["output"], LABELS, training)
    assert found == pytest.approx(sum(cosines) / len(cosines), rel=1e-5)


def test_probe_leaves_the_model_and_the_generator_as_they_are():
    model = baseline(metric_feature="before")
    training = TrainingOptions(epochs=1, persons=4, images=3, learning_rate=1.0)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = probe(model, [(batch(seed), LABELS) for seed in range(3)], training)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert {len(values) for values in found.values()} == {3} and set(found) >= {"gradient_cosine"}
    assert found == probe(model, [(batch(seed), LABELS) for seed in range(3)], training)


def test_a_batch_without_active_triplets_has_no_cosine():
    model = baseline(metric_feature="after")
    pooled = torch.zeros(12, model.feature_dim)
    pooled[torch.arange(12), LABELS] = 1000.0  # persons far apart, images of one the same
    training = TrainingOptions(epochs=1, persons=4, images=3, learning_rate=1.0)
    assert math.isnan(gradient_cosine(model.head, pooled, LABELS, training))
