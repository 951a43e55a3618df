"""Losses where values are not looked at, as in training on CUDA: the same numbers; what is not finite comes as NaN."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from reidlib.losses import (
    _check,
    attention_loss,
    center_loss,
    circle_logits,
    circle_loss,
    cross_entropy,
    osm_loss,
    triplet_loss,
    without_waiting,
)

LABELS = torch.arange(4).repeat_interleave(2)
LOSSES = {
    "triplet": lambda x: triplet_loss(x, LABELS),
    "triplet, soft margin": lambda x: triplet_loss(x, LABELS, margin=0, distance="cosine"),
    "triplet, two shards": lambda x: triplet_loss(x, LABELS, shards=2, distance="squared"),
    "triplet, an anchor alone": lambda x: triplet_loss(x, torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])),
    "circle": lambda x: circle_loss(x, LABELS),
    "circle of classes": lambda x: cross_entropy(
        circle_logits(torch.nn.functional.normalize(x, dim=1) @ torch.eye(6)[:, :4], LABELS), LABELS
    ),
    "center": lambda x: center_loss(x, LABELS, torch.ones(4, 6)),
    "osm": lambda x: osm_loss(x, LABELS, torch.eye(4, 6)),
    "attention": lambda x: attention_loss(x.softmax(dim=1), torch.arange(48).view(8, 6) % 5 == 0),
}


def features() -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(LOSSES))
def test_same_loss_and_gradient(name, monkeypatch):
    found = []
    for looks in (True, False):
        monkeypatch.setattr(_check, "looks_at", lambda tensor, looks=looks: looks)
        x = features().requires_grad_()
        loss = LOSSES[name](x)
        loss.backward()
        found.append((loss.detach(), x.grad))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("name", list(LOSSES))
def test_not_a_number_comes_through(name, monkeypatch):
    monkeypatch.setattr(_check, "looks_at", lambda tensor: False)
    x = features()
    x[3, 2] = torch.nan
    assert LOSSES[name](x).isnan().all()


def test_no_anchor_is_not_a_number(monkeypatch):
    monkeypatch.setattr(_check, "looks_at", lambda tensor: False)
    assert triplet_loss(features(), torch.arange(8)).isnan()


def test_values_are_looked_at_but_on_cuda_where_nobody_is_to_wait():
    on_cuda, on_cpu = SimpleNamespace(is_cuda=True), SimpleNamespace(is_cuda=False)
    assert _check.looks_at(on_cuda) and _check.looks_at(on_cpu)
    with without_waiting():
        assert not _check.looks_at(on_cuda) and _check.looks_at(on_cpu)
    assert _check.looks_at(on_cuda)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="wants CUDA")
def test_a_loss_by_itself_refuses_on_cuda_too():
    x = features().cuda()
    x[3, 2] = torch.nan
    with pytest.raises(ValueError, match="features: want finite numbers"):
        triplet_loss(x, LABELS.cuda())
    with without_waiting():
        assert triplet_loss(x, LABELS.cuda()).isnan()
