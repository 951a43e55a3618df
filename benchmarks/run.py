"""All benchmarks, one after the other, and the book's page from their records.

    python -m benchmarks.run [--torchreid FOLDER] [--only rerank vtrm ...]

The largest need some 12 GB of memory. Nothing else should run meanwhile: each record keeps the machine's load.
"""

from __future__ import annotations

import argparse

from benchmarks import augmentation, curves, metrics, page, renderer, rerank, rerank_large, vtrm

ALL = {module.__name__.split(".")[-1]: module
       for module in (rerank, rerank_large, metrics, vtrm, renderer, augmentation, curves)}
AGAINST_TORCHREID = ("rerank", "metrics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torchreid", help="folder of an unpacked torchreid; benchmarks/peers.py says how to get it")
    parser.add_argument("--only", nargs="+", choices=ALL, default=list(ALL), help="some of the benchmarks")
    options = parser.parse_args()
    for name in options.only:
        given = ["--torchreid", options.torchreid] if options.torchreid and name in AGAINST_TORCHREID else []
        ALL[name].main(given)
    page.main()


if __name__ == "__main__":
    main()
