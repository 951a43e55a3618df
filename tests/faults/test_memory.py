"""What does not fit into memory is a sentence that names what to lower; blocks stay within a budget."""

from __future__ import annotations

import multiprocessing
import os
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from reidlib.features import extract
from reidlib.memory import fitting
from reidlib.retrieval import _neighbours, distance, rerank
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
        ("features", "lower batch or the image's size"),
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


def test_a_smaller_budget_gives_the_same_answer(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    query, images = torch.randn(20, 8, generator=generator), torch.randn(300, 8, generator=generator)
    before = distance.cosine(query, images), rerank.k_reciprocal(query, images)
    monkeypatch.setattr(distance, "_BLOCK", 500)
    monkeypatch.setattr(_neighbours, "_BLOCK", 1000)
    assert torch.allclose(distance.cosine(query, images), before[0], rtol=0, atol=1e-6)
    assert torch.allclose(rerank.k_reciprocal(query, images), before[1], rtol=0, atol=1e-6)
