"""Decisions on training images and the set that comes of them, counted by hand and over random sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlib.curation import Curation, curate, decide, mean_losses

NAN = np.nan


def test_mean_losses_by_hand():
    losses = [[8.0, 8.0, 8.0, 8.0], [4.0, NAN, 4.0, 6.0], [1.0, 3.0, NAN, NAN], [3.0, NAN, NAN, NAN]]
    assert mean_losses(losses, 0.5).tolist() == [2.0, 3.0, 6.0, 7.0]  # the last two not drawn late: all epochs
    assert mean_losses(losses, 0.0).tolist() == [4.0, 5.5, 6.0, 7.0]
    assert mean_losses(losses, 0.99).tolist() == [3.0, 5.5, 6.0, 7.0]  # the last epoch is always late
    assert mean_losses(np.array([[2.0, 1.0]], np.float32), 0.9).tolist() == [2.0, 1.0]


@given(st.data())
def test_mean_losses_by_a_loop(data):
    epochs, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    since = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.7]))
    cells = st.one_of(st.just(NAN), st.floats(0, 10))
    losses = [[data.draw(cells) for _ in range(count)] for _ in range(epochs - 1)]
    losses.insert(data.draw(st.integers(0, epochs - 1)), [data.draw(st.floats(0, 10)) for _ in range(count)])
    first, wanted = min(round(since * epochs), epochs - 1), []
    for image in range(count):
        seen = [losses[e][image] for e in range(first, epochs) if losses[e][image] == losses[e][image]]
        seen = seen or [losses[e][image] for e in range(epochs) if losses[e][image] == losses[e][image]]
        wanted.append(sum(seen) / len(seen))
    assert mean_losses(losses, since) == pytest.approx(wanted)


def test_the_highest_losses_are_deleted_and_the_next_are_hard():
    losses = [0.1, 5.0, 0.3, 2.0, 0.2, 0.4, 1.0, 0.1, 0.1, 0.1]
    assert decide(losses, Curation(delete=0.1, hard=0.2)).tolist() == [
        "kept", "deleted", "kept", "hard", "kept", "kept", "hard", "kept", "kept", "kept",
    ]  # fmt: skip
    assert set(decide(losses, Curation())) == {"kept"}
    assert decide([1.0, 1.0], Curation(delete=0.5)).tolist() == ["kept", "deleted"]


def test_copies():
    labels = np.array([7, 7, 7, 9, 9, 9])
    decisions = ["kept", "hard", "deleted", "kept", "kept", "kept"]
    found = curate(labels, decisions, Curation(hard_copies=2, balance_to=6, balance_copies=1))
    # 7: image 0, image 1 three times, then up to 6 by copying 0 and 1; 9: three images and three copies
    assert found.index.tolist() == [0, 1, 1, 1, 0, 1, 3, 4, 5, 3, 4, 5]
    assert found.harder.tolist() == [False, True, True, True, True, True, False, False, False, True, True, True]


def test_copies_are_not_more_than_allowed():
    found = curate([1, 1], ["kept", "kept"], Curation(balance_to=20, balance_copies=5))
    assert np.bincount(found.index).tolist() == [6, 6]


def test_an_identity_is_never_left_with_one_image():
    found = curate([1, 1, 1, 2, 2], ["deleted", "deleted", "hard", "deleted", "deleted"], Curation())
    assert found.index.tolist() == [0, 2, 3, 4]
    assert found.harder.tolist() == [False, True, False, False]


@given(st.data())
def test_nothing_is_lost_but_what_is_deleted(data):
    count = data.draw(st.integers(4, 40))
    labels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    losses = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=count, max_size=count))
    curation = Curation(delete=0.2, hard=0.3, hard_copies=data.draw(st.integers(0, 3)), balance_copies=2)
    decisions = decide(losses, curation)
    found = curate(labels, decisions, curation)
    times = np.bincount(found.index, minlength=count)
    alone = np.isin(
        labels, [label for label in set(labels.tolist()) if (decisions[labels == label] != "deleted").sum() < 2]
    )
    assert (times[(decisions == "deleted") & ~alone] == 0).all()
    assert (times[decisions != "deleted"] >= 1).all()
    assert (times[decisions == "hard"] >= 1 + curation.hard_copies).all()
    assert all((times[labels == label] > 0).sum() >= min(2, (labels == label).sum()) for label in set(labels.tolist()))
    assert (decisions[found.index[~found.harder]] != "hard").all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delete": 1.0}, r"delete: wants a share in \[0, 1\)"),
        ({"delete": 0.6, "hard": 0.6}, "delete, hard: want at most 1 together"),
        ({"hard_copies": -1}, "hard_copies: wants an int >= 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Curation(**options)


def test_bad_input():
    with pytest.raises(ValueError, match="losses: want finite numbers"):
        decide([1.0, np.nan], Curation())
    with pytest.raises(ValueError, match="decisions: wants one for each"):
        curate([1, 2], ["kept"], Curation())
    with pytest.raises(ValueError, match="2 of 3 were never drawn"):
        mean_losses([[NAN, 1.0, NAN], [NAN, NAN, NAN]], 0.5)
    with pytest.raises(ValueError, match=r"losses: want shape \(epochs, images\), got \(2,\)"):
        mean_losses([1.0, 2.0], 0.5)
    with pytest.raises(ValueError, match=r"since: wants a share in \[0, 1\), got 1"):
        mean_losses([[1.0]], 1)
