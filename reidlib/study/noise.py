"""The steps of the reports' tables on SynergyReID, each with the noise of our own two rows of the same names."""

from __future__ import annotations

from dataclasses import dataclass

from reidlib.study import power
from reidlib.study.power import Components, components
from reidlib.study.ranking import Ranking
from reidlib.study.recipes import along, stronger, vtrm
from reidlib.study.reports import reported
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference
from reidlib.study.tables import Result, result

TRAINED, RANKED = "two trainings", "two rankings of one run"


@dataclass(frozen=True)
class Claimed:
    """A step that a report's table shows on the validation split, and our two rows for it.

    kind: whether TRAINED apart, so that each row has its own chance, or RANKED differently only.
    """

    report: str
    row: str
    kind: str
    reported: float
    with_it: Result
    without: Result

    @property
    def ours(self) -> Difference:
        return self.with_it.minus(self.without)

    @property
    def noise(self) -> Components:
        """Raises ValueError with one seed."""
        return components(100 * (self.with_it.per_query() - self.without.per_query()))

    @property
    def margin(self) -> float:
        """What a table of the reports' size, REPORTS_QUERIES and one seed, shows of no difference at all, at most."""
        return power.margin(self.noise)

    @property
    def within_noise(self) -> bool:
        return abs(self.reported) <= self.margin


def claimed(study: Study) -> list[Claimed]:
    """Tables 1 of `along` and `vtrm`, Tables 2 of `vtrm` and `stronger`: each row and what it claims to improve."""
    found = []
    before = None
    for row, (recipe, ranking, scene) in along.table1().items():
        now = row, recipe, result(study, recipe, ranking, scene)
        if before:
            kind = RANKED if study.train_key(recipe, 0) == study.train_key(before[1], 0) else TRAINED
            quoted = reported("along", 1, row, "mAP") - reported("along", 1, before[0], "mAP")
            found.append(Claimed("along", row, kind, quoted, now[2], before[2]))
        before = now
    for column, ranking in (("mAP", Ranking()), ("mAP +RK", Ranking(rerank=True))):
        rows = {row: result(study, recipe, ranking) for row, recipe in vtrm.table1().items()}
        for row, base in zip(list(rows)[1:], rows, strict=False):
            quoted = reported("vtrm", 1, row, column) - reported("vtrm", 1, base, column)
            found.append(Claimed("vtrm", f"{row}, {column}", TRAINED, quoted, rows[row], rows[base]))
    quoted = vtrm.table2_reported()
    walks = {row: result(study, vtrm.six_times(), ranking) for row, ranking in vtrm.table2().items()}
    base, *others = walks
    found += [Claimed("vtrm", row, RANKED, quoted[row] - quoted[base], walks[row], walks[base]) for row in others]
    strong, best = (
        result(study, recipe, Ranking())
        for recipe in (stronger.strong(stronger.SYNERGY), stronger.stronger(stronger.SYNERGY))
    )
    gain = reported("stronger", 2, "mAP", stronger.STRONGER) - reported("stronger", 2, "mAP", stronger.STRONG)
    return [*found, Claimed("stronger", stronger.STRONGER, TRAINED, gain, best, strong)]


def typical(of: list[Claimed]) -> dict[str, Components]:
    """The median components of each kind of step."""
    return {kind: power.median([one.noise for one in of if one.kind == kind]) for kind in (TRAINED, RANKED)}
