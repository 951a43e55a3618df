"""VTRM and voting against the report's Algorithms 1 and 2 in straightforward numpy and Python.

    python -m benchmarks.vtrm [--queries 468] [--gallery 8703] [--sample 4] [--rounds 7]

The algorithms treat one query after the other alike, so theirs are measured on `sample` queries and multiplied up.
"""

from __future__ import annotations

import numpy as np

from benchmarks import arguments, dense
from benchmarks.compare import Side, measure, ratio, row, write
from benchmarks.crowd import crowd, lattice, squared
from reidlib.retrieval import fusion, vtrm

VARIANTS = {
    "Local-1": {"window": 1},
    "Local-2": {"window": 2},
    "Local-2, smallest": {"window": 2, "aggregate": "min"},
    "Local-2 w. ref": {"window": 2, "reference": True},
    "Global": {"window": None},
    "Global, smallest": {"window": None, "aggregate": "min"},
}
MODELS = 5


def parts(queries: int, gallery: int) -> tuple[np.ndarray, np.ndarray]:
    x, y, _, _ = crowd(queries, gallery, max(2, queries), 64)
    return squared(x, y), squared(y, y)


def ours(queries: int, gallery: int, sample: int, options: dict):
    given = parts(queries, gallery)
    vtrm.mine(given[0][:2, :9], given[1][:9, :9], **options)
    return lambda: vtrm.mine(*given, **options).numpy()[:sample]


def algorithm_1(queries: int, gallery: int, sample: int, options: dict):
    query_gallery, gallery_gallery = parts(queries, gallery)
    return lambda: dense.mine(query_gallery[:sample], gallery_gallery, **options)


def models(queries: int, gallery: int) -> tuple[np.ndarray, np.ndarray]:
    """Rankings and distances (K, m, n) of models that agree for the greater part."""
    distances, _ = parts(queries, gallery)
    rng = np.random.default_rng(0)
    noisy = np.stack([distances * (1 + 0.1 * rng.random(distances.shape, np.float32)) for _ in range(MODELS)])
    return np.argsort(noisy, axis=2), noisy


def voted(queries: int, gallery: int, sample: int):
    given = models(queries, gallery)
    fusion.vote(given[0][:, :1], given[1][:, :1])
    return lambda: fusion.vote(*given).numpy()[:sample]


def algorithm_2(queries: int, gallery: int, sample: int):
    rankings, distances = models(queries, gallery)
    return lambda: dense.vote(rankings[:, :sample], distances[:, :sample])


def adversarial_disagreements() -> dict[str, int]:
    """Places of a ranking that differ from the straightforward ones where most distances are tied."""
    x, y = lattice(7, 90)
    given = squared(x, y), squared(y, y)
    found = {name: int((vtrm.mine(*given, **options).numpy() != dense.mine(*given, **options)).sum())
             for name, options in VARIANTS.items()}
    rng = np.random.default_rng(0)
    distances = rng.integers(0, 4, (MODELS, 7, 90)).astype(np.float32)
    rankings = rng.permuted(np.tile(np.arange(90), (MODELS, 7, 1)), axis=2)
    return found | {"vote": int((fusion.vote(rankings, distances).numpy() != dense.vote(rankings, distances)).sum())}


def main(argv=None) -> None:
    options = arguments.read(__doc__, argv, peers=False, queries=468, gallery=8703, sample=4, rounds=7)
    size = (options.queries, options.gallery, min(options.sample, options.queries))
    shown, share = f"{size[0]:,} × {size[1]:,}", size[2] / size[0]
    numpy_name, python_name = "Algorithm 1 in numpy", "Algorithm 2 in Python"
    rows, checks = [], adversarial_disagreements()
    for name, variant in VARIANTS.items():
        found = measure({"reidlib": Side(ours, (*size, variant)),
                         numpy_name: Side(algorithm_1, (*size, variant), share)}, options.rounds)
        checks[f"crowd, {name}"] = int((found["reidlib"].answer != found[numpy_name].answer).sum())
        rows.append(row(f"VTRM, full depth, {name}", shown, numpy_name, "at least 15 times as fast",
                        ratio(found[numpy_name], found["reidlib"]), at_least=15, sides=found))
    for name in ("Local-1", "Local-2"):
        found = measure({"reidlib": Side(ours, (*size, VARIANTS[name] | {"depth": 100})),
                         numpy_name: Side(algorithm_1, (*size, VARIANTS[name]), share)}, options.rounds)
        same = found["reidlib"].answer[:, :100] == found[numpy_name].answer[:, :100]
        checks[f"crowd, {name}, depth 100"] = int((~same).sum())
        rows.append(row(f"VTRM, depth 100, {name}", shown, f"{numpy_name}, full depth",
                        "at least 300 times as fast", ratio(found[numpy_name], found["reidlib"]), at_least=300,
                        sides=found))
    found = measure({"reidlib": Side(voted, size), python_name: Side(algorithm_2, size, share)}, options.rounds)
    checks["crowd, vote"] = int((found["reidlib"].answer != found[python_name].answer).sum())
    rows.append(row(f"voting fusion of {MODELS} models", shown, python_name, "at least 100 times as fast",
                    ratio(found[python_name], found["reidlib"]), at_least=100, sides=found))
    assert not any(checks.values()), checks
    write("vtrm", 30, rows, options.out, checks={"places of a ranking that differ": checks},
          notes=[f"{numpy_name} and {python_name}: measured on {size[2]} queries, times multiplied up to {size[0]}."])


if __name__ == "__main__":
    main()
