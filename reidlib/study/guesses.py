"""Report `vtrm`'s guesses as measurements: seven statements, each a number with an interval and a verdict.

What each one measures was written down here before any of it was looked at; Table 2 was known, of which (g) and one
side of (a) and of (d) are computed. A finding is signed so that the report's guess is a positive number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reidlib.study.data import VAL, Scene
from reidlib.study.ranking import AFTER
from reidlib.study.recipes import guesses, vtrm
from reidlib.study.runner import Study
from reidlib.study.statistics import Difference, Finding, bootstrap, order_agreement, paired_difference
from reidlib.study.store import Entry
from reidlib.study.tables import Result, findings_sentence, result

HIDDEN = 0.8  # a query of which less is visible counts as partly hidden


class Guesses:
    """The results behind the findings, by scene and variant; computed when the store lacks them."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.recipe = vtrm.six_times()

    def of(self, scene: Scene, name: str, aggregate: str = "mean") -> Result:
        """A row of Table 2 in a scene."""
        return result(self.study, self.recipe, vtrm.table2(aggregate)[name], scene)

    def gains(self, scene: Scene, name: str, base: str = "Baseline", aggregate: str = "mean") -> np.ndarray:
        """(S, m) points of average precision of a row above another, by seed and query."""
        return 100 * (self.of(scene, name, aggregate).per_query() - self.of(scene, base, aggregate).per_query())

    def gain(self, scene: Scene, name: str, base: str = "Baseline", aggregate: str = "mean") -> Difference:
        """The mean of `gains` with its interval."""
        return self.of(scene, name, aggregate).minus(self.of(scene, base, aggregate))

    def entries(self) -> list[Entry]:
        """The records behind all of it: every scene's rankings and the training runs."""
        seeds = self.study.profile.seeds
        found = [self.study.find_training(self.recipe, seed) for seed in seeds]
        for scene, rankings in guesses.scenes().items():
            if self.study.data.spec is not None or not scene.knobs:
                found += [self.study.evaluate(self.recipe, seed, r, scene) for r in rankings for seed in seeds]
        return found

    def every(self) -> list[Finding]:
        """All findings that the data allow; those that change a knob want a world."""
        asked: list[Callable[[], Finding]] = [self.wider, self.middle, self.contaminated, self.order]
        if self.study.data.spec is not None:
            asked += [self.frame_rate, self.background, self.occlusion]
        return sorted((ask() for ask in asked), key=lambda finding: finding.letter)

    def short_over_long(self, seconds: float) -> np.ndarray:
        """(S, m) points by which windows of 1 and 2 lie above windows of 5 and 10, at a frame interval."""
        scene = guesses.at_interval(seconds)
        short, long = ([self.gains(scene, f"Local-{n}") for n in windows] for windows in ((1, 2), (5, 10)))
        return np.mean(short, axis=0) - np.mean(long, axis=0)

    def frame_rate(self) -> Finding:
        fast, slow = guesses.INTERVALS[0], guesses.INTERVALS[-1]
        return Finding(
            "a",
            "that short windows win is related to the frame rate of the video, which is slow",
            f"mAP of Local-1 and -2 above Local-5 and -10: at {slow:g} s between frames, minus the same at {fast:g} s",
            "points",
            paired_difference(self.short_over_long(slow), self.short_over_long(fast)),
        )

    def contamination_rate(self, name: str, scene: Scene = VAL) -> tuple[np.ndarray, np.ndarray]:
        """(S, m) whether a walk met a wrong image before its true matches ran out, and the steps at risk of it."""
        found = self.of(scene, name)
        until, matches = found.per_query("until_wrong"), found.per_query("matches")
        return (until < matches).astype(float), np.minimum(until + 1, matches)

    def rate(self, name: str, scene: Scene = VAL) -> Difference:
        """First wrong images per 100 steps at risk."""
        return bootstrap(lambda mean: 100 * mean[:, 0] / mean[:, 1], self.contamination_rate(name, scene))

    def wider(self, scene: Scene = VAL) -> Finding:
        rows = [*self.contamination_rate("Local-10", scene), *self.contamination_rate("Local-1", scene)]
        return Finding(
            "b",
            "the larger the window, the more likely it is to introduce erroneous results",
            "first wrong images per 100 steps at risk: Local-10 minus Local-1",
            "per 100 steps",
            bootstrap(lambda mean: 100 * (mean[:, 0] / mean[:, 1] - mean[:, 2] / mean[:, 3]), rows),
        )

    def reference_gain(self, scene: Scene) -> np.ndarray:
        """(S, m) points by which w. ref lies above no reference, the mean over all windows."""
        return np.mean([self.gains(scene, f"Local-{n} w. ref", f"Local-{n}") for n in vtrm.WINDOWS], axis=0)

    def middle(self) -> Finding:
        gain = self.reference_gain(guesses.MIDDLE)
        return Finding(
            "c",
            "with a middle frame as the query, Local-N w. ref may perform better than Local-N",
            f"mAP of w. ref above no reference, mean over the windows, the query at frame {guesses.MIDDLE.query_frame}",
            "points",
            paired_difference(gain, np.zeros_like(gain)),
        )

    def walk_gain(self, scene: Scene) -> np.ndarray:
        """(S, m) points of Local-1 and -2 above the baseline, their mean."""
        return np.mean([self.gains(scene, name) for name in ("Local-1", "Local-2")], axis=0)

    def background(self) -> Finding:
        kept, removed = (self.walk_gain(guesses.with_backdrop(name)) for name in ("kept", "removed"))
        return Finding(
            "d",
            "the background can also help the walk",
            "gain in mAP of Local-1 and -2 over the baseline: background kept, minus background removed",
            "points",
            paired_difference(kept, removed),
        )

    def purity(self, name: str, scene: Scene = VAL) -> tuple[np.ndarray, np.ndarray]:
        """(S, m) right images among those after a walk's first wrong one, and how many of those were looked at."""
        entries = self.of(scene, name).entries
        after = np.array([entry.record["metrics"]["after_wrong"] for entry in entries], dtype=float)
        return np.nan_to_num(after), AFTER * np.isfinite(after).astype(float)

    def purity_after(self, name: str, scene: Scene = VAL) -> Difference:
        """`purity` as a percentage with its interval."""
        return bootstrap(lambda mean: 100 * mean[:, 0] / mean[:, 1], self.purity(name, scene))

    def contaminated(self, scene: Scene = VAL) -> Finding:
        until = [self.of(scene, name).per_query("until_wrong") for name in ("Local-1", "Global")]
        return Finding(
            "e",
            "Global is extremely easy to be contaminated",
            "right images before the first wrong one: Local-1 minus Global",
            "images",
            paired_difference(*until),
        )

    def hidden(self, scene: Scene) -> np.ndarray:
        """(S, m) 1 for a query that is partly hidden, else 0."""
        return (self.of(scene, "Baseline").per_query("visible") < HIDDEN).astype(float)

    def occlusion(self) -> Finding:
        gain, hidden = self.walk_gain(guesses.CROWDED), self.hidden(guesses.CROWDED)
        return Finding(
            "f",
            "the walk deals well with occlusion, of the query too",
            f"gain in mAP of Local-1 and -2 in the crowded world: queries under {HIDDEN:.0%} visible minus the others",
            "points",
            bootstrap(
                lambda mean: mean[:, 0] / mean[:, 1] - mean[:, 2] / mean[:, 3],
                [gain * hidden, hidden, gain * (1 - hidden), 1 - hidden],
            ),
        )

    def agreement(self, seconds: float, aggregates: Sequence[str]) -> Difference:
        """Kendall's tau-b of our order of Table 2's rows with the report's, under a reading or of one minus another."""
        quoted = vtrm.table2_reported()
        scene, count = guesses.at_interval(seconds), len(quoted)

        def statistic(means: np.ndarray) -> np.ndarray:
            found = [
                order_agreement(means[:, i : i + count], list(quoted.values())) for i in range(0, means.shape[1], count)
            ]
            return found[0] if len(found) == 1 else found[0] - found[1]

        rows = [self.of(scene, name, aggregate).per_query() for aggregate in aggregates for name in quoted]
        return bootstrap(statistic, rows)

    def order(self) -> Finding:
        return Finding(
            "g",
            "not said: are a window's distances combined by their mean or their minimum? (the mean is our reading)",
            "Kendall's τ between our order of Table 2's rows and the report's: by the mean, minus by the minimum",
            "τ",
            self.agreement(guesses.INTERVALS[0], ("mean", "min")),
        )


def by_visibility(
    gain: np.ndarray, visible: np.ndarray, edges: Sequence[float]
) -> Mapping[str, tuple[int, Difference]]:
    """The mean gain of the queries in each bin of the visible fraction: label -> (queries, points with interval).

    gain, visible: (S, m). A bin without queries is left out.
    """
    found = {}
    for low, high in zip(edges, edges[1:], strict=False):
        inside = ((visible >= low) & (visible < high)).astype(float)
        if inside.any():
            points = bootstrap(lambda mean: mean[:, 0] / mean[:, 1], [gain * inside, inside])
            found[f"{low:g} to {min(high, 1):g}"] = int(inside[0].sum()), points
    return found


def sentence(found: Sequence[Finding]) -> str:
    """The verdicts on the guesses in one bold line, by the rule of every other verdict."""
    return findings_sentence(found, "guesses")
