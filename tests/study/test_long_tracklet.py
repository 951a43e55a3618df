"""MARS's longest tracklet passes in memory that it does not fill."""

from __future__ import annotations

import pytest

from reidlib.study import long_tracklet
from reidlib.study.profile import load_profile
from reidlib.study.recipes import ica
from reidlib.study.runner import Study
from reidlib.study.store import Store

pytestmark = pytest.mark.skipif(not long_tracklet.TOLD.exists(), reason="a process's peak is told by Linux's /proc")


def test_920_frames_take_little_more_than_128():
    found = long_tracklet.peak_memory(ica.model(ica.MARS, ica.BOTH), load_profile("smoke"))
    assert found["in parts"] < found["short"] + 6 < found["at once"]  # MiB


def test_bad_lengths_are_refused():
    with pytest.raises(ValueError, match="frames: wants a tracklet of 1 to 100000 frames, got 0"):
        long_tracklet.peak_memory(ica.model(ica.MARS, ica.BOTH), load_profile("smoke"), 0)


def test_the_sentence_is_of_the_record(tmp_path):
    study, recipe = Study(load_profile("smoke"), Store(tmp_path)), ica.model(ica.MARS, ica.BOTH)
    need = long_tracklet.MemoryNeed(recipe, (0,))
    assert need.find(study, 0) is None
    entry = need.compute(study, 0)
    assert need.find(study, 0).key == entry.key and set(entry.record["mib"]) == {"short", "in parts", "at once"}
    found, said = entry.record["mib"], long_tracklet.sentence(study, recipe)
    assert f" {found['in parts']:.0f} MiB where at most 128 " in said
    assert f" {found['at once']:.0f} MiB where all" in said
    assert need.compute(study, 0).record["mib"] == found, "not measured again"
    assert f"../records/memory/{entry.key}/record.json" in said
