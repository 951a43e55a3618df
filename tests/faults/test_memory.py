"""What does not fit into memory is a sentence that names what to lower; blocks stay within a budget."""

from __future__ import annotations

import multiprocessing
import os
import resource
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import nn

from reidlib.features import extract
from reidlib.memory import fitting, rows_at_once
from reidlib.retrieval import distance, rerank
from reidlib.retrieval.expansion import average_query_expansion
from reidlib.study.ranking import Gallery, Ranking, score
from reidlib.training import train

ROOM = 600 << 20  # bytes above what the process has; what is asked for below is more


class Wide(nn.Module):
    """Makes 4 GiB of a batch of 128 small images."""

    def forward(self, x):
        return x.mean(dim=(1, 2, 3))[:, None].expand(-1, 1 << 23).contiguous()


def gallery(n: int) -> Gallery:
    labels = {name: torch.arange(n) for name in ("person", "camera", "sequence", "frame")}
    return Gallery(torch.ones(n, 2), torch.ones(n, 2), labels, labels)


def ask_for_too_much(what: str) -> None:
    if what == "features":
        extract(Wide(), torch.zeros(128, 3, 32, 32, dtype=torch.uint8))
    elif what == "distances":
        score(gallery(40_000), Ranking())
    elif what == "walk":
        score(gallery(40_000), Ranking(rerank=True, vtrm=True))
    elif what == "images":
        with fitting("a tensor of 1 image", "the number of images or their size"):
            torch.empty(1 << 33, dtype=torch.uint8)


def limited(what: str, told) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    torch.set_num_threads(1)
    try:
        ask_for_too_much(what)
    except ValueError as error:
        told.send(str(error))
    except BaseException as error:
        told.send(repr(error))
    os._exit(0)


@pytest.mark.parametrize(
    ("what", "lower"),
    [
        ("features", "lower REID_MEMORY_MIB, batch or the image's size"),
        ("distances", "lower val_ids or test_ids"),
        ("walk", "lower val_ids or test_ids"),
        ("images", "lower the number of images or their size"),
    ],
)
def test_what_to_lower_is_said(what, lower):
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=limited, args=(what, there))
    process.start()
    there.close()
    assert here.poll(120), "it did not end"
    told = here.recv()
    process.join()
    assert told.startswith("memory: ") and lower in told and "\n" not in told, told


def test_a_training_step_that_does_not_fit(monkeypatch):
    from reidlib import models, training
    from reidlib.augment import Augmentation
    from reidlib.optimisation import TrainingOptions

    def too_large(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(training, "batch_loss", too_large)
    model = models.build("baseline", num_classes=2, backbone="resnet18", width=0.125)
    options = TrainingOptions(epochs=1, persons=2, images=2, learning_rate=1e-3)
    images, labels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"^memory: a training step of 4 images .*lower persons \(batch_scale\) or im"):
        train(model, images, labels, augmentation=Augmentation(), options=options, seed=0)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), fitting("x", "y"):
        raise RuntimeError("a wrong shape")


def test_a_smaller_budget_gives_the_same_answer_in_smaller_blocks(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    query, images = torch.randn(300, 8, generator=generator), torch.randn(30_000, 8, generator=generator)

    def found():
        return distance.cosine(query, images), *average_query_expansion(query, images[:3000], times=2)

    def blocks(of):
        with mock.patch("torch.addmm", wraps=torch.addmm) as seen:
            of(query, images)
        return [len(call.args[1]) for call in seen.call_args_list]

    before = found()
    assert blocks(distance.cosine) == [279, 21]
    monkeypatch.setenv("REID_MEMORY_MIB", "32")
    assert blocks(distance.cosine) == [4] * 75  # 1 MiB of 30,000 distances of 8 bytes
    for mine, theirs in zip(found(), before, strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-6)
    assert rows_at_once(8 * 30_000) == 4 and rows_at_once(1 << 30) == 1


def test_re_ranking_within_a_smaller_budget(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    query, images = torch.randn(20, 8, generator=generator), torch.randn(1000, 8, generator=generator)
    before = rerank.k_reciprocal(query, images)
    monkeypatch.setenv("REID_MEMORY_MIB", "32")
    assert rows_at_once(8 * 1020) == 128
    assert torch.allclose(rerank.k_reciprocal(query, images), before, rtol=0, atol=1e-6)


class Counting(nn.Module):
    """Its largest output is 1 MiB an image; notes how many it sees at once."""

    def __init__(self):
        super().__init__()
        self.seen, self.grow = [], nn.Conv2d(3, 256, 1)

    def forward(self, x):
        self.seen.append(len(x))
        return self.grow(x).mean(dim=(2, 3))


def test_extraction_takes_its_batch_from_the_budget(monkeypatch):
    model = Counting()
    images = torch.randint(0, 256, (40, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    before = extract(model, images).float()
    assert model.seen == [1, 40]
    model.seen.clear()
    monkeypatch.setenv("REID_MEMORY_MIB", "32")
    after = extract(model, images).float()
    assert model.seen == [1] + [10] * 4  # three outputs of 1 MiB an image
    assert torch.allclose(after, before, rtol=0, atol=1e-3)
    model.seen.clear()
    extract(model, images, scales=(1.0, 2.0))
    assert set(model.seen[1:]) == {2}  # four times as large


@pytest.mark.parametrize("told", ["31", "-5", "2.5", "much", ""])
def test_a_budget_is_a_whole_number(told, monkeypatch):
    monkeypatch.setenv("REID_MEMORY_MIB", told)
    with pytest.raises(ValueError, match=r"^REID_MEMORY_MIB: wants a whole number of MiB, 32 at least, got '"):
        rows_at_once(8)
