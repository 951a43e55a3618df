"""The CSV that the re-identification challenge on EvalAI takes: distances of all queries to all gallery images.

(m + 1) x (n + 1) cells, comma separated, no names: 0 in the corner, gallery ids along the first row, query ids in
ascending order down the first column, distances with five decimals between them. m queries, n gallery images.
Source: README.md and reid/utils/serialization.py of github.com/DeepSportradar/player-reidentification-challenge.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reidlib.retrieval import _check


@dataclass(frozen=True, eq=False)
class Submission:
    """What a file holds. distances: (m, n) float64; query_ids: (m,), ascending, gallery_ids: (n,), both int64."""

    distances: Tensor
    query_ids: Tensor
    gallery_ids: Tensor


def write_distances(path: str | Path, distances, query_ids, gallery_ids) -> None:
    """Write distances (m, n), smaller is nearer, any finite values, to the file path, whole or not at all.

    query_ids (m,), gallery_ids (n,): whole numbers, each once. Rows are put in order of the query ids, columns stay.
    Tensors or numpy arrays. Five decimals stay of a distance, and closer ones become ties, which the challenge's mAP
    counts as one group: an order that has to survive goes through `write_rankings`.
    Raises ValueError for a wrong shape, NaN, infinity, no images, or ids that are no whole numbers or not unique.
    """
    distances = _check.distances(distances, "distances")
    m, n = distances.shape
    query_ids = _ids(query_ids, "query_ids", m)
    gallery_ids = _ids(gallery_ids, "gallery_ids", n)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    line = "%i" + ",%10.5f" * n + "\n"
    try:
        with open(temporary, "w", encoding="ascii", newline="\n") as file:
            file.write(",".join(map(str, [0, *gallery_ids.tolist()])) + "\n")
            for i in np.argsort(query_ids):
                file.write(line % (query_ids[i], *distances[i].tolist()))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_rankings(path: str | Path, rankings, query_ids, gallery_ids) -> None:
    """Write rankings (m, n), integer gallery indices, nearest first, every index once in each row, as ranks.

    The distance of an image is then its place in the row of its query, 1 for the nearest: whole numbers, which five
    decimals leave as they are, so that nothing is tied. For orders that are no distances: frame-order mining, votes.
    Ids and errors as for `write_distances`; ValueError also for rows that are not permutations.
    """
    rankings = _check.integers(rankings, "rankings", (None, None))
    n = rankings.shape[1]
    if rankings.size == 0:
        raise ValueError(f"rankings: empty, shape {rankings.shape}")
    whole = (np.sort(rankings, axis=1) == np.arange(n)).all(axis=1)
    if not whole.all():
        raise ValueError(f"rankings: row {whole.argmin()} does not hold every index from 0 to {n - 1} once")
    ranks = np.empty_like(rankings)
    np.put_along_axis(ranks, rankings, np.arange(1, n + 1)[None], axis=1)
    write_distances(path, ranks, query_ids, gallery_ids)


def read(path: str | Path) -> Submission:
    """Read such a file, from here or from another program.

    Raises ValueError naming the file, and the line where there is one, when it is not as the head of this module says:
    empty, not a number, NaN or infinity, rows of unequal length, another corner than 0, ids that are not unique or,
    of queries, not ascending. Raises FileNotFoundError when there is none.
    """
    query_ids, distances = [], []
    with open(path, encoding="ascii", errors="backslashreplace") as file:
        header = file.readline()
        if not header.strip():
            raise ValueError(f"{path}: empty, or its first line is")
        corner, *gallery = header.split(",")
        if corner.strip() != "0":
            raise ValueError(f"{path}, line 1: wants 0 in the corner, got {corner.strip()!r}")
        gallery_ids = _parse(gallery, int, f"{path}, line 1")
        for number, line in enumerate(file, start=2):
            query, *cells = line.split(",")
            where = f"{path}, line {number}"
            if len(cells) != len(gallery_ids):
                raise ValueError(f"{where}: wants {len(gallery_ids)} cells after the query's id, got {len(cells)}")
            query_ids.append(_parse([query], int, where))
            distances.append(_parse(cells, float, where))
    if not distances or len(gallery_ids) == 0:
        raise ValueError(f"{path}: wants queries and gallery images, got {len(distances)} and {len(gallery_ids)}")
    query_ids = np.concatenate(query_ids)
    _check_unique(query_ids, f"{path}: query ids")
    _check_unique(gallery_ids, f"{path}: gallery ids")
    if (np.sort(query_ids) != query_ids).any():
        raise ValueError(f"{path}: query ids: want to be in ascending order")
    return Submission(*(torch.from_numpy(part) for part in (np.stack(distances), query_ids, gallery_ids)))


def _ids(value, name: str, count: int) -> np.ndarray:
    ids = _check.integers(value, name, (count,))
    _check_unique(ids, name)
    return ids


def _check_unique(ids: np.ndarray, name: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{name}: {values[counts.argmax()]} is there {counts.max()} times, wants every id once")


def _parse(cells: list[str], kind: type, where: str) -> np.ndarray:
    """The cells as finite int64 or float64 numbers (kind: int or float), or ValueError."""
    try:
        numbers = np.array([kind(cell) for cell in cells], dtype=kind)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"{where}: {(~np.isfinite(numbers)).sum()} of {len(cells)} distances are NaN or infinite")
    return numbers
