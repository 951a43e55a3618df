"""The findings of the guesses page, from results made up so that the answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from reidlib.study.data import VAL, Scene, StudyData
from reidlib.study.guesses import Finding, Guesses, by_visibility, sentence
from reidlib.study.profile import load_profile
from reidlib.study.recipes import guesses, vtrm
from reidlib.study.statistics import Difference
from reidlib.study.store import Entry
from reidlib.study.tables import Result

QUERIES = 40


class MadeUp(Guesses):
    """Guesses whose results come from a function of (scene, variant, reading) instead of from runs."""

    def __init__(self, metrics):
        self.metrics = metrics
        self.study = SimpleNamespace(data=SimpleNamespace(spec=object()))

    def of(self, scene, name, aggregate="mean"):
        rng = np.random.default_rng(1)
        filled = {
            "average_precision": np.full(QUERIES, 0.5),
            "until_wrong": np.full(QUERIES, 5),
            "matches": np.full(QUERIES, 19),
            "after_wrong": np.full(QUERIES, 4),
            "visible": np.linspace(0, 1, QUERIES),
        } | self.metrics(scene, name, aggregate)
        entries = []
        for _ in range(3):
            values = {key: list(value) for key, value in filled.items()}
            values["average_precision"] = list(filled["average_precision"] + rng.normal(0, 1e-3, QUERIES))
            entries.append(Entry(None, {"metrics": values}))
        return Result(entries)


def precision(level):
    return {"average_precision": np.full(QUERIES, level)}


def window(name):
    return int(name.split()[0].removeprefix("Local-")) if name.startswith("Local") else 0


def knob(scene: Scene, name: str, default):
    return dict(scene.knobs).get(name, default)


def test_frame_rate_is_the_lead_of_short_windows_in_slow_video():
    def metrics(scene, name, aggregate):
        slow = knob(scene, "frame_interval", guesses.INTERVALS[0]) == guesses.INTERVALS[-1]
        return precision(0.6 if slow and window(name) in (1, 2) else 0.5)

    finding = MadeUp(metrics).frame_rate()
    assert finding.ours.mean == pytest.approx(10, abs=0.1)
    assert finding.verdict == "reproduced"
    assert MadeUp(lambda *_: precision(0.5)).frame_rate().verdict == "not distinguishable"


def test_contamination_rate_counts_steps_at_risk():
    """Half of the queries go wrong after 3 right images of 19, the rest never: 20 events in 20 x 4 + 20 x 19 steps."""
    until = np.where(np.arange(QUERIES) < 20, 3, 19)
    rate = MadeUp(lambda *_: {"until_wrong": until}).rate("Local-1")
    assert rate.mean == pytest.approx(100 * 20 / (20 * 4 + 20 * 19))


def test_larger_window_more_errors():
    finding = MadeUp(lambda s, name, a: {"until_wrong": np.full(QUERIES, 2 if window(name) == 10 else 9)}).wider()
    assert finding.ours.mean == pytest.approx(100 / 3 - 100 / 10)
    assert finding.verdict == "reproduced"


def test_middle_asks_the_middle_scene_alone():
    def metrics(scene, name, aggregate):
        return precision(0.5 + (scene == guesses.MIDDLE and name.endswith("ref")) * 0.02)

    finding = MadeUp(metrics).middle()
    assert finding.ours.mean == pytest.approx(2, abs=0.1) and finding.verdict == "reproduced"


def test_background_compares_gains_and_not_levels():
    def metrics(scene, name, aggregate):
        base = 0.4 if knob(scene, "backdrop", "kept") == "removed" else 0.8
        return precision(base + (0.05 if window(name) and base == 0.8 else 0.0))

    assert MadeUp(metrics).background().ours.mean == pytest.approx(5, abs=0.1)


def test_global_is_contaminated_earlier():
    finding = MadeUp(lambda s, name, a: {"until_wrong": np.full(QUERIES, 4 if name == "Global" else 9)}).contaminated()
    assert (finding.ours.mean, finding.verdict) == (5.0, "reproduced")


def test_purity_leaves_out_walks_without_an_error():
    after = [None] * 30 + [8] * 5 + [2] * 5
    assert MadeUp(lambda *_: {"after_wrong": after}).purity_after("Global").mean == pytest.approx(50)


def test_occlusion_is_the_gain_of_hidden_queries_above_the_others():
    def metrics(scene, name, aggregate):
        hidden = np.linspace(0, 1, QUERIES) < 0.8
        return {"average_precision": 0.5 + (window(name) > 0) * np.where(hidden, 0.01, 0.07)}

    finding = MadeUp(metrics).occlusion()
    assert finding.ours.mean == pytest.approx(-6, abs=0.1) and finding.verdict == "contradicted"


def test_order_of_the_reading_that_is_the_reports():
    quoted = vtrm.table2_reported()
    found = MadeUp(lambda s, name, a: precision((quoted[name] if a == "mean" else -quoted[name]) / 100))
    assert found.agreement(guesses.INTERVALS[0], ("mean",)).mean == pytest.approx(1, abs=0.15)
    assert found.order().ours.mean == pytest.approx(2, abs=0.3)


def test_visibility_bins():
    visible = np.tile([0.1, 0.6, 0.6, 1.0], (2, 1))
    gain = np.tile([4.0, 1.0, 3.0, 0.0], (2, 1))
    bins = by_visibility(gain, visible, (0.0, 0.5, 0.9, 0.95, 1.01))
    assert {label: (count, d.mean) for label, (count, d) in bins.items()} == {
        "0 to 0.5": (1, 4.0),
        "0.5 to 0.9": (2, 2.0),
        "0.95 to 1": (1, 0.0),
    }


def test_sentence_names_every_finding_once():
    def finding(letter, mean):
        return Finding(letter, "", "", "points", Difference(mean, mean - 1, mean + 1))

    text = sentence([finding("a", 3), finding("b", -3), finding("c", 0), finding("d", 2)])
    assert "over 4 guesses" in text
    assert "Reproduced: 2 (a, d). Not distinguishable: 1 (c). Contradicted: 1 (b)." in text


def test_a_scene_with_a_knob_holds_the_profiles_people_and_one_split():
    data = StudyData(load_profile("smoke"))
    spec = data.scene_spec(guesses.at_interval(1.0))
    assert (spec.frame_interval, spec.val_ids, spec.test_ids) == (1.0, 10, 0)
    assert data.scene_spec(Scene("test", knobs=(("occlusion", 0.8),))).val_ids == 0
    assert guesses.at_interval(guesses.INTERVALS[0]) == VAL == guesses.with_backdrop("kept")


def test_real_data_have_no_knobs():
    with pytest.raises(ValueError, match="frame_interval.*want a world and the data are real"):
        StudyData(load_profile("paper")).scene_spec(guesses.at_interval(1.0))
