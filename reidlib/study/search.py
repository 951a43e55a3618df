"""A search for hyperparameters through the store: every trial is a recipe, trained and ranked as any other run.

Trials come in batches, those of a batch side by side. What a batch asks for is a function of what came of the batches
before it and of the seed, so a search that was stopped goes on where it was, and one that is finished is only read.
The test split takes no part in it: trials are ranked on training persons who were held out.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from reidlib.data.paths import data_home
from reidlib.study.data import VAL
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import attention
from reidlib.study.runner import Study
from reidlib.study.store import Entry

NAME = "attention"
DIGITS = 4  # of a value that is tried: the last bits of a suggestion are a machine's, and would be part of a key


@dataclass(frozen=True)
class Trial:
    """number, from 0; values: fields of TrainingOptions; evaluation: on the held-out persons, None if still to come."""

    number: int
    values: Mapping[str, float]
    recipe: Recipe
    evaluation: Entry | None

    @property
    def value(self) -> float:
        """mAP on the held-out persons, in percent."""
        return 100 * self.evaluation.record["metrics"]["mAP"]


@dataclass(frozen=True)
class Search:
    """What is known of a search: its trials so far, the last batch perhaps without their evaluations."""

    trials: tuple[Trial, ...]
    total: int
    seed: int
    storage: Any  # optuna's, with the same trials

    @property
    def finished(self) -> bool:
        return len(self.trials) == self.total and all(trial.evaluation for trial in self.trials)

    @property
    def best(self) -> Trial:
        """The trial with the highest mAP on the held-out persons, the earlier one of equals.

        Raises ValueError before the search is finished: the winner is frozen before anything is tested.
        """
        if not self.finished:
            done = sum(trial.evaluation is not None for trial in self.trials)
            raise ValueError(f"search: {done} of {self.total} trials are done; `reid study` trains the others")
        return max(self.trials, key=lambda trial: (trial.value, -trial.number))

    @property
    def winner(self) -> Recipe:
        """The recipe of the best trial's values at full length, on all training persons."""
        return attention.winner(self.best.values)

    def keep(self, path: Path | None = None) -> Path:
        """Writes the search as an optuna journal, which optuna-dashboard and optuna's own plots read; returns its path.

        path: None is searches/attention.journal in the data folder. What is there is replaced.
        """
        optuna = _optuna()
        storages = optuna.storages
        path = path or data_home() / "searches" / "attention.journal"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            optuna.copy_study(
                from_study_name=NAME,
                from_storage=self.storage,
                to_storage=storages.JournalStorage(storages.journal.JournalFileBackend(str(temporary))),
            )
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path


def search_of(study: Study) -> Search:
    """Report `attention`'s search at a profile's scale, as far as the store knows what came of it.

    Tree-structured Parzen estimator, each batch with a seed of its own; the trials of a batch that wait for their
    results count as bad ones (a "constant liar"), so that they keep apart.
    """
    optuna = _optuna()
    storage = optuna.storages.InMemoryStorage()
    sampled = optuna.create_study(study_name=NAME, direction="maximize", storage=storage)
    found: list[Trial] = []
    batches = attention.batches(study.profile)
    for batch in range(batches):
        sampled.sampler = optuna.samplers.TPESampler(
            seed=attention.SEED + batch, n_startup_trials=attention.BATCH, constant_liar=True
        )
        asked = [sampled.ask() for _ in range(attention.BATCH)]
        new = [_trial(study, one.number, _suggested(one)) for one in asked]
        found += new
        if any(trial.evaluation is None for trial in new):
            break
        for one, trial in zip(asked, new, strict=True):
            sampled.tell(one, trial.value)
    return Search(tuple(found), batches * attention.BATCH, attention.SEED, storage)


def _optuna() -> ModuleType:
    """optuna without its news; imported here alone, because one chapter needs it and a user may do without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tqdm's, that a notebook has no widgets
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _suggested(one: Any) -> dict[str, float]:
    """An optuna trial's values for the whole space, to DIGITS significant digits."""
    values = {name: one.suggest_float(name, low, high, log=log) for name, (low, high, log) in attention.SPACE.items()}
    return {name: float(f"{value:.{DIGITS - 1}e}") for name, value in values.items()}


def _trial(study: Study, number: int, values: Mapping[str, float]) -> Trial:
    recipe = attention.trial(values, number)
    key = study.evaluate_key(recipe, attention.SEED, attention.OFFICIAL, VAL)
    return Trial(number, values, recipe, study.store.find("evaluate", key))
