"""The search: what it asks depends on what it was told and its seed alone, and nothing is tested before it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidlib.study import plans, search
from reidlib.study.data import TEST, VAL
from reidlib.study.recipes import attention
from reidlib.study.store import Entry


def made_up(known: int):
    """In place of the store: so many trials are done; the mAP is best at a certain sigma and beta."""

    def trial(study, number, values):
        score = 0.9 - (values["osm_sigma"] - 0.4) ** 2 - (values["osm_share"] - 0.2) ** 2
        done = Entry(Path(), {"metrics": {"mAP": score}}) if number < known else None
        return search.Trial(number, values, attention.trial(values, number), done)

    return trial


PINNED = [[0.5939, 0.001859], [0.7786, 0.7011], [0.4341, 0.2484]]  # sigma and margin of trials 0, 8 and 23


@pytest.fixture
def searched(monkeypatch, clip_study):
    monkeypatch.setattr(attention, "batches", lambda profile: 3)

    def after(known: int) -> search.Search:
        monkeypatch.setattr(search, "_trial", made_up(known))
        return search.search_of(clip_study)

    return after


def test_batches_follow_one_another_and_a_stopped_search_goes_on(searched):
    whole = searched(24)
    assert whole.finished and len(whole.trials) == whole.total == 24
    assert [trial.values for trial in searched(24).trials] == [trial.values for trial in whole.trials]
    for known, asked in ((0, 8), (5, 8), (8, 16), (20, 24)):
        part = searched(known)
        assert [trial.values for trial in part.trials] == [trial.values for trial in whole.trials[:asked]]
        assert not part.finished
        with pytest.raises(ValueError, match=f"search: {known} of 24 trials are done"):
            part.winner  # noqa: B018


def test_values_lie_in_the_space_and_the_best_wins(searched):
    whole = searched(24)
    for trial in whole.trials:
        for name, (low, high, _) in attention.SPACE.items():
            assert low <= trial.values[name] <= high and float(f"{trial.values[name]:.3e}") == trial.values[name]
            assert getattr(trial.recipe.training, name) == trial.values[name]
    scores = np.array([trial.value for trial in whole.trials])
    assert whole.best.value == scores.max() and scores[8:].mean() > scores[:8].mean(), "it learns from what it is told"
    assert whole.winner.training == attention.with_losses(whole.best.values).training
    assert whole.winner.held_out == 0 and all(trial.recipe.held_out for trial in whole.trials)


def test_suggestions_are_pinned(searched):
    """Other numbers, say from another optuna, are other trials: the published ones would not be found."""
    trials = searched(24).trials
    found = [[trials[number].values[name] for name in ("osm_sigma", "triplet_margin")] for number in (0, 8, 23)]
    assert found == PINNED


def test_the_journal_is_optunas_own(searched, tmp_path):
    optuna = search._optuna()
    path = searched(24).keep(tmp_path / "sub" / "a.journal")
    searched(24).keep(path)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="attention", storage=storage)
    assert len(study.trials) == 24 and study.best_value == pytest.approx(searched(24).best.value)
    assert not list(path.parent.glob(".*"))


def test_trials_through_the_store(clip_study):
    """One of five persons is held out: trained on four, ranked on the fifth; the winner is needed when all are done."""
    needs = plans._needs(clip_study, ["attention"], plans.Need)
    first = search.search_of(clip_study)
    assert [need.recipe for need in needs[-8:]] == [trial.recipe for trial in first.trials]
    assert all(need.seeds == (attention.SEED,) for need in needs[-8:])
    assert not any(TEST in [scene for _, scene in need.evaluations] for need in needs[-8:])
    for trial in first.trials:
        clip_study.evaluate(trial.recipe, attention.SEED, attention.OFFICIAL, VAL)
    found = search.search_of(clip_study)
    assert found.finished
    assert plans._needs(clip_study, ["attention"], plans.Need)[-1].recipe == found.winner
    run = clip_study.train(found.trials[0].recipe, attention.SEED)
    assert run.record["classes"] == 4
    gallery = clip_study.gallery(found.trials[0].recipe, attention.SEED, VAL)
    (held,) = set(gallery.query_labels["person"].tolist())
    trained = clip_study.data_for(found.trials[0].recipe, 0).training_rows("train")
    everyone = clip_study.data_of("mars").training_rows("train")
    assert held not in set(trained["person"]) and held in set(everyone["person"])
