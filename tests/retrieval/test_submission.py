"""The challenge's CSV: text written by hand, metrics before and after the file, files that are not right."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.retrieval import metrics, submission

DISTANCES = np.array([[0.5, 12.25, 0.123456], [-0.25, 123456.0, 3.0]], np.float32)
IDS = {"query_ids": [30, 7], "gallery_ids": [5, 400, 2]}

# Query 7 comes first, whatever it was before; the gallery stays as it is.
DISTANCES_TEXT = """\
0,5,400,2
7,  -0.25000,123456.00000,   3.00000
30,   0.50000,  12.25000,   0.12346
"""
# The nearest of query 30 is image 2 of the gallery, then 0, then 1; of query 7 it is 1, then 2, then 0.
RANKINGS = np.array([[2, 0, 1], [1, 2, 0]])
RANKINGS_TEXT = """\
0,5,400,2
7,   3.00000,   1.00000,   2.00000
30,   2.00000,   3.00000,   1.00000
"""


@pytest.mark.parametrize(
    ("write", "values", "text"),
    [
        (submission.write_distances, DISTANCES, DISTANCES_TEXT),
        (submission.write_rankings, RANKINGS, RANKINGS_TEXT),
    ],
)
def test_text(write, values, text, device, tmp_path):
    path = tmp_path / "new" / "submission.csv"
    write(path, torch.tensor(values, device=device), torch.tensor(IDS["query_ids"]), np.array(IDS["gallery_ids"]))
    assert path.read_bytes() == text.encode()
    assert [found.name for found in path.parent.iterdir()] == ["submission.csv"]


@settings(max_examples=100, deadline=None)
@given(m=st.integers(1, 6), n=st.integers(1, 12), exponent=st.integers(-6, 6), seed=st.integers(0, 2**32 - 1))
def test_distances_come_back(m, n, exponent, seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    distances = rng.normal(size=(m, n)) * 10.0**exponent
    query_ids, gallery_ids = (2**62 + rng.choice(100, size, replace=False) for size in (m, n))  # not exact as floats
    path = tmp_path_factory.getbasetemp() / "distances.csv"
    submission.write_distances(path, distances, query_ids, gallery_ids)
    found = submission.read(path)
    assert found.distances.dtype == torch.float64
    assert found.query_ids.dtype == found.gallery_ids.dtype == torch.int64
    order = sorted(range(m), key=lambda i: query_ids[i])
    assert found.distances.tolist() == [[float(f"{d:.5f}") for d in distances[i]] for i in order]
    assert found.query_ids.tolist() == sorted(query_ids.tolist())
    assert found.gallery_ids.tolist() == gallery_ids.tolist()


@settings(max_examples=50, deadline=None)
@given(m=st.integers(1, 6), n=st.integers(2, 40), values=st.integers(1, 50), seed=st.integers(0, 2**32 - 1))
def test_ranks_score_as_the_rankings_do(m, n, values, seed, tmp_path_factory):
    """Also where the distances behind the rankings are tied, and images are there twice.

    Read off the order in the file, every query's precision is the same number; as the challenge scores the file, with
    ties as groups, it is the same sum in another order.
    """
    rng = np.random.default_rng(seed)
    rankings = np.argsort(rng.integers(0, values, (m, n)).repeat(2, axis=1), axis=1, kind="stable")
    person_of_query, person_of_image = rng.integers(0, 3, m), np.r_[0:3, rng.integers(0, 3, 2 * n - 3)]
    want = metrics.evaluate_rankings(
        rankings, metrics.Labels(person_of_query), metrics.Labels(person_of_image), "synergyreid"
    )
    query_ids, gallery_ids = rng.permutation(10 * m)[:m], rng.permutation(10 * n)[: 2 * n]
    path = tmp_path_factory.getbasetemp() / "ranks.csv"
    submission.write_rankings(path, rankings, query_ids, gallery_ids)
    found = submission.read(path)
    order = np.argsort(query_ids)
    labels = metrics.Labels(person_of_query[order]), metrics.Labels(person_of_image)
    reordered = metrics.evaluate_rankings(found.distances.argsort(dim=1), *labels, "synergyreid")
    assert reordered.average_precision.tolist() == want.average_precision[order].tolist()
    scored = metrics.evaluate(found.distances, *labels, "synergyreid")
    assert scored.mAP == pytest.approx(want.mAP, abs=1e-14)


def test_five_decimals_make_ties_and_ranks_do_not(tmp_path):
    """Four images 1e-7 apart, the first and third being right: mAP (1/1 + 2/3) / 2, or 2/4 once all are tied."""
    path, distances = tmp_path / "submission.csv", 0.5 + 1e-7 * np.arange(4)[None]
    labels = metrics.Labels([1]), metrics.Labels([1, 0, 1, 0])

    def score():
        return metrics.evaluate(submission.read(path).distances, *labels, "synergyreid").mAP

    assert metrics.evaluate(distances, *labels, "synergyreid").mAP == pytest.approx(5 / 6)
    submission.write_distances(path, distances, [3], np.arange(4))
    assert score() == 0.5
    submission.write_rankings(path, np.argsort(distances, axis=1), [3], np.arange(4))
    assert score() == pytest.approx(5 / 6)


@pytest.mark.parametrize("before", [None, "the file of yesterday"])
def test_interrupted_writing_leaves_what_was_there(before, tmp_path):
    """The disk is full, as it were, after 20,000 of 55,000 bytes."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "submission.csv"
    if before is not None:
        path.write_text(before)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            submission.write_distances(path, np.zeros((50, 100)), np.arange(50), np.arange(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [found.read_text() for found in tmp_path.iterdir()] == ([] if before is None else [before])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"distances": np.zeros(3)}, r"distances: wants shape \(any, any\), got \(3,\)"),
        ({"distances": np.zeros((0, 3))}, "distances: empty"),
        ({"distances": [[0, 1, np.nan], [0, 1, 2]]}, "distances: 1 of 6 values are NaN"),
        ({"rankings": np.arange(3)}, r"rankings: wants shape \(any, any\), got \(3,\)"),
        ({"rankings": np.zeros((2, 0))}, "rankings: empty"),
        ({"rankings": np.zeros((2, 3))}, "rankings: wants integers"),
        ({"rankings": [[0, 1, 2], [0, 1, 1]]}, "rankings: row 1 does not hold every index from 0 to 2 once"),
        ({"query_ids": [1, 2, 3]}, r"query_ids: wants shape \(2\), got \(3,\)"),
        ({"query_ids": [4, 4]}, "query_ids: 4 is there 2 times"),
        ({"gallery_ids": [1, 2]}, r"gallery_ids: wants shape \(3\), got \(2,\)"),
        ({"gallery_ids": [5, 6, 5]}, "gallery_ids: 5 is there 2 times"),
        ({"gallery_ids": [1.0, 2.0, 3.0]}, "gallery_ids: wants integers"),
    ],
)
def test_bad_input(changed, message, tmp_path):
    arguments = {"distances": DISTANCES, **IDS, **changed}
    write = submission.write_distances
    if "rankings" in changed:
        del arguments["distances"]
        write = submission.write_rankings
    with pytest.raises(ValueError, match="^" + message):
        write(tmp_path / "submission.csv", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": empty"),
        ("0,5,6\n", ": wants queries and gallery images, got 0 and 2"),
        ("0\n7\n", ": wants queries and gallery images, got 1 and 0"),
        ("1,5,6\n7,.1,.2\n", ", line 1: wants 0 in the corner, got '1'"),
        ("id,5,6\n7,.1,.2\n", ", line 1: wants 0 in the corner, got 'id'"),
        ("0,5,g6\n7,.1,.2\n", ", line 1: .*'g6"),
        ("0,5,6\n7.0,.1,.2\n", ", line 2: .*'7.0'"),
        ("0,5,6\n7,.1,.2\n99999999999999999999,.1,.2\n", ", line 3: .*too large"),
        ("0,5,6\n7,.1,.2\n8,.1,x\n", ", line 3: .*'x"),
        ("0,5,6\n7,.1,.2\n8,.1,\xb2\n", r", line 3: .*xb2"),
        ("0,5,6\n7,.1,.2\n8,.1\n", ", line 3: wants 2 cells after the query's id, got 1"),
        ("0,5,6\n7,.1,.2,.3\n", ", line 2: wants 2 cells after the query's id, got 3"),
        ("0,5,6\n\n7,.1,.2\n", ", line 2: wants 2 cells after the query's id, got 0"),
        ("0,5,6\n7,.1,.2\n8,.1,nan\n", ", line 3: 1 of 2 distances are NaN or infinite"),
        ("0,5,6\n7,inf,-inf\n", ", line 2: 2 of 2 distances are NaN or infinite"),
        ("0,5,5\n7,.1,.2\n", ": gallery ids: 5 is there 2 times"),
        ("0,5,6\n7,.1,.2\n7,.1,.2\n", ": query ids: 7 is there 2 times"),
        ("0,5,6\n8,.1,.2\n7,.1,.2\n", ": query ids: want to be in ascending order"),
    ],
)
def test_bad_file(text, message, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"submission\.csv{message}"):
        submission.read(path)
