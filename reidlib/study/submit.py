"""The challenge's submission file: the fused ranking of the test split, whose labels its organisers keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reidlib.retrieval import submission
from reidlib.study.data import TEST
from reidlib.study.fusing import Fusion, rank_fused
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study


def write_submission(path: Path, study: Study, recipes: Sequence[Recipe], seed: int, fusion: Fusion) -> str:
    """Writes the test split's fused ranking as the challenge's CSV, in integer ranks; returns a sentence about it.

    An image's id is the number that its file is named by; a world's images, named by their labels, are numbered in the
    table's order.
    """
    rankings = rank_fused((study.gallery(recipe, seed, TEST) for recipe in recipes), fusion)[0]
    rows = study.data.dataset.rows("test")
    stems = [Path(name).stem for name in rows["path"]]
    ids = np.array([int(stem) if stem.isdigit() else number for number, stem in enumerate(stems)])
    query, gallery = (ids[(rows["role"] == role).to_numpy()] for role in ("query", "gallery"))
    submission.write_rankings(path, rankings, query, gallery)
    return f"{Path(path).name}: the ranks of {len(gallery):,} gallery images for each of {len(query):,} queries."
