"""Fusing galleries: against the parts it is made of, and counted by hand."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from reidlib.checkpoint import load_tensors
from reidlib.retrieval import fusion as fusing
from reidlib.retrieval import vtrm
from reidlib.study.fused import fuse
from reidlib.study.fusing import RANKING, Fusion, rank_fused, save_ranking, score_fused, sum_curve, votes
from reidlib.study.needs import FusionNeed
from reidlib.study.profile import load_profile
from reidlib.study.ranking import Gallery, Ranking, distances, rank
from reidlib.study.recipes import vtrm as recipes
from reidlib.study.runner import Study
from reidlib.study.store import Store

WALK = Ranking(vtrm=True, window=2)


def gallery(seed: int, persons: int = 6, frames: int = 4) -> Gallery:
    """Noisy features of the same pictures, by another model for another seed."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(persons, 8, generator=torch.Generator().manual_seed(99))
    tensors = {}
    for role, wanted in (("query", [0]), ("gallery", range(1, frames))):
        pairs = torch.tensor([(p, f) for p in range(persons) for f in wanted])
        tensors[role] = centres[pairs[:, 0]] + 0.8 * torch.randn(len(pairs), 8, generator=generator)
        tensors |= {f"{role}_person": pairs[:, 0], f"{role}_frame": pairs[:, 1], f"{role}_sequence": pairs[:, 0]}
        tensors[f"{role}_camera"] = torch.full((len(pairs),), int(role == "gallery"))
    return Gallery.of(tensors)


@pytest.fixture
def galleries() -> list[Gallery]:
    return [gallery(seed) for seed in range(3)]


def test_one_voter_decides(galleries):
    fused, by_distance, _ = rank_fused(galleries[:1], Fusion(WALK, ties_by="plain"))
    assert torch.equal(fused, rank(galleries[0], WALK)) and by_distance is None


@pytest.mark.parametrize("ties_by", ["plain", "reranked"])
@pytest.mark.parametrize("scaled", [False, True])
def test_vote_is_algorithm_2_on_the_members(galleries, ties_by, scaled):
    near = [distances(g, Ranking(rerank=ties_by == "reranked"))[0] for g in galleries]
    near = torch.stack([d / d.mean() if scaled else d for d in near])
    wanted = fusing.vote(torch.stack([rank(g, WALK) for g in galleries]), near)
    fused, _, voters = rank_fused(iter(galleries), Fusion(WALK, ties_by=ties_by, scaled=scaled))
    assert torch.equal(fused, wanted) and voters.shape == (3, 6, 18)


def test_sum_is_of_distances_and_the_walk_comes_after(galleries):
    total = sum(distances(g, Ranking())[0].double() for g in galleries)
    fused, by_distance, _ = rank_fused(galleries, Fusion(Ranking(), method="sum"))
    torch.testing.assert_close(by_distance.double(), total, rtol=1e-6, atol=1e-6)
    assert torch.equal(fused, by_distance.argsort(dim=1, stable=True))
    walked, none, _ = rank_fused(galleries, Fusion(WALK, method="sum"))
    assert none is None and torch.equal(walked[:, 0], fused[:, 0]), "the first step is the nearest image of all"


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("members", [1, 3, 8])
def test_sum_by_member_is_the_sum_of_all(members, scaled):
    """To the last bit: distances of like size add up in float64 without rounding, in whatever order."""
    some = [gallery(seed) for seed in range(members)]
    walked = Ranking(rerank=True, k1=6, k2=3, vtrm=True, window=2, expansion=2)
    pairs = [[d / d.mean() if scaled else d for d in distances(g, walked)] for g in some]
    between, within = (fusing.sum_distances(torch.stack(parts)) for parts in zip(*pairs, strict=True))
    fused, none, _ = rank_fused(iter(some), Fusion(walked, method="sum", scaled=scaled))
    assert none is None and torch.equal(fused, vtrm.mine(between, within, window=2))
    plain = Ranking(rerank=True, k1=6, k2=3, expansion=2)
    fused, by_distance, _ = rank_fused(iter(some), Fusion(plain, method="sum", scaled=scaled))
    assert torch.equal(by_distance, between) and torch.equal(fused, between.argsort(dim=1, stable=True))


@pytest.mark.parametrize("walked", [False, True])
def test_sum_lets_go_of_a_member_before_the_one_after_next(monkeypatch, galleries, walked):
    alive, most = weakref.WeakSet(), []

    def counted(gallery, ranking):
        most.append(len(alive))
        found = [torch.rand(6, 18), torch.rand(18, 18) if walked else None]
        alive.update(d.untyped_storage() for d in found if d is not None)
        return tuple(found)

    monkeypatch.setattr("reidlib.study.fusing.distances", counted)
    rank_fused(galleries * 4, Fusion(WALK if walked else Ranking(), method="sum"))
    assert len(most) == 12 and max(most) <= 1 + walked, "earlier members' distances are kept"


def test_votes_are_counted():
    members = torch.tensor([[[0, 1, 2]], [[0, 2, 1]], [[1, 2, 0]]])
    fused = torch.tensor([[0, 2, 1]])
    # 0 by two of three; then 1, 2, 1 are proposed and 2 is taken with one vote; then all propose 1
    assert votes(members, fused) == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert votes(members, fused, steps=1) == [[0, 1, 0]]


def test_every_query_votes_at_every_step(galleries):
    found = score_fused(galleries, Fusion(WALK, ties_by="plain"))[0]["votes"]
    assert [sum(step) for step in found] == [6] * 18


def test_models_of_other_images_are_refused(galleries):
    with pytest.raises(ValueError, match="not run on the same images"):
        score_fused([galleries[0], gallery(1, persons=5)], Fusion(WALK))


@pytest.mark.parametrize(("name", "value"), [("method", "borda"), ("ties_by", "raw"), ("tied", "max")])
def test_unknown_choices(name, value):
    with pytest.raises(ValueError, match=f"{name}: wants one of"):
        Fusion(WALK, **{name: value})


def test_one_member_summed_and_re_ranked_is_re_ranked(galleries):
    wanted = distances(galleries[0], Ranking(rerank=True, k1=4, k2=2))[0]
    fusion = Fusion(Ranking(rerank=True, k1=4, k2=2), method="sum", rerank_after=True)
    torch.testing.assert_close(rank_fused(galleries[:1], fusion)[1], wanted, rtol=0, atol=1e-5)
    both = rank_fused(galleries, fusion)[1]
    added = rank_fused(galleries, replace(fusion, rerank_after=False))[1] / 3
    assert (both - added).abs().max() > 0.01, "before and after are not the same"


def test_curve_ends_with_the_whole_sum_and_is_flat_for_equal_members(galleries):
    fusion = Fusion(Ranking(), method="sum", curve=7)
    metrics, _ = score_fused(iter(galleries), fusion)
    assert metrics["curve"][-1] == pytest.approx(metrics["average_precision"])
    alone = [score_fused([g], Fusion(Ranking(), method="sum"))[0]["average_precision"] for g in galleries]
    ones = torch.tensor(metrics["curve"][0])
    low, high = torch.tensor(alone).amin(0), torch.tensor(alone).amax(0)
    assert (low <= ones + 1e-6).all() and (ones <= high + 1e-6).all()
    flat = sum_curve([galleries[0]] * 3, fusion)
    assert flat.shape == (3, 6)
    assert flat[1] == pytest.approx(flat[0]) and flat[2] == pytest.approx(flat[0])


def test_fastreids_variant_is_not_for_sums():
    with pytest.raises(ValueError, match="rerank_after: wants variant 'published'"):
        Fusion(Ranking(rerank=True, variant="fastreid"), method="sum", rerank_after=True)


@pytest.mark.parametrize("options", [{"curve": 2}, {"rerank_after": True}])
def test_curve_and_re_ranking_after_are_of_sums(options):
    with pytest.raises(ValueError, match="rerank_after, curve: want method 'sum'"):
        Fusion(Ranking(), **options)


@pytest.mark.parametrize("fusion", [Fusion(WALK, ties_by="plain"), Fusion(WALK, method="sum")])
def test_the_fused_ranking_lies_beside_its_record(tmp_path, monkeypatch, galleries, fusion):
    rows = list(recipes.table1())
    monkeypatch.setattr(Study, "gallery", lambda self, recipe, *_: galleries[rows.index(recipe.row)])
    study = Study(load_profile("smoke"), Store(tmp_path))
    entry = fuse(study, list(recipes.table1().values()), 0, fusion)
    assert torch.equal(entry.tensors(RANKING)["ranking"].long(), rank_fused(galleries, fusion)[0])


def test_a_record_of_before_is_taken_unless_its_ranking_is_asked_for(tmp_path, monkeypatch, galleries):
    """Then it is computed anew, with the same numbers; the published one, read-only, stays as it is."""
    rows = list(recipes.table1())
    monkeypatch.setattr(Study, "gallery", lambda self, recipe, *_: galleries[rows.index(recipe.row)])
    study = Study(load_profile("smoke"), Store(tmp_path / "own", published=tmp_path / "published"))
    plain = FusionNeed(tuple(recipes.table1().values()), Fusion(WALK, ties_by="plain"))
    before = Study(study.profile, Store(tmp_path / "published"))
    numbers = plain.compute(before, 0).record["metrics"]
    (plain.find(before, 0).folder / RANKING).unlink()
    for need, found in ((plain, True), (replace(plain, files=(RANKING,)), False)):
        assert (need.find(study, 0) is not None) is found
    assert plain.compute(study, 0).folder.parent.parent == tmp_path / "published"
    whole = replace(plain, files=(RANKING,)).compute(study, 0)
    assert whole.record["metrics"] == numbers and whole.folder.parent.parent == tmp_path / "own"
    assert replace(plain, files=(RANKING,)).find(study, 0).folder == whole.folder


@pytest.mark.parametrize(("images", "kind"), [(1 << 16, torch.uint16), ((1 << 16) + 1, torch.int32)])
def test_a_ranking_is_read_as_it_was_written(tmp_path, images, kind):
    ranking = torch.from_numpy(np.random.default_rng(0).permuted(np.arange(images)[None].repeat(2, 0), axis=1))
    save_ranking(tmp_path / RANKING, ranking)
    found = load_tensors(tmp_path / RANKING)[0]["ranking"]
    assert found.dtype == kind and torch.equal(found.long(), ranking)
