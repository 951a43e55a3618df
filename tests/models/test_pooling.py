"""Pooling against slow loops in double precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from reidlib.models.pooling import AveragePooling, GeM, horizontal_stripes, pooling


def gem_by_loop(x, p, eps=1e-6):
    result = torch.empty(x.shape[:2], dtype=torch.float64)
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            values = [max(v, eps) ** p for v in x[b, c].double().flatten().tolist()]
            result[b, c] = (sum(values) / len(values)) ** (1 / p)
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("p", [1.0, 3.0, 6.5])
def test_gem_is_the_generalised_mean(p, dtype):
    torch.manual_seed(0)
    x = (5 * torch.randn(2, 3, 4, 5)).to(dtype)
    ours = GeM(p)(x)
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(ours.double(), gem_by_loop(x, p), rtol=1e-5, atol=1e-6)


def test_gem_with_p_1_is_the_average():
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(GeM(1.0)(x), AveragePooling()(x))


def test_gem_has_one_trainable_p_with_the_right_gradient():
    gem = GeM().double()
    assert [(p.shape, p.item()) for p in gem.parameters()] == [((), 3.0)]
    x = (0.1 + torch.rand(2, 2, 3, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, p: torch.func.functional_call(gem, {"p": p}, x), (x, gem.p))


@pytest.mark.parametrize("p", [1.0, 3.0, 8.0, 30.0])
def test_gem_survives_dead_channels_and_large_values(p):
    x = torch.zeros(1, 2, 4, 4)
    x[0, 1] = 1e4
    x.requires_grad_()
    gem = GeM(p)
    pooled = gem(x)
    pooled.sum().backward()
    torch.testing.assert_close(pooled.detach(), torch.tensor([[1e-6, 1e4]]))
    assert x.grad.isfinite().all() and gem.p.grad.isfinite()


@given(height=st.integers(1, 25), parts=st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_stripes_have_the_boundaries_of_adaptive_pooling(height, parts):
    x = torch.arange(2 * 3 * height * 2, dtype=torch.float64).sin().view(2, 3, height, 2)
    stripes = horizontal_stripes(x, parts)
    assert len(stripes) == parts
    average = torch.stack([AveragePooling()(stripe) for stripe in stripes], dim=2)
    torch.testing.assert_close(average, F.adaptive_avg_pool2d(x, (parts, 1))[..., 0])
    cubes = F.adaptive_avg_pool2d(x.clamp(min=1e-6) ** 3, (parts, 1))[..., 0]
    gem = torch.stack([GeM()(stripe) for stripe in stripes], dim=2)
    torch.testing.assert_close(gem.double(), cubes ** (1 / 3), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("height, parts", [(16, 3), (2, 3), (1, 4), (7, 2), (24, 4)])
def test_stripes_of_awkward_heights_by_loop(height, parts):
    rows = torch.arange(height).view(1, 1, height, 1)
    got = [stripe.flatten().tolist() for stripe in horizontal_stripes(rows, parts)]
    wanted = [list(range(math.floor(i * height / parts), math.ceil((i + 1) * height / parts))) for i in range(parts)]
    assert got == wanted
    assert {row for stripe in got for row in stripe} == set(range(height))


def test_pooling_by_name():
    assert isinstance(pooling("gem"), GeM) and isinstance(pooling("average"), AveragePooling)
    with pytest.raises(ValueError, match="pooling: 'max' is none of gem, average"):
        pooling("max")
