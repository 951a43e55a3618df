"""mAP, CMC and mINP under a named protocol, from distances or from rankings.

Only the ranks of the true matches matter, and a rank is a count of nearer images: nothing is sorted and nothing of size
(m, n) is made. m queries, n gallery images, M true matches of all queries together.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from reidlib.retrieval import _check


@dataclass(frozen=True, eq=False)
class Labels:
    """Whole numbers per image, (N,) each: who it shows, which camera took it, which sequence (tracklet) it belongs to.

    Tensors, arrays or lists in, int64 numpy arrays kept. Raises ValueError for other numbers or unequal lengths.
    """

    person: np.ndarray
    camera: np.ndarray | None = None
    sequence: np.ndarray | None = None

    def __post_init__(self):
        object.__setattr__(self, "person", _check.integers(self.person, "person", (None,)))
        for name in ("camera", "sequence"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _check.integers(getattr(self, name), name, (len(self.person),)))

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found. Means are over the queries that have a true match, all values in [0, 1].

    mAP: mean average precision. cmc: (n,) float64, cmc[k - 1] is the share of queries with a true match among the first
    k. mINP: mean inverse negative penalty, true matches divided by the rank of the last (Ye et al., TPAMI 2021, Eq. 3).
    average_precision, first_match: (m,) float64, the latter the rank of a query's first true match; NaN for a query
    without one. skipped: indices of those, int64.
    """

    mAP: float
    cmc: np.ndarray
    mINP: float
    average_precision: np.ndarray
    first_match: np.ndarray
    skipped: np.ndarray


@dataclass(frozen=True)
class _Protocol:
    drop_same_camera: bool  # images of the query's person by the query's camera,
    drop_junk: bool  # and person -1, are taken out of every ranking
    drop_queries: bool  # so are sequences that hold a query
    precision: str  # how AP counts it: "tied", "rectangle", "trapezoid"


PROTOCOLS = {
    "synergyreid": _Protocol(False, False, False, "tied"),
    "market1501": _Protocol(True, True, False, "rectangle"),
    "mars": _Protocol(True, True, False, "trapezoid"),
    "mars-9330": _Protocol(True, True, True, "rectangle"),
}


def evaluate(distances, query: Labels, gallery: Labels, protocol: str = "market1501") -> Evaluation:
    """Score distances (m, n), smaller is nearer, tensor or numpy array, by one of four protocols.

    "synergyreid": every gallery image counts. AP is scikit-learn's `average_precision_score` of the negated distances:
    precision is read where a group of equal distances ends.
    "market1501": gallery images of the query's person by the query's camera, and those of person -1 (junk), are taken
    out; person 0 (distractors) stays, as false matches. AP is the mean of the precision at each true match.
    "mars": the same images taken out, the queries' own tracklets being part of the gallery; AP is the trapezoidal one
    of the official program, the mean of (precision just before + precision at) each true match.
    "mars-9330": as "market1501", with gallery tracklets that are queries (by `sequence`) left out for all queries.
    Equal distances stand in index order for everything but the AP of "synergyreid".
    Queries without a true match are skipped and listed; see `Evaluation`.
    Raises ValueError for an unknown protocol, a wrong shape, NaN, infinity, an empty gallery, a label that the protocol
    needs and lacks, or when no query has a true match.
    """
    groups = _groups(query, gallery, protocol)
    distances = _check.distances(distances, "distances", (len(query), len(gallery)))
    room, ranks, found = _room(groups)
    tied_precision = np.zeros(len(ranks))
    _count_nearer(distances, *groups, room, ranks, tied_precision, found)
    return _summarise(room, ranks, tied_precision, found, len(gallery), protocol)


def evaluate_rankings(rankings, query: Labels, gallery: Labels, protocol: str = "market1501") -> Evaluation:
    """Score rankings (m, n), integer gallery indices, nearest first, every index once in each row; nothing is tied.

    Protocols, answer and errors as for `evaluate`.
    """
    groups = _groups(query, gallery, protocol)
    rankings = _check.integers(rankings, "rankings", (len(query), len(gallery)))
    room, ranks, found = _room(groups)
    _read_off(rankings, *groups, room, ranks, found)
    if (found < 0).any():
        row = int((found < 0).argmax())
        raise ValueError(f"rankings: row {row} does not hold every index from 0 to {len(gallery) - 1} once")
    return _summarise(room, ranks, None, found, len(gallery), protocol)


def _groups(query: Labels, gallery: Labels, protocol: str) -> tuple[np.ndarray, ...]:
    """What the protocol makes of the labels, as the arrays that the ranks are counted with:

    kept (n,) bool: images that are in any ranking; order: the kept ones by person, order[low[i] : high[i]] being those
    of query i's person; query_camera (m,), gallery_camera (n,): where they agree, such an image is taken out again.
    """
    rules = PROTOCOLS[_check.one_of(protocol, PROTOCOLS, "protocol")]
    for labels, name in ((query, "query"), (gallery, "gallery")):
        if not isinstance(labels, Labels):
            raise ValueError(f"{name}: wants Labels, got {type(labels).__name__}")
        if len(labels) == 0:
            raise ValueError(f"{name}: empty, there is nothing to rank")
        if rules.drop_same_camera and labels.camera is None:
            raise ValueError(f"{name}: protocol {protocol!r} needs the camera of every image")
        if rules.drop_queries and labels.sequence is None:
            raise ValueError(f"{name}: protocol {protocol!r} needs the sequence of every image")
    kept = np.ones(len(gallery), bool)
    if rules.drop_junk:
        kept &= gallery.person != -1
    if rules.drop_queries:
        kept &= ~np.isin(gallery.sequence, query.sequence)
    order = np.flatnonzero(kept)
    order = order[np.argsort(gallery.person[order], kind="stable")]
    low = np.searchsorted(gallery.person[order], query.person, side="left")
    high = np.searchsorted(gallery.person[order], query.person, side="right")
    cameras = (query.camera, gallery.camera)
    if not rules.drop_same_camera:
        cameras = np.zeros(len(query), np.int64), np.ones(len(gallery), np.int64)
    return kept, order, low, high, *cameras


def _room(groups: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the true matches of each query begin (m,), and zeros: for their ranks and for how many there are (m,)."""
    _, _, low, high, _, _ = groups
    end = np.cumsum(high - low)
    return end - (high - low), np.zeros(end[-1], np.int64), np.zeros(len(low), np.int64)


def _summarise(room, ranks, tied_precision, found, n: int, protocol: str) -> Evaluation:
    """Means over queries: found[i] ranks of true matches, 1-based and ascending, from room[i] on."""
    valid = found > 0
    if not valid.any():
        raise ValueError(
            f"gallery: no query has a true match under protocol {protocol!r}; do both sides share persons?"
        )
    end = np.cumsum(found)
    query_of = np.repeat(np.arange(len(found)), found)  # (M,)
    hit = np.arange(end[-1]) - (end - found)[query_of] + 1  # (M,) the first match of a query is its hit 1
    at = room[query_of] + hit - 1  # (M,)
    first, last = ranks[room[valid]], ranks[(room + found - 1)[valid]]
    ranks = ranks[at]
    precision = hit / ranks
    rule = PROTOCOLS[protocol].precision
    if rule == "tied" and tied_precision is not None:
        precision = tied_precision[at]
    elif rule == "trapezoid":  # the official program starts with a precision of 1
        before = np.where(ranks > 1, (hit - 1) / np.maximum(ranks - 1, 1), 1.0)
        precision = (before + precision) / 2
    total = np.bincount(query_of, precision, minlength=len(found))
    average_precision = np.divide(total, found, out=np.full(len(found), np.nan), where=valid)
    first_match = np.full(len(found), np.nan)
    first_match[valid] = first
    return Evaluation(
        mAP=float(average_precision[valid].mean()),
        cmc=np.cumsum(np.bincount(first, minlength=n + 1)[1:]) / valid.sum(),
        mINP=float((found[valid] / last).mean()),
        average_precision=average_precision,
        first_match=first_match,
        skipped=np.flatnonzero(~valid),
    )


@njit(cache=True, parallel=True)
def _count_nearer(distances, kept, order, low, high, query_camera, gallery_camera, room, ranks, tied_precision, found):
    """Write the true matches of query i to ranks and tied_precision from room[i] on, their number to found[i].

    ranks are ascending. tied_precision, in any order: the share of true matches up to the end of a match's group of
    equal distances; of use where no image is taken out by its camera.
    """
    for i in prange(distances.shape[0]):
        row = distances[i]
        same = order[low[i] : high[i]]  # images of the query's person
        for j in same:
            if gallery_camera[j] == query_camera[i]:
                continue
            below, upto = 0, 0  # nearer images; those, equally near ones and itself
            for g in range(row.shape[0]):
                below += kept[g] & (row[g] < row[j])
                upto += kept[g] & (row[g] <= row[j])
            rank, hits = below + 1, 0
            if upto > below + 1:
                for g in range(j):
                    rank += kept[g] & (row[g] == row[j])
            for g in same:
                if gallery_camera[g] == query_camera[i]:  # counted above, but not in this query's ranking
                    rank -= row[g] < row[j] or (row[g] == row[j] and g < j)
                else:
                    hits += row[g] <= row[j]
            ranks[room[i] + found[i]] = rank
            tied_precision[room[i] + found[i]] = hits / upto
            found[i] += 1
        ranks[room[i] : room[i] + found[i]].sort()


@njit(cache=True, parallel=True)
def _read_off(rankings, kept, order, low, high, query_camera, gallery_camera, room, ranks, found):
    """Write the ranks of query i's true matches from room[i] on, their number to found[i]; -1 for a bad row."""
    n = kept.shape[0]
    for i in prange(rankings.shape[0]):
        counts, matches = kept.copy(), np.zeros(n, np.bool_)
        for j in order[low[i] : high[i]]:
            counts[j] = matches[j] = gallery_camera[j] != query_camera[i]
        unseen = np.ones(n, np.bool_)
        rank = 0
        for g in rankings[i]:
            if g < 0 or g >= n or not unseen[g]:
                found[i] = -1
                break
            unseen[g] = False
            rank += counts[g]
            if matches[g]:
                ranks[room[i] + found[i]] = rank
                found[i] += 1
