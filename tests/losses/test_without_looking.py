"""Losses where values are not looked at, as on CUDA: the same numbers, and what is not finite comes out as NaN."""

from __future__ import annotations

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
