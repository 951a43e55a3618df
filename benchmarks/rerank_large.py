"""k-reciprocal re-ranking from features at the size of MSMT17's test split.

    python -m benchmarks.rerank_large [--queries 11659] [--gallery 82161] [--persons 3060]

Some of its rows are computed a second time, one by one and densely, from the same definition.
"""

from __future__ import annotations

import numpy as np

from benchmarks import arguments
from benchmarks.compare import Side, measure, row, write
from benchmarks.crowd import crowd
from reidlib.retrieval import rerank

DIMENSIONS = 512
K1, K2, LAMBDA = 20, 6, 0.3
CHECKED = 3  # query rows


class Lists:
    """Neighbour lists and distances of single images, each when it is asked for. x: (N, D), the queries first."""

    def __init__(self, x: np.ndarray):
        self.x, self.squares, self.kept = x, np.einsum("nd,nd->n", x, x, dtype=np.float64), {}

    def row(self, i: int) -> tuple[np.ndarray, float, np.ndarray]:
        """The nearest images of i, its largest distance, its distances (N,); what is nearest is measured in float64."""
        if i not in self.kept:
            rough = np.maximum(self.squares[i] + self.squares - 2 * (self.x @ self.x[i]), 0)
            near = np.sort(np.argpartition(rough, 200)[:200] if len(rough) > 200 else np.arange(len(rough)))
            exact = ((self.x[near].astype(np.float64) - self.x[i].astype(np.float64)) ** 2).sum(1)
            self.kept[i] = near[np.argsort(exact, kind="stable")][: K1 + 1], rough.max(), rough.astype(np.float32)
        return self.kept[i]

    def mutual(self, i: int, k: int) -> set[int]:
        return {int(j) for j in self.row(i)[0][: k + 1] if i in self.row(int(j))[0][: k + 1]}

    def encoding(self, i: int) -> dict[int, float]:
        own = self.mutual(i, K1)
        members = set(own)
        for j in own:
            candidate = self.mutual(j, round(K1 / 2))
            if 3 * len(candidate & own) > 2 * len(candidate):
                members |= candidate
        _, largest, distances = self.row(i)
        weights = {j: np.exp(-distances[j] / largest) for j in members}
        return {j: weight / sum(weights.values()) for j, weight in weights.items()}

    def averaged(self, i: int) -> dict[int, float]:
        out: dict[int, float] = {}
        for j in self.row(i)[0][:K2]:
            for member, weight in self.encoding(int(j)).items():
                out[member] = out.get(member, 0) + weight / K2
        return out

    def distance(self, i: int, j: int) -> float:
        mine, theirs = self.averaged(i), self.averaged(j)
        smaller = sum(min(weight, theirs.get(member, 0)) for member, weight in mine.items())
        _, largest, distances = self.row(i)
        return (1 - LAMBDA) * (1 - smaller / (2 - smaller)) + LAMBDA * distances[j] / largest


def ours(queries: int, gallery: int, persons: int):
    x, y, _, _ = crowd(queries, gallery, persons, DIMENSIONS)
    rerank.k_reciprocal(x[:2], y[:30])

    def work():
        found = rerank.k_reciprocal(x, y)
        return found[:CHECKED].numpy()

    return work


def largest_difference(got: np.ndarray, queries: int, gallery: int, persons: int, nearest: int = 3) -> float:
    """To the definition, over the checked rows' nearest images and a few others."""
    x, y, _, _ = crowd(queries, gallery, persons, DIMENSIONS)
    lists = Lists(np.concatenate([x, y]))
    told = []
    for i, found in enumerate(got):
        for j in [*np.argsort(found)[:nearest], len(found) // 2]:
            told.append(abs(lists.distance(i, queries + int(j)) - found[j]))
    return float(max(told))


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, peers=False, queries=11659, gallery=82161, persons=3060)
    size = (options.queries, options.gallery, options.persons)
    found = measure({"reidlib": Side(ours, size)}, 1)
    mine = found["reidlib"]
    checks = {f"the definition, {CHECKED} queries": largest_difference(mine.answer, *size)}
    assert max(checks.values()) < 1e-5, checks
    shown, work = f"{size[0]:,} × {size[1]:,}", f"k-reciprocal re-ranking, from features, {DIMENSIONS}-d"
    rows = [
        row(work, shown, "the clock", "under 4 minutes", mine.best / 60, "min", at_most=4, sides=found),
        row(f"{work}: memory in all", shown, "the memory", "under 6 GB", mine.total * 2**20 / 1e9, "GB", at_most=6,
            sides=found),
    ]
    write("rerank_large", 15, rows, options.out, checks={"largest difference of a distance": checks})


if __name__ == "__main__":
    main()
