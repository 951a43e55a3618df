"""Every choice of post-processing: against the rankings it is made of; its effects against made-up worths."""

from __future__ import annotations

from itertools import combinations

import numba
import numpy as np
import pytest
import torch

from reidlib.study import factorial as factorial_module
from reidlib.study import interactions
from reidlib.study.data import TEST
from reidlib.study.factorial import FILE, FactorialNeed, factorial
from reidlib.study.fusing import Fusion, score_fused
from reidlib.study.profile import load_profile
from reidlib.study.ranking import Gallery, Ranking, score
from reidlib.study.recipes import along, processing, synthesis
from reidlib.study.recipes.processing import ALONE, EARLY, STEPS, VOTE, Cell, choices
from reidlib.study.runner import Study
from reidlib.study.store import Store


def gallery(number: int, persons: int = 6, frames: int = 5) -> Gallery:
    """Noisy features of the same pictures, by another model for another number."""
    generator = torch.Generator().manual_seed(number)
    centres = torch.randn(persons, 8, generator=torch.Generator().manual_seed(99))
    tensors = {}
    for role, wanted in (("query", [0]), ("gallery", range(1, frames))):
        pairs = torch.tensor([(p, f) for p in range(persons) for f in wanted])
        tensors[role] = centres[pairs[:, 0]] + 0.9 * torch.randn(len(pairs), 8, generator=generator)
        tensors |= {f"{role}_person": pairs[:, 0], f"{role}_frame": pairs[:, 1], f"{role}_sequence": pairs[:, 0]}
        tensors[f"{role}_camera"] = torch.full((len(pairs),), int(role == "gallery"))
    return Gallery.of(tensors)


@pytest.fixture
def galleries(monkeypatch) -> dict:
    """By model and flip; they are what a study has in place of runs."""
    found = {(name, flip): gallery(2 * i + flip) for i, name in enumerate(synthesis.models()) for flip in (0, 1)}
    by_row = {recipe.row: name for name, recipe in synthesis.models().items()}
    monkeypatch.setattr(Study, "gallery", lambda self, recipe, seed, scene: found[by_row[recipe.row], int(scene.flip)])
    return found


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(load_profile("smoke"), Store(tmp_path))


def test_cells_are_every_choice_once():
    cells = processing.cells()
    names = [cell.name for cell in cells]
    assert len(set(cells)) == len(set(names)) == len(cells) == 5 * 16 + 2 * 16 + 4
    assert [cell.steps for cell in cells if cell.models == (synthesis.FULL,)] == choices()
    assert choices()[0] == () and choices()[-1] == STEPS and len(set(choices())) == 16
    assert set(synthesis.MEMBERS) <= set(synthesis.models())


def test_a_cell_is_the_reports_rankings():
    assert Cell(("x",), ()).ranking == Ranking()
    assert Cell(("x",), ("AQE", "re-ranking")).ranking == along.setting((along.RERANK, along.AQE)).ranking
    assert Cell(("x",), ("flip",)).scene(TEST).flip and not Cell(("x",), ("walk",)).scene().flip
    assert Cell(("x",), ("walk",)).ranking == Ranking(vtrm=True, window=1)


def test_every_cell_is_scored_as_the_stages_of_one_model_and_of_several_score_it(study, galleries):
    entry = factorial(study, 0)
    found = entry.tensors(FILE)["average_precision"].numpy()
    assert found.shape == (len(processing.cells()), 6)
    for cell, cell_record, scores in zip(processing.cells(), entry.record["cells"], found, strict=True):
        flip, ranking = int("flip" in cell.steps), cell.ranking
        used = [galleries[name, flip] for name in cell.models]
        if cell.fusion == ALONE:
            wanted = score(used[0], ranking)
        elif cell.fusion == VOTE:
            by = "reranked" if "re-ranking" in cell.steps else "plain"
            wanted, _ = score_fused(used, Fusion(ranking, ties_by=by))
        else:
            wanted, _ = score_fused(used, Fusion(ranking, method="sum", rerank_after=cell.fusion == EARLY))
        np.testing.assert_array_equal(scores, wanted["average_precision"], err_msg=cell.name)
        assert cell_record["name"] == cell.name and cell_record["mAP"] == pytest.approx(scores.mean())
        assert cell_record["seconds"] >= 0
    assert entry.record["images"] == 6 * 5
    assert len({tuple(row) for row in found.round(6)}) > 20, "the choices do differ on these galleries"


def test_it_is_timed_on_one_thread_and_the_others_come_back(study, galleries, monkeypatch):
    seen = []
    timed = factorial_module._timed
    monkeypatch.setattr(
        factorial_module,
        "_timed",
        lambda *given: (seen.append((torch.get_num_threads(), numba.get_num_threads())), timed(*given))[1],
    )
    torch.set_num_threads(2)
    before = numba.get_num_threads()
    assert factorial(study, 0).record["threads"] == 1
    assert set(seen) == {(1, 1)}
    assert (torch.get_num_threads(), numba.get_num_threads()) == (2, before)


def test_the_need_is_met_by_what_it_computes(study, galleries):
    need = FactorialNeed()
    assert need.find(study, 0) is None
    assert need.compute(study, 0).key == need.find(study, 0).key
    assert need.find(study, 1) is None, "a seed of its own"


WORTH = {step: 2.0**number for number, step in enumerate(STEPS)}
CLASH = {("flip", "AQE"): -0.5, ("re-ranking", "walk"): -3.0}


def made_up(taken: tuple[str, ...]) -> np.ndarray:
    """(2, 3) the worth of the steps taken, less where two meet."""
    points = 50 + sum(WORTH[step] for step in taken) + sum(x for pair, x in CLASH.items() if set(pair) <= set(taken))
    return points + np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]])


def test_effects_of_made_up_worths():
    """A step meets its partner in half of the choices."""
    found = interactions.effects(made_up)
    assert list(found) == [*((step,) for step in STEPS), *combinations(STEPS, 2)]
    for step in STEPS:
        clash = sum(x for pair, x in CLASH.items() if step in pair)
        assert found[step,].mean == pytest.approx(WORTH[step] + clash / 2)
    for pair in combinations(STEPS, 2):
        assert found[pair].mean == pytest.approx(CLASH.get(pair, 0.0), abs=1e-9)
        assert found[pair].low == pytest.approx(found[pair].high), "no spread: every query has the same"


def test_steps_keep_their_order():
    assert interactions.with_step(("walk",), "flip", "re-ranking") == ("flip", "re-ranking", "walk")
