"""k-reciprocal re-ranking against torchreid's and the dense method, from distances, from features, and all rows.

    python -m benchmarks.rerank [--torchreid FOLDER] [--queries 468] [--gallery 8703] ...
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import arguments, dense
from benchmarks.compare import Side, measure, ratio, row, write
from benchmarks.crowd import crowd, lattice, squared
from benchmarks.peers import torchreid, torchreid_name
from reidlib.retrieval import rerank

DIMENSIONS = 2048

PAGE = 4 / 1024  # MiB, the least that is seen of a memory


def parts(queries: int, gallery: int, seed: int = 0):
    """Squared distances of a crowd, as float32: (m, m), (m, n), (n, n)."""
    x, y, _, _ = crowd(queries, gallery, max(2, queries), 64, seed)
    return squared(x, x), squared(x, y), squared(y, y)


def ours(queries: int, gallery: int):
    work = of_rows(queries, gallery, "query")
    return lambda: work().numpy()


def of_rows(queries: int, gallery: int, rows: str):
    """From distances, the answer for `rows`; kept from the pipe between processes when it is two matrices."""
    given = parts(queries, gallery)
    small = crowd(5, 40, 5, 8)[:2]
    rerank.k_reciprocal_from_distances(squared(small[0], small[0]), squared(*small), squared(small[1], small[1]))

    def work():
        found = rerank.k_reciprocal_from_distances(*given, rows=rows)
        return found if rows == "query" else None

    return work


def of_torchreid(folder: str, queries: int, gallery: int):
    """torchreid squares what it is given, so it is given the roots."""
    query_query, query_gallery, gallery_gallery = (np.sqrt(part) for part in parts(queries, gallery))
    theirs = torchreid(folder, "utils/rerank.py").re_ranking
    return lambda: theirs(query_gallery, query_query, gallery_gallery)


def of_dense(queries: int, gallery: int):
    query_query, query_gallery, gallery_gallery = parts(queries, gallery)

    def work():
        whole = np.block([[query_query, query_gallery], [query_gallery.T, gallery_gallery]])
        return dense.k_reciprocal(whole, queries)

    return work


def from_features(queries: int, gallery: int, rows: str = "query"):
    x, y, _, _ = crowd(queries, gallery, max(2, queries), DIMENSIONS)
    rerank.k_reciprocal(x[:2], y[:20])

    def work():
        rerank.k_reciprocal(x, y, rows=rows)

    return work


def product_alone(queries: int, gallery: int):
    """All N x N inner products in float32, in blocks of rows that use the same memory."""
    x = torch.from_numpy(np.concatenate(crowd(queries, gallery, max(2, queries), DIMENSIONS)[:2]))
    step = max(1, (1 << 23) // len(x))
    room = torch.empty(min(step, len(x)), len(x))

    def work():
        for start in range(0, len(x), step):
            part = x[start : start + step]
            torch.mm(part, x.T, out=room[: len(part)])

    return work


def adversarial_difference(queries: int = 60, gallery: int = 600) -> float:
    """The largest difference to the dense method where distances are tied, images doubled and points isolated."""
    x, y = lattice(queries, gallery)
    whole = squared(np.concatenate([x, y]), np.concatenate([x, y])).astype(np.float64)
    want = dense.k_reciprocal(whole, queries)
    given = rerank.k_reciprocal_from_distances(whole[:queries, :queries], whole[:queries, queries:],
                                               whole[queries:, queries:])
    return float(max(np.abs(got.numpy() - want).max() for got in (given, rerank.k_reciprocal(x, y))))


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, queries=468, gallery=8703, rounds=7)
    size = (options.queries, options.gallery)
    shown = f"{size[0]:,} × {size[1]:,}"
    sides = {"reidlib": Side(ours, size), "dense numpy": Side(of_dense, size, once=True)}
    if options.torchreid:
        sides[torchreid_name(options.torchreid)] = Side(of_torchreid, (options.torchreid, *size), once=True)
    found = measure(sides, options.rounds)
    mine = found.pop("reidlib")
    rows, checks = [], {"adversarial input, dense numpy": adversarial_difference()}
    for name, other in found.items():
        both = {"reidlib": mine, name: other}
        work = "k-reciprocal re-ranking, distances given"
        rows.append(row(work, shown, name, "at least 30 times as fast", ratio(other, mine), at_least=30, sides=both))
        rows.append(row(f"{work}: memory beyond these", shown, name, "at most 1/8 of theirs",
                        mine.memory / max(other.memory, PAGE), "of theirs", at_most=1 / 8, sides=both))
        checks[f"crowd, {name}"] = float(np.abs(mine.answer - other.answer).max())
    assert max(checks.values()) < 1e-5, checks

    found = measure({"reidlib": Side(from_features, size), "product": Side(product_alone, size)}, options.rounds)
    rows.append(row(f"the same from features, {DIMENSIONS}-d", shown, "the product of the features alone",
                    "at most 1.3 times its time", ratio(found["reidlib"], found["product"]), at_most=1.3, sides=found))

    total = sum(size)
    for source, prepare in {"from distances": of_rows, "from features": from_features}.items():
        found = measure({"all": Side(prepare, (*size, "all")), "query": Side(prepare, (*size, "query"))},
                        options.rounds)
        rows.append(row(f"all rows (for VTRM), {source}", f"{total:,} × {total:,}", "the queries' rows alone",
                        "at most 2 times their time", ratio(found["all"], found["query"]), at_most=2, sides=found))
    write("rerank", 10, rows, options.out, checks={"largest difference of a distance": checks})


if __name__ == "__main__":
    main()
