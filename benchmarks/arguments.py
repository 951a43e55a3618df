"""The options that every benchmark has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare import RECORDS


def read(
    description: str, argv: Sequence[str] | None = None, *, peers: bool = True, **sizes: int
) -> argparse.Namespace:
    """Command line -> options: out (folder of the record), with peers torchreid (its folder, or None), one per size."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RECORDS, help="folder for the record")
    if peers:
        parser.add_argument("--torchreid", help="folder of an unpacked torchreid; without it its rows are left out")
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value:,}")
    options = parser.parse_args(argv)
    if peers and not options.torchreid:
        print("torchreid: no --torchreid given, so rows against it are left out")
    return options
