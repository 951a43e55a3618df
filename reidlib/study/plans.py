"""What each chapter needs from the store: its recipes, its rankings, and whose features are published with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tqdm.auto import tqdm

from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import vtrm
from reidlib.study.runner import Study
from reidlib.study.store import Entry


@dataclass(frozen=True)
class Need:
    """One recipe under some rankings; publish_features when the chapter ranks its features anew."""

    recipe: Recipe
    rankings: tuple[Ranking, ...]
    publish_features: bool = False

    @property
    def cost(self) -> float:
        """Training cost in arbitrary units: epochs times branches, for the time left."""
        return self.recipe.training.epochs * (1 + len(self.recipe.model_options.get("parts", ())))


def _mgn() -> list[Need]:
    plain_and_reranked = (Ranking(rerank=False), Ranking(rerank=True))
    return [Need(recipe, plain_and_reranked) for recipe in vtrm.table1().values()]


def _vtrm() -> list[Need]:
    rankings = [*vtrm.table2("mean").values(), *vtrm.table2("min").values()]
    on_plain = [Ranking(), *(Ranking(vtrm=True, window=w, reference=r) for w in (1, 2) for r in (False, True))]
    return [Need(vtrm.six_times(), (*dict.fromkeys(rankings), *on_plain), publish_features=True)]


CHAPTERS: dict[str, Callable[[], list[Need]]] = {"mgn": _mgn, "vtrm": _vtrm}


def run(study: Study, chapters: list[str]) -> None:
    """Computes everything that the chapters need and the store lacks, with the time left."""
    jobs = [(need, seed) for seed in study.profile.seeds for chapter in chapters for need in CHAPTERS[chapter]()]
    form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} elapsed, {remaining} left"
    with tqdm(total=sum(need.cost for need, _ in jobs), desc=study.profile.profile, bar_format=form) as bar:
        for number, (need, seed) in enumerate(jobs, 1):
            bar.set_description(f"run {number} of {len(jobs)} ({need.recipe.row}, seed {seed})")
            for ranking in need.rankings:
                study.evaluate(need.recipe, seed, ranking)
            bar.update(need.cost)


def entries(study: Study, chapters: list[str]) -> Iterator[tuple[Entry, bool]]:
    """(entry, whether its features are published) for every record behind the chapters; all are in the store."""
    for chapter in chapters:
        for need in CHAPTERS[chapter]():
            for seed in study.profile.seeds:
                for ranking in need.rankings:
                    yield study.evaluate(need.recipe, seed, ranking), False
                yield study.features(need.recipe, seed), need.publish_features
                yield study.train(need.recipe, seed), False
