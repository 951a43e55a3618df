"""What is minimised is what the losses say, over the heads and features of a model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from reidlib.losses import center_loss, circle_logits, circle_loss, cross_entropy, triplet_loss
from reidlib.models import ClipHeads, Heads
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


class Attentive(nn.Module):
    """A head whose feature is a linear layer's, so that autocast has something to do; scores and weights are given."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.feature = nn.Linear(4, 4, bias=False)
        self.feature.weight.data = torch.randn(4, 4, generator=generator)
        self.classes = nn.Parameter(torch.randn(3, 4, generator=generator))
        self.scores = nn.Parameter(torch.rand(6, 2, generator=generator))
        self.seen = torch.randn(6, 4, generator=generator)

    def forward(self, images):
        after = self.feature(self.seen)
        return ClipHeads([after @ self.classes.T], [after], self.scores, self.scores.softmax(dim=1), self.classes)


ERASED = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1], [0, 0], [1, 0]]).bool()
TUNED = {"osm_share": 0.6, "osm_sigma": 0.9, "osm_alpha": 1.7, "osm_negatives": 0.3, "osm_temperature": 0.5}


def attentive(centers=None, erased=ERASED, **changes):
    model, options = Attentive(), replace(OPTIONS, triplet_distance="cosine", **changes)
    return model, batch_loss(model, torch.zeros(6, 2, 3, 32, 32), LABELS, options, centers, erased)


def unit(row):
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def by_loops(model, classes, *, osm_share, osm_sigma, osm_alpha, osm_negatives, osm_temperature, margin=0.4):
    """(1 - beta) cosine triplet + beta OSM in double precision, pair by pair."""
    rows = [unit(row) for row in model.feature(model.seen).double().tolist()]
    vectors, labels = [unit(row) for row in classes.double().tolist()], LABELS.tolist()

    def cosine(x, y):
        return sum(a * b for a, b in zip(x, y, strict=True))

    attention, triplet = [], []
    for i, row in enumerate(rows):
        powers = [math.exp(cosine(row, vector) / osm_temperature) for vector in vectors]
        attention.append(powers[labels[i]] / sum(powers))
        near = min(cosine(row, rows[j]) for j in range(6) if labels[j] == labels[i] and j != i)
        far = max(cosine(row, rows[j]) for j in range(6) if labels[j] != labels[i])
        triplet.append(max(0.0, far - near + margin))
    halves = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for i in range(6):
        for j in range(6):
            if i == j:
                continue
            d, same = math.sqrt(max(0.0, 2 - 2 * cosine(rows[i], rows[j]))), labels[i] == labels[j]
            value = d if same else max(0.0, osm_alpha - d)
            weight = math.exp(-(d**2) / osm_sigma**2) if same else value
            weight *= min(attention[i], attention[j])
            halves[same][0] += weight * value**2
            halves[same][1] += weight
    positive, negative = (halves[same][0] / halves[same][1] for same in (True, False))
    osm = (1 - osm_negatives) / 2 * positive + osm_negatives / 2 * negative
    return (1 - osm_share) * sum(triplet) / 6 + osm_share * osm


def test_osm_shares_the_place_of_the_triplet_loss():
    model, (_, metric, _) = attentive(osm="classifier", **TUNED)
    assert metric.item() == pytest.approx(by_loops(model, model.classes, **TUNED), rel=1e-4)
    for share in (0.0, 1.0):
        changed = TUNED | {"osm_share": share}
        _, (_, alone, _) = attentive(osm="classifier", **changed)
        assert alone.item() == pytest.approx(by_loops(model, model.classes, **changed), rel=1e-4)


def test_cl_centers_stand_in_for_the_classifier_and_are_moved_by_both_losses():
    centers = make_centers(3, 4, seed=2, device=torch.device("cpu"))
    model, (_, metric, _) = attentive(centers, osm="centers", center_weight=5e-4, **TUNED)
    near = center_loss(model.feature(model.seen), LABELS, centers)
    assert metric.item() == pytest.approx(by_loops(model, centers, **TUNED) + 5e-4 * near.item(), rel=1e-4)
    (own,) = torch.autograd.grad(5e-4 * near, centers)
    metric.backward()
    assert not torch.allclose(centers.grad, own, atol=1e-3)
    assert model.classes.grad is None, "the metric loss leaves the classifier alone"


def test_attention_loss_in_the_reports_reading_and_in_its_codes():
    _, (_, plain, _) = attentive()
    model, (_, report, _) = attentive(attention_weight=2.0)
    wanted = {"weight": 0.0, "score": 0.0}
    for i in range(6):
        powers = [math.exp(x) for x in model.scores[i].tolist()]
        for t in range(2):
            wanted["weight"] += powers[t] / sum(powers) * bool(ERASED[i, t]) / 6
            wanted["score"] += model.scores[i, t].item() * bool(ERASED[i, t]) / 6
    assert report.item() == pytest.approx(plain.item() + 2 * wanted["weight"] / 2, rel=1e-5)  # 1 / N of 2 frames
    _, (_, code, _) = attentive(attention_weight=1.0, attention_scores="score", attention_reduction="sum")
    assert code.item() == pytest.approx(plain.item() + wanted["score"], rel=1e-5)


def test_losses_are_float32_inside_autocast():
    """bf16 touches the features alone: the losses are those of the rounded features, in float32."""
    changes = {"osm": "classifier", "attention_weight": 1.0, **TUNED}
    _, (_, exact, _) = attentive(**changes)
    model, (classification, metric, _) = attentive(precision="bf16", **changes)
    assert classification.dtype == metric.dtype == torch.float32 and torch.isfinite(metric)
    assert metric.item() == pytest.approx(exact.item(), rel=2e-2) and metric.item() != exact.item()
    metric.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_what_the_attention_losses_cannot_do_without():
    with pytest.raises(ValueError, match="attention_weight: the attention loss wants clips"):
        losses(attention_weight=1.0)
    with pytest.raises(ValueError, match="attention_weight: the attention loss wants clips"):
        attentive(attention_weight=1.0, erased=None)
    for changes, message in (
        ({"osm": "centers"}, "osm: 'centers' wants a center loss"),
        ({"osm": "classifier", "triplet_shard": 2}, "triplet_shard: the OSM loss takes the whole batch"),
        ({"osm_share": 1.2}, "osm_share: wants beta"),
        ({"osm": "proxy"}, "osm: wants one of"),
        ({"attention_weight": -1.0}, "attention_weight: wants a finite number"),
        ({"attention_scores": "map"}, "attention_scores: wants one of"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(OPTIONS, **changes)
