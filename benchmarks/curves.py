"""Time and memory against the size of the gallery, and against the number of persons in it, with fitted exponents.

    python -m benchmarks.curves [--queries 500] [--largest 100000] [--walked 30000] [--rounds 2]

VTRM walks over a matrix of n x n distances and therefore ends at `walked` images.
"""

from __future__ import annotations

import numpy as np

from benchmarks import arguments
from benchmarks.compare import Side, measure, write
from benchmarks.crowd import cameras, crowd, squared
from reidlib.retrieval import metrics, rerank, vtrm

DIMENSIONS = 128
IMAGES_A_PERSON = 19
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
PERSONS = (30, 100, 300, 1_000, 3_000, 10_000)
GALLERY_OF_PERSONS = 10_000


def reranking(queries: int, gallery: int, persons: int):
    x, y, _, _ = crowd(queries, gallery, persons, DIMENSIONS)
    rerank.k_reciprocal(x[:2], y[:30])

    def work():
        rerank.k_reciprocal(x, y)

    return work


def scoring(queries: int, gallery: int, persons: int):
    x, y, query_person, gallery_person = crowd(queries, gallery, persons, 16)
    distances = squared(x, y)
    labels = [metrics.Labels(person, cameras(len(person), seed=number))
              for number, person in enumerate((query_person, gallery_person))]
    metrics.evaluate(distances[:, :50], labels[0], metrics.Labels(gallery_person[:50] * 0 + query_person[0],
                                                                  cameras(50)))

    def work():
        metrics.evaluate(distances, *labels)

    return work


def walking(queries: int, gallery: int, persons: int):
    x, y, _, _ = crowd(queries, gallery, persons, 16)
    given = squared(x, y), squared(y, y)
    vtrm.mine(given[0][:2, :9], given[1][:9, :9])

    def work():
        vtrm.mine(*given, depth=100)

    return work


WORK = {
    "k-reciprocal re-ranking": reranking,
    "CMC, mAP and mINP": scoring,
    "VTRM, Local-1, depth 100": walking,
}


def exponent(sizes, values) -> float:
    """The b of the least-squares fit log(value) = a + b log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def curve(name: str, axis: str, points: list[tuple[int, tuple]], rounds: int) -> dict:
    """points: (x, arguments of WORK[name]). Memory is what the work takes beyond its arguments."""
    x, seconds, memory = [], [], []
    for at, size in points:
        found = measure({"reidlib": Side(WORK[name], size)}, rounds)["reidlib"]
        x.append(at)
        seconds.append(float(f"{found.best:.4g}"))
        memory.append(round(found.memory, 1))
        print(f"{name}, {at:,} {axis}: {seconds[-1]} s, {memory[-1]} MiB", flush=True)
    out = {"work": name, "axis": axis, "x": x, "seconds": seconds, "memory_mib": memory}
    if len(x) > 2:  # the smallest sizes measure what every call costs
        out["fitted_from"] = x[-3]
        out["seconds_exponent"] = round(exponent(x[-3:], seconds[-3:]), 2)
        out["memory_exponent"] = round(exponent(x[-3:], memory[-3:]), 2) if min(memory[-3:]) >= 1 else None
    return out


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, peers=False, queries=500, largest=max(SIZES), walked=30_000, rounds=2)
    curves = []
    for name in WORK:
        largest = min(options.largest, options.walked) if WORK[name] is walking else options.largest
        sizes = [n for n in SIZES if n <= largest] or [largest]
        points = [(n, (options.queries, n, max(2, n // IMAGES_A_PERSON))) for n in sizes]
        curves.append(curve(name, "gallery images", points, options.rounds))
    gallery = min(GALLERY_OF_PERSONS, options.largest)
    for name in WORK:
        points = [(persons, (options.queries, gallery, persons)) for persons in PERSONS if persons <= gallery]
        curves.append(curve(name, "persons", points, options.rounds))
    write("curves", 60, [], options.out, curves=curves, notes=[
        f"Curves: {options.queries} queries; re-ranking starts from features of {DIMENSIONS} dimensions, the others "
        f"from distances. Against the gallery: {IMAGES_A_PERSON} images a person. Against the persons: a gallery of "
        f"{gallery:,}. Exponents are fitted to the three largest sizes."])


if __name__ == "__main__":
    main()
