"""Galleries asked from another frame, expanded features, and where a ranking first goes wrong."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch.nn.functional import normalize

from reidlib.retrieval import distance, rerank
from reidlib.study.ranking import AFTER, Gallery, Ranking, contamination, distances, score, score_rankings


def tensors(persons: int = 4, frames: int = 5) -> dict[str, torch.Tensor]:
    """A features file of persons x frames whose features say who and when: (person, frame) on two axes."""
    found = {}
    for role, wanted in (("query", [0]), ("gallery", range(1, frames))):
        pairs = torch.tensor([(p, f) for p in range(persons) for f in wanted])
        found[role] = torch.cat([pairs.float() + 1, torch.ones(len(pairs), 1)], dim=1)
        found |= {f"{role}_person": pairs[:, 0], f"{role}_frame": pairs[:, 1], f"{role}_sequence": pairs[:, 0]}
        found[f"{role}_camera"] = torch.full((len(pairs),), int(role == "gallery"))
        found[f"{role}_visible"] = pairs[:, 1] / 10
    return found


def test_another_query_frame_moves_pictures_and_loses_none():
    before, after = Gallery.of(tensors()), Gallery.of(tensors(), query_frame=3)
    assert after.query_labels["frame"].tolist() == [3] * 4
    assert after.query_labels["person"].tolist() == [0, 1, 2, 3]
    assert after.query_labels["visible"].tolist() == pytest.approx([0.3] * 4)
    assert (after.query_labels["camera"] == 0).all() and (after.gallery_labels["camera"] == 1).all()
    for person in range(4):
        frames = after.gallery_labels["frame"][after.gallery_labels["person"] == person]
        assert sorted(frames.tolist()) == [0, 1, 2, 4]

    def pictures(gallery):
        rows = torch.cat([gallery.query, gallery.gallery]).tolist()
        labels = torch.cat([gallery.query_labels["frame"], gallery.gallery_labels["frame"]]).tolist()
        return sorted(zip(rows, labels, strict=True))

    assert pictures(before) == pictures(after), "a feature went to another frame's label"


def test_a_frame_that_is_missing_gives_its_neighbour():
    file = tensors()
    for name in [name for name in file if name.startswith("gallery")]:
        file[name] = file[name][file["gallery_frame"] != 3] if name != "gallery_frame" else file[name]
    file["gallery_frame"] = file["gallery_frame"][file["gallery_frame"] != 3]
    assert set(Gallery.of(file, query_frame=3).query_labels["frame"].tolist()) == {2}  # of 2 and 4 the first
    with pytest.raises(ValueError, match="query_frame: wants 0 to 4, got 5"):
        Gallery.of(file, query_frame=5)


def one_query(pattern: str) -> tuple[torch.Tensor, Gallery]:
    """A ranking whose positions are right (1) or wrong (0) as the pattern says."""
    right = torch.tensor([int(c) for c in pattern])
    n = len(right)
    labels = {"person": right, "camera": torch.ones(n, dtype=torch.long), "sequence": right, "frame": torch.arange(n)}
    query = {name: x[:1] * 0 + (name == "person") + (name == "sequence") for name, x in labels.items()}
    return torch.arange(n)[None], Gallery(torch.ones(1, 2), torch.ones(n, 2), query, labels)


@pytest.mark.parametrize(
    ("pattern", "until", "after"),
    [
        ("111" + "0" * 12, 3, None),  # nothing right is left to be found
        ("110" + "1010101010" + "0000", 2, 5),
        ("0" + "1" * 10 + "0", 0, 10),
        ("1110" + "1" * 9, 3, None),  # fewer than ten positions follow
    ],
)
def test_contamination(pattern, until, after):
    assert AFTER == 10
    found = contamination(*one_query(pattern))
    assert found == {"until_wrong": [until], "after_wrong": [after], "matches": [pattern.count("1")]}


def test_scores_carry_what_the_record_needs():
    ranking, gallery = one_query("1101" + "0" * 10)
    found = score_rankings(gallery, ranking, protocol="synergyreid")
    assert found["mAP"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found["kendall_tau"] == [1.0]
    assert "visible" not in found


@pytest.fixture(scope="module")
def noisy() -> Gallery:
    """5 queries and 25 gallery images of 5 persons; labels are not looked at."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(5, 12, generator=generator)
    query, images = (x + 0.8 * torch.randn(x.shape, generator=generator) for x in (centres, centres.repeat(5, 1)))
    return Gallery(normalize(query, dim=1), normalize(images, dim=1), {}, {})


def expanded_by_loop(gallery: Gallery, k: int, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Every image's k most similar ones, itself among them, weighed and added up one at a time."""
    rows = torch.cat([gallery.query, gallery.gallery]).double()
    means = []
    for own in rows:
        similar = sorted(((float(own @ other), other) for other in rows), key=lambda pair: -pair[0])[:k]
        total = sum(max(cosine, 0.0) ** alpha * other for cosine, other in similar)
        means.append(total / total.norm())
    m = len(gallery.query)
    return torch.stack(means[:m]).float(), torch.stack(means[m:]).float()


RERANK = {"rerank": True, "k1": 6, "k2": 3, "lambda_value": 0.1}


@pytest.mark.parametrize(("k", "alpha"), [(2, 0.0), (4, 0.0), (4, 3.0)])
def test_expansion_comes_before_distances_and_these_before_reranking(noisy, k, alpha):
    query, images = expanded_by_loop(noisy, k, alpha)
    expansion = {"expansion": k, "expansion_alpha": alpha}
    plain, none = distances(noisy, Ranking(**expansion))
    torch.testing.assert_close(plain, distance.cosine(query, images), rtol=0, atol=1e-6)
    assert none is None, "gallery-gallery distances are for the walk alone"
    wanted = rerank.k_reciprocal(query, images, k1=6, k2=3, lambda_value=0.1, rows="all")
    for found, want in zip(distances(noisy, Ranking(**RERANK, **expansion, vtrm=True)), wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=0, atol=1e-5)
    without = distances(noisy, Ranking())[0]
    assert (plain - without).abs().max() > 0.01, "nothing was expanded"


@pytest.mark.parametrize("options", [{}, RERANK], ids=["plain", "reranked"])
def test_no_expansion_and_one_image_leave_the_features_alone(noisy, options):
    if options:
        wanted = rerank.k_reciprocal(noisy.query, noisy.gallery, k1=6, k2=3, lambda_value=0.1)
    else:
        wanted = distance.cosine(noisy.query, noisy.gallery)
    assert torch.equal(distances(noisy, Ranking(**options, expansion=0, expansion_alpha=3.0))[0], wanted)
    torch.testing.assert_close(distances(noisy, Ranking(**options, expansion=1))[0], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{}, RERANK, {"expansion": 3}, {**RERANK, "expansion": 3}])
def test_rows_of_queries_are_the_same_with_and_without_the_walk(noisy, options):
    alone, walked = (distances(noisy, Ranking(**options, vtrm=vtrm)) for vtrm in (False, True))
    assert torch.equal(alone[0], walked[0]) and walked[1].shape == (25, 25)


def test_the_variant_of_re_ranking_is_the_one_asked_for(noisy):
    wanted = rerank.k_reciprocal(noisy.query, noisy.gallery, k1=6, k2=3, lambda_value=0.1, variant="fastreid")
    found = distances(noisy, Ranking(**RERANK, variant="fastreid"))[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert not torch.equal(found, distances(noisy, Ranking(**RERANK))[0])
    with pytest.raises(ValueError, match="variant: wants 'published' or 'fastreid', got 'torchreid'"):
        Ranking(variant="torchreid")


def test_expansion_came_after_runs_were_recorded():
    later = {f.name: f.default for f in fields(Ranking) if f.metadata.get("later")}
    assert later == {"expansion": 0, "expansion_alpha": 0.0, "variant": "published"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("expansion", -1), ("expansion", 2.0), ("expansion", True), ("expansion_alpha", -0.5)]
    + [("expansion_alpha", float(x)) for x in ("nan", "inf")],
)
def test_expansion_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"^{name}: wants a .*, got {value}"):
        Ranking(**{name: value})


def test_marss_common_gallery_has_no_queries_to_be_neighbours():
    """Re-ranked with and without the queries' own tracklets in the gallery; plain distances do not feel them."""
    generator = torch.Generator().manual_seed(0)
    person = torch.arange(8).repeat_interleave(4)
    features = torch.randn(8, 16, generator=generator)[person] + 2 * torch.randn(32, 16, generator=generator)
    asks = torch.arange(32) % 4 == 0
    label = {"person": person, "camera": torch.arange(32) % 4, "sequence": torch.arange(32), "frame": torch.zeros(32)}

    def gallery(kept: torch.Tensor) -> Gallery:
        tensors = {"query": features[asks], "gallery": features[kept]}
        for side, rows in (("query", asks), ("gallery", kept)):
            tensors |= {f"{side}_{name}": x[rows] for name, x in label.items()}
        return Gallery.of(tensors)

    whole, common = gallery(torch.ones(32, dtype=torch.bool)), gallery(~asks)
    for ranking in (Ranking(protocol="mars-9330"), Ranking(protocol="mars-9330", rerank=True, k1=6, k2=3)):
        assert score(whole, ranking) == score(common, ranking)
    official = Ranking(protocol="mars", rerank=True, k1=6, k2=3)
    assert score(whole, official)["mAP"] != score(common, official)["mAP"]
