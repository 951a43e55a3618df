"""MARS's longest tracklet passes in memory that it does not fill."""

from __future__ import annotations

import pytest

from reidlib.study import long_tracklet
from reidlib.study.profile import load_profile
from reidlib.study.recipes import ica

pytestmark = pytest.mark.skipif(not long_tracklet.TOLD.exists(), reason="a process's peak is told by Linux's /proc")


def test_920_frames_take_little_more_than_128():
    found = long_tracklet.peak_memory(ica.model(ica.MARS, ica.BOTH), load_profile("smoke"))
    assert found["in parts"] < found["short"] + 6 < found["at once"]  # MiB


def test_bad_lengths_are_refused():
    with pytest.raises(ValueError, match="frames: wants a tracklet of 1 to 100000 frames, got 0"):
        long_tracklet.peak_memory(ica.model(ica.MARS, ica.BOTH), load_profile("smoke"), 0)
