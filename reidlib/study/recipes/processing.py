"""The synthesis' post-processing: every choice of flip, expansion, re-ranking, walk and fusion, in orders that differ.

Nothing is trained for it. Expansion averages features and so comes before all distances; the walk reads an order and so
comes last. What is left to choose is where several models become one: their distances are added before the re-ranking
or after it, in either case before the walk, or their finished rankings vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from reidlib.study.data import VAL, Scene
from reidlib.study.fusing import Fusion
from reidlib.study.ranking import Ranking
from reidlib.study.recipes import along, synthesis

STEPS = ("flip", "AQE", "re-ranking", "walk")
ALONE, SUM, EARLY, VOTE = "one model", "sum of distances", "sum, then re-ranked", "vote"


@dataclass(frozen=True)
class Cell:
    """Models by their names in `synthesis.models`, the steps taken, of STEPS, and how several models are fused."""

    models: tuple[str, ...]
    steps: tuple[str, ...]
    fusion: str = ALONE

    @property
    def ranking(self) -> Ranking:
        """Re-ranking and expansion as report `along` has them, the walk as report `vtrm`: Local-1."""
        ranking = along.REPORT_RERANK if "re-ranking" in self.steps else Ranking()
        ranking = replace(ranking, **along.EXPANSION) if "AQE" in self.steps else ranking
        return replace(ranking, vtrm=True, window=1) if "walk" in self.steps else ranking

    @property
    def fused(self) -> Fusion | None:
        """None for one model."""
        if self.fusion == ALONE:
            return None
        if self.fusion == VOTE:
            return Fusion(self.ranking, ties_by="reranked" if "re-ranking" in self.steps else "plain")
        return Fusion(self.ranking, method="sum", rerank_after=self.fusion == EARLY)

    def scene(self, asked: Scene = VAL) -> Scene:
        """A scene with the cell's own flip."""
        return replace(asked, flip="flip" in self.steps)

    @property
    def name(self) -> str:
        models = " & ".join(self.models) + (f" ({self.fusion})" if len(self.models) > 1 else "")
        return ", ".join([models, *self.steps])

    def config(self) -> dict[str, Any]:
        """As JSON values, for a key."""
        return {name: list(x) if isinstance(x, tuple) else x for name, x in asdict(self).items()}


def choices(steps: Sequence[str] = STEPS) -> list[tuple[str, ...]]:
    """Every subset of the steps, in their order."""
    return [
        tuple(step for step, taken in zip(steps, mask, strict=True) if taken)
        for mask in product((False, True), repeat=len(steps))
    ]


def cells() -> list[Cell]:
    """All of them: each model alone under every choice, and the members fused in every way that the choice leaves."""
    found = [Cell((model,), taken) for model in synthesis.models() for taken in choices()]
    for taken in choices():
        found += [Cell(synthesis.MEMBERS, taken, fusion) for fusion in (SUM, VOTE)]
        if "re-ranking" in taken and "walk" not in taken:  # a `Fusion` adds before re-ranking without the walk alone
            found.append(Cell(synthesis.MEMBERS, taken, EARLY))
    return found
