"""CMC, mAP and mINP against torchreid's Cython evaluation, and at the size of MSMT17.

    python -m benchmarks.metrics [--torchreid FOLDER] [--queries 468] [--gallery 8703] [--large 11659] ...
"""

from __future__ import annotations

import numpy as np

from benchmarks import arguments, dense
from benchmarks.compare import Side, measure, ratio, row, write
from benchmarks.crowd import cameras, crowd, lattice, squared
from benchmarks.peers import torchreid, torchreid_name
from reidlib.retrieval import metrics

RANKS = 50
PERSONS_OF_LARGE = 3060  # MSMT17's test persons


def scene(queries: int, gallery: int, persons: int):
    """Distances and labels: (m, n) float32, two Labels."""
    x, y, query_person, gallery_person = crowd(queries, gallery, persons, 64)
    return squared(x, y), *(metrics.Labels(person, cameras(len(person), seed=number))
                            for number, person in enumerate((query_person, gallery_person)))


def ours(queries: int, gallery: int, persons: int):
    given = scene(queries, gallery, persons)
    labels = [metrics.Labels([0, 1], [0, 0]), metrics.Labels([0, 1], [1, 1])]
    metrics.evaluate(np.eye(2, dtype=np.float32), *labels)

    def work():
        found = metrics.evaluate(*given)
        return found.cmc[:RANKS], found.mAP, found.mINP

    return work


def of_torchreid(folder: str, queries: int, gallery: int, persons: int):
    distances, query, shown = scene(queries, gallery, persons)
    evaluate = torchreid(folder, "metrics/rank_cylib/rank_cy*.so").evaluate_cy
    return lambda: evaluate(distances, query.person, shown.person, query.camera, shown.camera, RANKS)


def adversarial_difference() -> float:
    """Largest difference of CMC, mAP or mINP to sorting every row, where most distances are tied."""
    x, y = lattice(40, 400)
    rng = np.random.default_rng(0)
    labels = [metrics.Labels(rng.integers(-1, 9, len(part)), rng.integers(0, 3, len(part))) for part in (x, y)]
    got = metrics.evaluate(squared(x, y), *labels)
    cmc, precision, penalty = dense.evaluate(squared(x, y), *labels)
    return float(max(np.abs(got.cmc - cmc).max(), abs(got.mAP - precision), abs(got.mINP - penalty)))


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, queries=468, gallery=8703, large=11659, large_gallery=82161, rounds=3)
    small = (options.queries, options.gallery, max(2, options.queries))
    rows, checks = [], {"adversarial input, sorting": adversarial_difference()}
    work = "CMC, mAP and mINP"
    if options.torchreid:
        name = torchreid_name(options.torchreid) + ", Cython"
        found = measure({"reidlib": Side(ours, small), name: Side(of_torchreid, (options.torchreid, *small))},
                        options.rounds)
        (cmc, precision, _), (their_cmc, theirs) = found["reidlib"].answer, found[name].answer
        checks[f"crowd, {name}"] = float(max(np.abs(cmc - their_cmc[: len(cmc)]).max(), abs(precision - theirs)))
        rows.append(row(work, f"{small[0]:,} × {small[1]:,}", name, "faster", ratio(found[name], found["reidlib"]),
                        at_least=1, sides=found))
    assert max(checks.values()) < 1e-5, checks
    large = (options.large, options.large_gallery, min(PERSONS_OF_LARGE, options.large))
    shown = f"{large[0]:,} × {large[1]:,}"
    found = measure({"reidlib": Side(ours, large)}, 1)
    rows.append(row(work, shown, "the clock", "under 30 s", found["reidlib"].best, "s", at_most=30, sides=found))
    distances = 4 * large[0] * large[1]  # bytes
    rows.append(row(f"{work}: memory, the distances' included", shown, "the memory", "under 4 GB",
                    (distances + found["reidlib"].memory * 2**20) / 1e9, "GB", at_most=4, sides=found))
    whole = found["reidlib"].total * 2**20 / 1e9
    write("metrics", 20, rows, options.out, checks={"largest difference of a metric": checks}, notes=[
        f"{work} at {shown}: the distances alone are {distances / 1e9:.3g} GB. The whole process, with Python, torch "
        f"and the other libraries, held {whole:.3g} GB."])


if __name__ == "__main__":
    main()
