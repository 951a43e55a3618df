"""What the drawing of the metric spaces marks is true: found again with angles, loops and finite differences."""

from __future__ import annotations

from cmath import phase

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from reidlib.study.drawings import PERSONS, _hardest, _pulls, _spaces, metric_spaces


def by_hand(features: np.ndarray) -> dict[str, tuple[int, int]]:
    """Farthest positive and nearest negative of sample 0, the points as complex numbers."""
    points = [complex(*point) for point in features]
    far = {
        "distance": [abs(point - points[0]) for point in points],
        "angle": [abs(phase(point / points[0])) for point in points],
    }
    positives = [i for i in range(1, len(points)) if PERSONS[i] == PERSONS[0]]
    negatives = [i for i in range(1, len(points)) if PERSONS[i] != PERSONS[0]]
    return {
        metric: (max(positives, key=values.__getitem__), min(negatives, key=values.__getitem__))
        for metric, values in far.items()
    }


def test_the_metrics_disagree_before_batch_normalisation_and_agree_after():
    pooled, normalised, unit = _spaces()
    assert (pooled >= 0).all()
    torch_normalised = torch.nn.functional.batch_norm(torch.from_numpy(pooled), None, None, training=True, eps=1e-12)
    assert normalised == pytest.approx(torch_normalised.numpy())
    assert unit == pytest.approx(torch.nn.functional.normalize(torch_normalised).numpy())
    for features in (pooled, normalised, unit):
        assert _hardest(features) == by_hand(features)
    positives, negatives = zip(*_hardest(pooled).values())
    assert len(set(positives)) == len(set(negatives)) == 2
    assert all(len(set(_hardest(features).values())) == 1 for features in (normalised, unit))


def test_the_metrics_never_disagree_on_the_circle():
    for draw in np.random.default_rng(0).normal(size=(50, len(PERSONS), 2)):
        on_circle = _hardest(draw / np.linalg.norm(draw, axis=1, keepdims=True))
        assert on_circle["distance"] == on_circle["angle"] == _hardest(draw)["angle"] == by_hand(draw)["angle"]


@pytest.mark.parametrize("l2", [False, True])
def test_a_pull_is_the_steepest_descent_of_its_distance(l2):
    def unit(vector):
        return vector / np.linalg.norm(vector)

    feature, anchor = np.array([0.6, 1.9]), np.array([-1.0, -0.4])
    distances = (
        lambda f: np.linalg.norm(unit(f) - unit(anchor) if l2 else f - anchor),
        lambda f: -unit(f) @ unit(anchor),
    )
    found = _pulls(feature, anchor, l2=l2)
    for pull, distance in zip(found, distances):
        slope = [distance(feature + step) - distance(feature - step) for step in 1e-5 * np.eye(2)]
        assert pull == pytest.approx(-unit(np.array(slope)), abs=1e-6)
    assert (found[0] @ found[1] == pytest.approx(1)) == l2


def test_each_panel_says_what_was_found():
    figure = metric_spaces()
    said = [axis.get_xlabel() for axis in figure.axes]
    plt.close(figure)
    names = ["a", "p_1", "p_2", "n_1", "n_2", "n_3", "n_4"]
    for text, features in zip(said, _spaces(), strict=True):
        for metric, (positive, negative) in by_hand(features).items():
            assert f"hardest by {metric}: ${names[positive]}$ and ${names[negative]}$" in text
    assert [": 0° apart" in text for text in said] == [False, False, True]
