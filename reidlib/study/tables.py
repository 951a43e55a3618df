"""Tables of the book: the report's number beside ours, with intervals, verdicts and links to the records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reidlib.study.data import VAL, Scene
from reidlib.study.fused import fuse
from reidlib.study.fusing import Fusion
from reidlib.study.ranking import Gallery, Ranking, score
from reidlib.study.recipe import Recipe
from reidlib.study.reports import reported
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference, Finding, paired_difference, verdict
from reidlib.study.store import Entry


@dataclass(frozen=True)
class Result:
    """One cell of a table: a row under one ranking, an evaluation for each seed."""

    entries: Sequence[Entry]

    def values(self, metric: str = "mAP") -> np.ndarray:
        """(S,) mAP of each seed, or "cmc1" and the like, in percent."""
        return 100 * np.array([entry.record["metrics"][metric] for entry in self.entries])

    def per_query(self, metric: str = "average_precision") -> np.ndarray:
        """(S, m) a metric of each seed and query, as recorded, without the queries that have none."""
        found = np.array([entry.record["metrics"][metric] for entry in self.entries], dtype=float)
        return found[:, ~np.isnan(found).any(axis=0)]

    def minus(self, other: Result, metric: str = "average_precision") -> Difference:
        """The difference in mAP to another result, or in "rank1", in points."""
        return paired_difference(100 * self.per_query(metric), 100 * other.per_query(metric))


def result(study: Study, recipe: Recipe, ranking: Ranking, scene: Scene = VAL) -> Result:
    """A recipe under a ranking, one evaluation for each of the profile's seeds."""
    return Result([study.evaluate(recipe, seed, ranking, scene) for seed in study.profile.seeds])


def fused(study: Study, recipes: Sequence[Recipe], fusion: Fusion, scene: Scene = VAL) -> Result:
    """Several recipes fused, once for each of the profile's seeds."""
    return Result([fuse(study, recipes, seed, fusion, scene) for seed in study.profile.seeds])


@dataclass(frozen=True)
class Step:
    """A row against the row that it claims to improve: our difference, the report's, the verdict."""

    name: str
    ours: Difference
    reported: float

    @property
    def verdict(self) -> str:
        return verdict(self.reported, self.ours)


def steps(report: str, table: int, results: Mapping[tuple[str, str], Result]) -> dict[tuple[str, str], Step]:
    """Each (row, column) of a cumulative table against the row before it, from results in the table's order."""
    found, before = {}, {}
    for (row, column), ours in results.items():
        if column in before:
            quoted = reported(report, table, row, column) - reported(report, table, before[column], column)
            label = row + (" (re-ranked)" if column.endswith("+RK") else "")
            found[row, column] = Step(label, ours.minus(results[before[column], column]), quoted)
        before[column] = row
    return found


def step_cells(step: Step | None) -> list[str]:
    """Our difference with its interval, the report's, the verdict; empty for a table's first row."""
    return ["", "", ""] if step is None else [interval(step.ours), signed(step.reported), step.verdict]


def verdict_sentence(found: Sequence[Step], unit: str = "points of mAP") -> str:
    """The verdicts of a page in one bold line, rows by verdict, whichever way they fall."""
    parts = []
    for name in ("reproduced", "not distinguishable", "contradicted"):
        rows = [f"{step.name} {interval(step.ours)}" for step in found if step.verdict == name]
        parts.append(f"{name}: {len(rows)}" + (f" ({'; '.join(rows)})" if rows else ""))
    return (
        f"**Our verdict,** over {len(found)} comparisons, {unit} with 95 % intervals. "
        + ". ".join(part[0].upper() + part[1:] for part in parts)
        + "."
    )


def findings_sentence(found: Sequence[Finding], kind: str) -> str:
    """The verdicts on what a report guesses or claims in one bold line, by the letters of the findings."""
    parts = []
    for name in ("reproduced", "not distinguishable", "contradicted"):
        letters = [finding.letter for finding in found if finding.verdict == name]
        parts.append(f"{name.capitalize()}: {len(letters)}" + (f" ({', '.join(letters)})" if letters else "") + ".")
    return f"**Our verdict,** over {len(found)} {kind}. " + " ".join(parts)


def by_sign(differences: Mapping[str, Difference]) -> str:
    """ "2 add (GeM, IBN), 1 takes away (LGT), 3 are not distinguishable from 0": whose interval excludes 0, by name."""
    above, below = ([name for name, d in differences.items() if d.excludes_zero and s * d.mean > 0] for s in (1, -1))
    parts = []
    for names, one, more in ((above, "adds", "add"), (below, "takes away", "take away")):
        named = f" ({', '.join(names)})" if names else ""
        parts.append(f"{len(names)} {one if len(names) == 1 else more}{named}")
    rest = len(differences) - len(above) - len(below)
    return ", ".join([*parts, f"{rest} {'is' if rest == 1 else 'are'} not distinguishable from 0"])


def above_mean(of: Result, others: Sequence[Result]) -> Difference:
    """The difference in mAP to the mean of several results, in points."""
    mean = np.mean([other.per_query() for other in others], axis=0)
    return paired_difference(100 * of.per_query(), 100 * mean)


def by_members(of: Result) -> dict[int, Difference]:
    """What a sum of 2 .. K models gives above one of them, in points: means over the random subsets of its record."""
    curves = np.array([entry.record["metrics"]["curve"] for entry in of.entries], dtype=float)  # (S, K, m)
    curves = 100 * curves[:, :, ~np.isnan(curves).any(axis=(0, 1))]
    return {size: paired_difference(curves[:, size - 1], curves[:, 0]) for size in range(2, curves.shape[1] + 1)}


def votes(of: Result) -> np.ndarray:
    """(steps, K) share of queries, over all seeds, whose image at a step was chosen with 1 .. K votes."""
    counts = np.sum([entry.record["metrics"]["votes"] for entry in of.entries], axis=0)
    return counts / counts.sum(axis=1, keepdims=True)


def mean_sd(values: np.ndarray, digits: int = 1) -> str:
    """ "84.3 ± 0.6", or the value alone for one seed. The standard deviation is over seeds, with n - 1."""
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    mean = round(values.mean(), digits) + 0.0  # no negative zero
    return f"{mean:.{digits}f}{spread}".replace("-", "−")


def interval(difference: Difference, digits: int = 1) -> str:
    """ "+1.8 [+0.9, +2.7]"; a minus sign is a real one, and a dash stands for what is not defined."""
    if np.isnan(difference.mean):
        return "–"
    mean, low, high = (signed(x, digits) for x in (difference.mean, difference.low, difference.high))
    return f"{mean} [{low}, {high}]"


def signed(value: float, digits: int = 1) -> str:
    """ "+1.8", "−0.3" or "0.0"."""
    text = f"{value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", "−")


def paper(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def tau(of: Result) -> str:
    """Mean Kendall's tau to the true frame order ± standard deviation over seeds."""
    return mean_sd(of.per_query("kendall_tau").mean(axis=1), digits=2)


def tau_difference(of: Result, base: Result) -> str:
    """The difference in mean tau, with its interval."""
    return interval(paired_difference(of.per_query("kendall_tau"), base.per_query("kendall_tau")), digits=2)


def live(gallery: Gallery, ranking: Ranking) -> dict:
    """The metrics of one run under a ranking chosen on the page, computed now; arrays for values per query."""
    metrics = score(gallery, ranking)
    return {name: np.array(value, dtype=float) if isinstance(value, list) else value for name, value in metrics.items()}


def records(*results: Result) -> str:
    """Links to the records behind a row, one a seed; paths are relative to book/chapters."""
    entries = [entry for found in results for entry in found.entries]
    return " ".join(link(entry, str(number)) for number, entry in enumerate(entries, 1))


def link(entry: Entry, words: str) -> str:
    """A link to an entry's record; its path is relative to book/chapters."""
    return f"{{download}}`{words} <../records/{entry.record['stage']}/{entry.key}/record.json>`"


def bootstrap_words(seeds: Sequence[int]) -> str:
    """What the intervals of a table are made of, for its caption."""
    sources = f"queries and {len(seeds)} seeds" if len(seeds) > 1 else "queries alone: there is one seed"
    return f"differences in points with 95 % intervals of a paired bootstrap over {sources}"


def markdown(
    caption: str, name: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)
) -> str:
    """A MyST table with a caption and a label: numbered, and known to {numref} on every page.

    left: the columns of words; the others, of numbers, are aligned on the right.
    Cells and caption may have Markdown; what would be HTML, or another cell, in a name from elsewhere stays text.
    """
    caption, header, rows = _as_text(caption), [*map(_as_cell, header)], [[*map(_as_cell, row)] for row in rows]
    lines = [f"~~~~{{table}} {caption}", f":name: {name}", "", "| " + " | ".join(header) + " |"]
    lines.append("|" + "|".join(":--" if i in left else "--:" for i in range(len(header))) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "~~~~"])


def _as_text(words: str) -> str:
    """On one line, and without HTML, which cannot begin in code, a role or a link."""
    html = r"`[^`]*`|<(?!https?://)(?=[a-zA-Z/!?])"
    return re.sub(html, lambda found: "&lt;" if found[0] == "<" else found[0], " ".join(words.splitlines()))


def _as_cell(words: str) -> str:
    return _as_text(words).replace("|", "\\|")
