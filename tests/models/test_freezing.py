"""A frozen body stands still: weights, batch statistics and gradients, whatever the loop calls."""

import copy

import pytest
import torch
from torch import nn

from reidlib.models import Heads, build, set_frozen


def tiny(name):
    torch.manual_seed(0)
    return build(name, num_classes=5, backbone="resnet18_ibn", width=0.125)


def step(model, optimiser):
    heads = model(torch.randn(4, 3, 64, 32))
    optimiser.zero_grad()
    sum(x.square().sum() for x in (*heads.logits, *heads.metric_features)).backward()
    optimiser.step()


def state(modules):
    return copy.deepcopy([v for module in modules for v in module.state_dict().values()])


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", ["mgn", "baseline"])
@pytest.mark.parametrize("optimiser_type", [torch.optim.Adam, torch.optim.SGD])
def test_frozen_body_does_not_move_and_thaws(name, optimiser_type):
    model = tiny(name).train()
    optimiser = optimiser_type(model.parameters(), lr=0.01, weight_decay=0.1)
    step(model, optimiser)                              # so that momentum and the statistics are not the first ones
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}

    set_frozen(model, True)
    body, head = state(model.freezable()), getattr(model, "head", None) or model.stripe_heads[2][2]
    classifier = head.classify.weight.detach().clone()
    optimiser.step()                                    # a gradient left over must not be applied either
    assert same(body, state(model.freezable()))
    for _ in range(2):
        model.train()
        set_frozen(model, True)
        assert model.training
        step(model, optimiser)
    assert same(body, state(model.freezable()))
    assert not torch.equal(classifier, head.classify.weight)
    assert all(p.grad is None for part in model.freezable() for p in part.parameters())

    set_frozen(model, False)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == trainable    # BNNeck's shift stays frozen
    assert all(m.training for m in model.modules())
    step(model, optimiser)
    moved = state(model.freezable())
    assert not any(torch.equal(a, b) for a, b in zip(body, moved, strict=True))


def test_batch_normalisation_stays_in_eval_mode_through_train_and_eval():
    model = tiny("mgn")
    set_frozen(model, True)
    for mode in (True, False, True):
        model.train(mode)
        frozen = [m for part in model.freezable() for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
        assert frozen and not any(m.training for m in frozen)
        assert all(head.neck.training == mode for head in model.global_heads)
        assert isinstance(model(torch.randn(2, 3, 64, 32)), Heads if mode else torch.Tensor)


def test_freezing_in_eval_mode_leaves_the_model_in_eval_mode():
    model = tiny("baseline").eval()
    set_frozen(model, True)
    set_frozen(model, False)
    assert not any(m.training for m in model.modules())


def test_the_heads_are_what_is_not_frozen():
    mgn = tiny("mgn")
    frozen = {id(p) for part in mgn.freezable() for p in part.parameters()}
    left = {n.split(".")[0] for n, p in mgn.named_parameters() if id(p) not in frozen}
    assert left == {"global_heads", "stripe_heads"}
