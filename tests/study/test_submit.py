"""The submission of a fused ranking: read back with a plain CSV reader and scored again from the file alone."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidlib.data.dataset import Dataset
from reidlib.data.table import make_table
from reidlib.study.data import TEST
from reidlib.study.fusing import Fusion, score_fused
from reidlib.study.ranking import Gallery, Ranking
from reidlib.study.submit import write_submission

PERSONS, FRAMES, SEED = 7, 5, 3
RECIPES = ["one", "two"]  # what a model's features are drawn for, nothing more
FUSIONS = {
    "vote": Fusion(Ranking(vtrm=True, window=2), ties_by="plain"),
    "sum": Fusion(Ranking(), method="sum"),
    "walk on the sum": Fusion(Ranking(vtrm=True, window=2), method="sum"),
}


def dataset(stem_of) -> Dataset:
    """A frame of each person asks for the others; before the test split the table has as many rows of another one."""
    rows = []
    for split in ("train", "test"):
        for person in range(PERSONS):
            for frame in range(FRAMES):
                role = "train" if split == "train" else "gallery" if frame else "query"
                path = f"{split}/{role}/{stem_of(split, person, frame)}.jpeg"
                rows.append((path, person, int(frame > 0), person, frame, split, role))
    names = ("path", "person", "camera", "sequence", "frame", "split", "role")
    table = make_table(dict(zip(names, zip(*rows, strict=True), strict=True)))
    table.index += 1000  # so that a row's label is no place in the split
    return Dataset("made up", None, table, "")


class MadeUp:
    """A study whose models see a person's place and noise of their own, in the table's order."""

    def __init__(self, stem_of):
        self.data = SimpleNamespace(dataset=dataset(stem_of))
        self.asked = []

    def gallery(self, recipe, seed, scene):
        self.asked.append((recipe, seed, scene))
        generator = torch.Generator().manual_seed(RECIPES.index(recipe))
        centres = torch.randn(PERSONS, 8, generator=torch.Generator().manual_seed(99))
        tensors = {}
        for role in ("query", "gallery"):
            part = self.data.dataset.rows("test", role)
            for name in ("person", "camera", "sequence", "frame"):
                tensors[f"{role}_{name}"] = torch.tensor(part[name].to_numpy())
            noise = torch.randn(len(part), 8, generator=generator)
            tensors[role] = centres[tensors[f"{role}_person"]] + 1.2 * noise
        return Gallery.of(tensors)


def numbers(split, person, frame):
    """Names that are numbers, in another order than the table's, some with zeros before them."""
    number = np.random.default_rng(5).permutation(900)[person * FRAMES + frame]
    return f"{number:03d}"


def labels(split, person, frame):
    return f"{person:04d}_0001_{frame:02d}"


def ids_by_number():
    """Person by id, of the queries and of the gallery in the table's order: by person, then frame."""
    pairs = [(int(numbers("test", p, f)), p, f) for p in range(PERSONS) for f in range(FRAMES)]
    query = {number: p for number, p, f in pairs if f == 0}
    return query, {number: p for number, p, f in pairs if f > 0}


def ids_by_place():
    """As above: the table has the gallery before the queries, each by person."""
    count = PERSONS * (FRAMES - 1)
    return {count + p: p for p in range(PERSONS)}, {i: i // (FRAMES - 1) for i in range(count)}


def average_precision(row, persons, wanted):
    """The mean over the true matches of the share of true ones among the images up to it."""
    right = [person == wanted for _, person in sorted(zip(row, persons, strict=True))]
    return np.mean([sum(right[: i + 1]) / (i + 1) for i in range(len(right)) if right[i]])


@pytest.mark.parametrize("method", FUSIONS)
@pytest.mark.parametrize(("stem_of", "ids"), [(numbers, ids_by_number), (labels, ids_by_place)])
def test_file_scores_as_the_fused_ranking(tmp_path, stem_of, ids, method):
    query, gallery = ids()
    study, fusion = MadeUp(stem_of), FUSIONS[method]
    said = write_submission(tmp_path / "mine.csv", study, RECIPES, SEED, fusion)
    assert said == "mine.csv: the ranks of 28 gallery images for each of 7 queries."
    assert study.asked == [(recipe, SEED, TEST) for recipe in RECIPES]

    with open(tmp_path / "mine.csv", newline="") as file:
        (corner, *columns), *lines = csv.reader(file)
    assert corner == "0"
    assert [int(cell) for cell in columns] == list(gallery)
    assert [int(line[0]) for line in lines] == sorted(query)
    ranks = [[float(cell) for cell in line[1:]] for line in lines]
    assert all(sorted(row) == list(range(1, 29)) for row in ranks)

    persons = list(gallery.values())
    scores = [average_precision(row, persons, query[int(line[0])]) for row, line in zip(ranks, lines, strict=True)]
    wanted, _ = score_fused([study.gallery(recipe, SEED, TEST) for recipe in RECIPES], fusion)
    assert 0.3 < wanted["mAP"] < 0.95, "a ranking without errors, or of chance, would tell nothing"
    assert np.mean(scores) == pytest.approx(wanted["mAP"], abs=1e-12)
    by_query = dict(zip(query, wanted["average_precision"], strict=True))  # the table's order
    assert scores == pytest.approx([by_query[number] for number in sorted(query)], abs=1e-12)
