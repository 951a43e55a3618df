"""What each chapter needs from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product

from reidlib.study import budgets
from reidlib.study.costs import CostNeed
from reidlib.study.data import EVALUATED, TEST, VAL, Scene
from reidlib.study.factorial import FactorialNeed
from reidlib.study.fused import fuse, fuse_key
from reidlib.study.fusing import RANKING, Fusion
from reidlib.study.long_tracklet import TOLD, MemoryNeed
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import along, along_ensemble, attention, guesses, ica, stronger, synthesis, vtrm
from reidlib.study.recipes.processing import Cell
from reidlib.study.runner import Study
from reidlib.study.search import search_of
from reidlib.study.store import Entry


@dataclass(frozen=True)
class Need:
    """One recipe, ranked in some ways in some scenes.

    features: scenes of which its features are wanted too, and published if this is a chapter's own need. audit: so is
    what its training images lost. examine: so is what is seen of a model of clips, see `reidlib.study.examining`.
    attend: so is what its attention and the classes of its OSM loss weigh, see `reidlib.study.attending`.
    seeds: of the runs; () are the profile's.
    """

    recipe: Recipe
    evaluations: tuple[tuple[Ranking, Scene], ...]
    features: tuple[Scene, ...] = ()
    audit: bool = False
    examine: bool = False
    attend: bool = False
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class FusionNeed:
    """Several recipes, fused in a scene; computed when their own needs are, as every need of JOINT.

    files: () or (RANKING,), the fused ranking, published with the record.
    """

    recipes: tuple[Recipe, ...]
    fusion: Fusion
    scene: Scene = VAL
    seeds: tuple[int, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def scenes(self) -> tuple[Scene, ...]:
        return (self.scene,)

    def find(self, study: Study, seed: int) -> Entry | None:
        key = fuse_key(study, self.recipes, seed, self.fusion, self.scene)
        return study.store.find("fuse", key, needs=next(iter(self.files), None))

    def compute(self, study: Study, seed: int) -> Entry:
        return fuse(study, self.recipes, seed, self.fusion, self.scene, needs=next(iter(self.files), None))


# What one process computes when the runs are there. Each has: recipes and scenes, whose features it reads; seeds, () of
# the profile; files, published with its record; find(study, seed), the entry or None; compute(study, seed), the entry.
JOINT = (FusionNeed, FactorialNeed, CostNeed, MemoryNeed)


def _all(rankings: Iterable[Ranking], scenes: Iterable[Scene] = (VAL,)) -> tuple[tuple[Ranking, Scene], ...]:
    return tuple(dict.fromkeys(product(rankings, scenes)))


def _mgn(study: Study) -> list[Need]:
    recipes = [*vtrm.table1().values(), *vtrm.as_written().values()]
    return [Need(recipe, _all([Ranking(), Ranking(rerank=True)])) for recipe in recipes]


def _vtrm(study: Study) -> list[Need]:
    tables = [vtrm.table2(aggregate, rerank) for aggregate in ("mean", "min") for rerank in (True, False)]
    rankings = [ranking for table in tables for ranking in table.values()]
    return [Need(vtrm.six_times(), _all(rankings), features=(VAL,))]


def _guesses(study: Study) -> list[Need]:
    return [
        Need(vtrm.six_times(), _all(rankings, [scene]))
        for scene, rankings in guesses.scenes().items()
        if study.data.spec is not None or not scene.knobs
    ]


def _fusion(study: Study) -> list[Need | FusionNeed]:
    models = vtrm.table3()
    needs: list[Need | FusionNeed] = [Need(recipe, _all([vtrm.LOCAL_2])) for recipe in models.values()]
    needs += [FusionNeed(tuple(models.values()), fusion) for fusion in vtrm.ensembles().values()]
    needs.append(explored(study))
    if study.data.has_labels("test"):
        needs += [Need(recipe, ((ranking, TEST),)) for recipe, ranking in vtrm.table4().values()]
        needs += [Need(recipe, _all([vtrm.LOCAL_1], [TEST])) for recipe in models.values()]
        needs += [FusionNeed(tuple(models.values()), Fusion(vtrm.LOCAL_1), TEST)]
    return needs


def explored(study: Study) -> FusionNeed:
    """The fusion that the explorer shows, with the seed that it shows."""
    fusion = vtrm.ensembles()[vtrm.ENSEMBLE]
    return FusionNeed(tuple(vtrm.table3().values()), fusion, seeds=study.profile.seeds[:1], files=(RANKING,))


def _along(study: Study) -> list[Need]:
    world = study.data.spec is not None
    settings = [*along.table1().values(), *along.alone().values(), *along.left_out().values()]
    needs = [Need(along.baseline(), (), audit=True)]
    needs += [Need(recipe, ((ranking, scene),)) for recipe, ranking, scene in settings]
    needs += [
        Need(recipe, _all([Ranking()]))
        for recipe in [*along.curations().values(), *along.augmentations().values(), *along.circles().values()]
        if world or not recipe.curation or recipe.curation.measure != "visible"
    ]
    full, ranking, flipped = along.setting(along.TRICKS)
    needs += [Need(full, tuple(along.post_processing().values()))]
    if world:
        scenes = [along.kits(similarity) for similarity in along.KITS]
        needs += [Need(recipe, _all(along.DISTANCES, scenes)) for recipe in (along.baseline(), full)]
        needs += [Need(recipe, ((Ranking(), scene),), audit=recipe.audit) for recipe, scene in along.crowded().values()]
    return needs


def _ensemble(study: Study) -> list[Need | FusionNeed]:
    full, ranking, flipped = along.setting(along.TRICKS)
    members, repeated = along_ensemble.ensemble(study.profile), along_ensemble.repetitions()
    pairs = along_ensemble.pairs(study.profile).values()
    singles = [*members, *repeated, *(recipe for pair in pairs for recipe in pair)]
    needs: list[Need | FusionNeed] = [Need(recipe, ((ranking, flipped),)) for recipe in singles]
    needs += [FusionNeed(recipes, along_ensemble.SUM, flipped) for recipes in (tuple(repeated), *pairs)]
    needs += [FusionNeed(tuple(members), fusion, flipped) for fusion in along_ensemble.ensembles().values()]
    if study.data.has_labels("test"):
        finals = [full, along.setting(along.TRICKS, train_on="trainval").recipe]
        needs += [Need(recipe, ((ranking, along.TEST_FLIPPED),)) for recipe in [*finals, *members]]
        needs += [FusionNeed(tuple(members), along_ensemble.SUM, along.TEST_FLIPPED)]
    return needs


def _stronger(study: Study) -> list[Need]:
    needs = []
    for benchmark in (stronger.MARKET, stronger.SYNERGY):
        scene = EVALUATED[benchmark]
        recipes = list(stronger.combinations(benchmark).values())
        recipes += [stronger.with_center(recipes[0]), stronger.with_center(recipes[-1])]
        if benchmark == stronger.MARKET:
            recipes += [stronger.squared(stronger.stronger(benchmark)), *stronger.margins(benchmark).values()]
        needs += [Need(recipe, ((Ranking(protocol=benchmark), scene),)) for recipe in recipes]
    rankings = [Ranking(), stronger.EXPANDED, stronger.PUBLISHED, stronger.FASTREID]
    scenes = [VAL, TEST] if study.data.has_labels("test") else [VAL]
    return needs + [Need(recipe, _all(rankings, scenes)) for recipe in stronger.submissions().values()]


def _ica(study: Study) -> list[Need | MemoryNeed]:
    needs = []
    for benchmark in ica.BENCHMARKS:
        recipes = [*ica.table1(benchmark).values(), *ica.table2(benchmark).values(), ica.model(benchmark, ica.NECK)]
        needs += [Need(recipe, (ica.own(benchmark),)) for recipe in recipes]
    needs += [Need(recipe, ((ica.COMMON, ica.own(ica.MARS)[1]),)) for recipe in ica.table1(ica.MARS).values()]
    opened = [*ica.variants().values(), ica.as_written(), ica.gated(), *ica.strengths().values()]
    needs += [Need(recipe, (ica.own(ica.MARS),)) for recipe in opened]
    needs += [Need(recipe, (ica.across(),)) for recipe in ica.table1(ica.ILIDS).values()]
    looked_at = [ica.model(ica.MARS, name) for name in (ica.BASELINE_SDA, ica.BOTH)]
    needs += [Need(recipe, (), examine=True) for recipe in [*looked_at, ica.model(ica.ILIDS, ica.BASELINE)]]
    long = MemoryNeed(ica.model(ica.MARS, ica.BOTH), study.profile.seeds[:1])
    return [*needs, long] if TOLD.exists() or long.find(study, study.profile.seeds[0]) else needs


def _attention(study: Study) -> list[Need]:
    own, test = attention.OFFICIAL, EVALUATED[attention.MARS]
    rankings = [replace(own, protocol=p, rerank=rerank) for p in attention.PROTOCOLS for rerank in (False, True)]
    needs = [Need(recipe, _all(rankings, [test])) for recipe in attention.table1().values()]
    two_cameras = attention.TWO_CAMERAS, EVALUATED[attention.PRID]
    needs += [Need(recipe, (two_cameras,)) for recipe in attention.table2().values()]
    opened = [*attention.readings().values(), *attention.untuned().values(), attention.without_neck()]
    needs += [Need(recipe, ((own, test),)) for recipe in opened]
    needs += [Need(recipe, (), attend=True) for recipe in attention.looked_at().values()]
    search = search_of(study)
    needs += [Need(trial.recipe, ((own, VAL),), seeds=(search.seed,)) for trial in search.trials]
    return needs + ([Need(search.winner, _all(rankings, [test]))] if search.finished else [])


def _synthesis(study: Study) -> list[Need | FusionNeed | FactorialNeed | CostNeed]:
    plain, market = Ranking(), Ranking(protocol=stronger.MARKET)
    parts = [synthesis.base(), synthesis.full(), *synthesis.added().values(), *synthesis.left_out().values()]
    needs = [Need(recipe, _all([plain])) for recipe in parts]
    needs += [FactorialNeed(), *(CostNeed(r, study.profile.seeds[:1]) for r in synthesis.models().values())]
    if study.data.spec is not None:
        scenes = [synthesis.shifted(knob, value) for knob, values in synthesis.SHIFTS.items() for value in values]
        for recipe, ranking, flip in synthesis.carried().values():
            own = [(ranking, replace(scene, flip=flip)) for scene in scenes]
            needs.append(Need(recipe, tuple(dict.fromkeys([*_all([plain], scenes), *own]))))
        for pair in [*synthesis.noisy().values(), *synthesis.sized(study.profile).values()]:
            needs += [Need(recipe, _all([plain])) for recipe in pair]
    crossing = [*synthesis.pedestrians().values(), stronger.strong(stronger.MARKET), stronger.stronger(stronger.MARKET)]
    needs += [Need(recipe, _all([market], [TEST])) for recipe in crossing]
    clips = [*synthesis.clips().values(), *synthesis.own_clips().values()]
    needs += [Need(recipe, (ica.own(ica.MARS),)) for recipe in clips]
    # The steps of the reports' tables, whose noise `reidlib.study.noise` takes.
    needs += [Need(recipe, ((ranking, scene),)) for recipe, ranking, scene in along.table1().values()]
    needs += [Need(recipe, _all([plain, Ranking(rerank=True)])) for recipe in vtrm.table1().values()]
    needs.append(Need(vtrm.six_times(), _all(vtrm.table2().values())))
    needs += [Need(make(stronger.SYNERGY), _all([plain])) for make in (stronger.strong, stronger.stronger)]
    return needs + _recommended(study)


def _recommended(study: Study) -> list[Need | FusionNeed]:
    """What the budgets' rule recommends, elsewhere: known when the validation split is done with."""
    if not budgets.ready(study):
        return []
    needs: list[Need | FusionNeed] = []
    asked: list[tuple[Cell, Scene]] = []
    found = budgets.recommended(study)
    if study.data.has_labels("test"):
        recipe, ranking, scene = along.setting(along.TRICKS)
        needs.append(Need(recipe, ((ranking, replace(scene, split="test")),)))
        asked += [(candidate.cell, TEST) for candidate in found.values() if candidate]
    if study.data.spec is not None and (best := found["unlimited"]):
        shifts = synthesis.SHIFTS.items()
        asked += [(best.cell, synthesis.shifted(knob, value)) for knob, values in shifts for value in values]
    models = synthesis.models()
    for cell, scene in dict.fromkeys(asked):
        recipes = tuple(models[name] for name in cell.models)
        if cell.fused:
            needs.append(FusionNeed(recipes, cell.fused, cell.scene(scene)))
        else:
            needs.append(Need(recipes[0], ((cell.ranking, cell.scene(scene)),)))
    return needs


def _worlds(study: Study) -> list[Need]:
    return []  # drawn from the spec


CHAPTERS: dict[str, Callable[[Study], list]] = {
    "worlds": _worlds,
    "mgn": _mgn,
    "vtrm": _vtrm,
    "guesses": _guesses,
    "fusion": _fusion,
    "along": _along,
    "ensemble": _ensemble,
    "stronger": _stronger,
    "ica": _ica,
    "attention": _attention,
    "synthesis": _synthesis,
}
