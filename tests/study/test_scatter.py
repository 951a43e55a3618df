"""How far the frames of a clip lie apart: by hand, and scikit-learn's silhouette."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reidlib.study import scatter


def clips(spread: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 1, 7, generator=generator) + spread * torch.randn(5, 6, 7, generator=generator)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_silhouette_is_scikit_learns(spread):
    sklearn = pytest.importorskip("sklearn.metrics")
    features = clips(spread)
    wanted = sklearn.silhouette_samples(features.flatten(0, 1).numpy(), np.repeat(np.arange(5), 6))
    assert scatter.silhouette(features).numpy() == pytest.approx(wanted.reshape(5, 6).mean(axis=1), abs=1e-5)


def test_silhouette_of_equal_points_is_0_not_nan():
    assert scatter.silhouette(torch.zeros(3, 4, 2)).tolist() == [0, 0, 0]


def test_ratio_by_hand():
    """Clips about 0 and 10 on a line, frames 1 to either side of them: 1 within, 10 between."""
    features = torch.tensor([[[-1.0], [1.0]], [[9.0], [11.0]]])
    assert scatter.ratio(features).tolist() == pytest.approx([0.1, 0.1])
    third = torch.cat([features, torch.full((1, 2, 1), 5.0)])
    assert scatter.ratio(third).tolist() == pytest.approx([1 / 7.5, 1 / 7.5, 0.0])
    assert scatter.ratio(3 * third + 2).tolist() == pytest.approx(scatter.ratio(third).tolist())


def test_the_picture_is_the_same_each_time_and_keeps_clips_together():
    pytest.importorskip("sklearn.manifold")
    features = clips(0.05)
    placed = scatter.embed(features)
    assert placed.shape == (5, 6, 2) and (placed == scatter.embed(features)).all()
    assert scatter.silhouette(torch.from_numpy(placed)).min() > 0.3
