"""NaN, infinity, zeros, constants, duplicates, lone images and extremes through every retrieval function and loss.

What is refused is refused in a sentence; what is answered is whole: finite distances, rankings that are permutations.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from reidlib import losses, models
from reidlib.augment import Augmentation
from reidlib.optimisation import TrainingOptions
from reidlib.retrieval import distance, expansion, fusion, metrics, rerank, submission, vtrm
from reidlib.training import train

HALF = torch.finfo(torch.float16)


def features(m: int, n: int, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(m + n, 8, generator=generator)
    if kind == "constant":
        x = torch.ones(m + n, 8)
    elif kind == "duplicates":
        x = x[torch.arange(m + n) % 2]
    elif kind == "largest half":
        x = (x.sign() * HALF.max).half()
    elif kind == "smallest half":
        x = (x.sign() * HALF.smallest_normal).half()
    elif kind == "below half":
        x = (x.sign() * 6e-8).half()
    elif kind == "largest float":
        x = x.sign() * torch.finfo(torch.float32).max
    return x[:m], x[m:]


KINDS = ("usual", "constant", "duplicates", "largest half", "smallest half", "below half", "largest float")
SIZES = [(1, 1), (1, 5), (4, 1), (3, 9)]


def matrices(query, gallery):
    return distance.cosine(query, gallery), distance.cosine(query, query), distance.cosine(gallery, gallery)


ANSWERS = {
    "euclidean": distance.euclidean,
    "cosine": distance.cosine,
    "k_reciprocal": rerank.k_reciprocal,
    "fastreid": lambda q, g: rerank.k_reciprocal(q, g, variant="fastreid"),
    "from_distances": lambda q, g: rerank.k_reciprocal_from_distances(
        *(matrices(q, g)[i] for i in (1, 0, 2)), k1=30, k2=20
    ),
    "expansion": lambda q, g: expansion.average_query_expansion(q, g, k=len(q) + len(g))[0] @ torch.ones(8, len(g)),
    "sum": lambda q, g: fusion.sum_distances(torch.stack([distance.cosine(q, g)] * 3)),
}
ORDERS = {
    "mine": lambda q, g: vtrm.mine(distance.cosine(q, g), distance.cosine(g, g), window=50),
    "mine global": lambda q, g: vtrm.mine(
        distance.cosine(q, g), distance.cosine(g, g), window=None, reference=True, aggregate="min"
    ),
    "vote": lambda q, g: fusion.vote(
        torch.stack([distance.cosine(q, g).argsort(dim=1, stable=True)] * 2), torch.stack([distance.cosine(q, g)] * 2)
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*ANSWERS, *ORDERS])
def test_answers_are_whole(name, kind, size):
    """One query, one gallery image, more neighbours asked for than there are, every value at a format's end."""
    query, gallery = features(*size, kind)
    try:
        answer = (ANSWERS | ORDERS)[name](query, gallery)
    except ValueError as error:
        assert kind == "largest float" and "\n" not in str(error), error  # its squares are beyond float32
        return
    assert answer.shape == size
    if name in ORDERS:
        assert torch.equal(answer.sort(dim=1).values, torch.arange(size[1]).expand(size))
    elif not (name == "euclidean" and kind == "largest float"):
        assert answer.isfinite().all()
    if name in ("cosine", "fastreid") and kind == "constant":
        assert answer.abs().max() < 1e-6


def call(name: str, q, g):
    labels = metrics.Labels(torch.arange(len(g)), camera=torch.arange(len(g)))
    asked = metrics.Labels(torch.arange(len(q)), camera=torch.arange(len(q)) + 1)
    d = torch.cdist(q, g)
    return {
        "euclidean": lambda: distance.euclidean(q, g),
        "cosine": lambda: distance.cosine(q, g),
        "k_reciprocal": lambda: rerank.k_reciprocal(q, g),
        "fastreid": lambda: rerank.k_reciprocal(q, g, variant="fastreid"),
        "from_distances": lambda: rerank.k_reciprocal_from_distances(torch.cdist(q, q), d, torch.cdist(g, g)),
        "expansion": lambda: expansion.average_query_expansion(q, g),
        "mine": lambda: vtrm.mine(d, torch.cdist(g, g)),
        "vote": lambda: fusion.vote(torch.stack([torch.arange(len(g)).expand(d.shape)]), d[None]),
        "sum": lambda: fusion.sum_distances(d[None]),
        "evaluate": lambda: metrics.evaluate(d, asked, labels),
        "write": lambda: submission.write_distances("/nowhere/x.csv", d, range(len(q)), range(len(g))),
    }[name]()


EVERY = ["euclidean", "cosine", "k_reciprocal", "fastreid", "from_distances", "expansion", "mine", "vote", "sum",
         "evaluate", "write"]  # fmt: skip


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", EVERY)
def test_what_is_no_number_is_refused(name, side, bad):
    pair = features(3, 5, "usual")
    pair[side][1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite") as caught:
        call(name, *pair)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sizes", [(0, 5), (3, 0)])
@pytest.mark.parametrize("name", [name for name in EVERY if name != "vote"])
def test_nothing_is_refused(name, sizes):
    with pytest.raises(ValueError):
        call(name, torch.zeros(sizes[0], 8), torch.zeros(sizes[1], 8))


@pytest.mark.parametrize("name", ["cosine", "fastreid"])
def test_a_vector_of_zeros_has_no_direction(name):
    query, gallery = features(2, 3, "usual")
    gallery[1] = 0
    with pytest.raises(ValueError, match="gallery: row 1|y: row 1"):
        call(name, query, gallery)


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-30, 1.0, 3e4, HALF.max])
def test_metrics_of_equal_distances(value):
    """A constant tells nobody apart: under SynergyReID's rule, precision is that of the whole gallery."""
    people = metrics.Labels(np.array([0, 1, 1, 2]))
    found = metrics.evaluate(np.full((1, 4), value, np.float32), metrics.Labels(np.array([1])), people, "synergyreid")
    assert found.mAP == 0.5


def batch(kind: str, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """6 features of 3 persons, 2 images each; the labels."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 4, generator=generator)
    if kind == "zeros":
        x = torch.zeros(6, 4)
    elif kind == "constant":
        x = torch.ones(6, 4)
    elif kind == "duplicates":
        x = x[:2].repeat(3, 1)
    elif kind == "half's ends":
        x = torch.where(x > 0, HALF.max, HALF.smallest_normal)
    elif kind == "tiny":
        x = x * 1e-30
    return x.to(dtype).requires_grad_(), torch.arange(3).repeat_interleave(2)


WEIGHT = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
LOSSES = {
    "triplet": losses.triplet_loss,
    "triplet soft": lambda x, y: losses.triplet_loss(x, y, margin=0.0),
    "triplet squared": lambda x, y: losses.triplet_loss(x, y, distance="squared"),
    "triplet normalised": lambda x, y: losses.triplet_loss(x, y, normalise=True),
    "triplet cosine": lambda x, y: losses.triplet_loss(x, y, distance="cosine"),
    "circle": losses.circle_loss,
    "circle softmax": lambda x, y: losses.circle_softmax(x, WEIGHT.to(x.dtype), y),
    "center": lambda x, y: losses.center_loss(x, y, WEIGHT.to(x.dtype)),
    "osm": lambda x, y: losses.osm_loss(x, y, WEIGHT.to(x.dtype)),
    "cross-entropy": lambda x, y: losses.cross_entropy(x, y),
    "attention": lambda x, y: losses.attention_loss(x, torch.tensor([[True, False, True, False]]).expand(6, 4)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["usual", "zeros", "constant", "duplicates", "half's ends", "tiny"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite(name, kind, dtype):
    """Under autocast too, to which the dtype of the features is what a network gives."""
    x, labels = batch(kind, dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
        loss = LOSSES[name](x, labels)
    assert loss.dtype == torch.float32 and loss.isfinite()
    loss.backward()
    if dtype == torch.float16 and kind == "half's ends" and name.startswith("circle"):
        return  # gamma over the length of a feature that short, 64 / 1.2e-4, is no float16; the study has no float16
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "cross-entropy"])
def test_losses_refuse_what_is_no_number(name, bad):
    x, labels = batch("usual")
    x = x.detach()
    x[0, 0] = bad
    with pytest.raises(ValueError) as caught:
        LOSSES[name](x, labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in LOSSES if name.startswith(("triplet", "circle", "center", "osm"))])
def test_one_image_of_each_person(name):
    """No positives: a sentence, or a loss that is finite."""
    x, _ = batch("usual")
    try:
        loss = LOSSES[name](x[:3], torch.arange(3))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert loss.isfinite()


OPTIONS = TrainingOptions(epochs=2, persons=4, images=2, learning_rate=1e-3, warmup_epochs=0.0)
NAMES = [f"image-{number}.png" for number in range(16)]


def run(options=OPTIONS, spoil=None, **more):
    torch.manual_seed(0)
    net = models.build("baseline", num_classes=8, backbone="resnet18", width=0.125)
    images = torch.randint(0, 255, (16, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    if spoil:
        spoil(net)
    return train(net, images, torch.arange(8).repeat_interleave(2), augmentation=Augmentation(), options=options,
                 seed=0, names=NAMES, **more)  # fmt: skip


def test_a_loss_that_is_not_finite_names_step_images_and_checkpoint(tmp_path):
    checkpoint = tmp_path / "c.safetensors"

    def spoil(epoch):
        nets[0].head.classify.weight.data.fill_(math.nan)
        return {}

    nets = []
    with pytest.raises(ValueError) as caught:
        run(replace(OPTIONS, epochs=3), nets.append, checkpoint=checkpoint,
            at_epoch=lambda epoch: spoil(epoch) if epoch == 2 else {})  # fmt: skip
    text = str(caught.value)
    assert "\n" not in text and text.startswith("loss: not finite in epoch 3, iteration ")
    named = text.split("images ")[1].split(";")[0].split(", ")
    assert len(named) == 8 and set(named) <= set(NAMES)
    assert f"the epoch before is kept in {checkpoint}" in text


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    """The last step of an epoch spoils them while every loss was finite: neither a checkpoint nor a result."""
    checkpoint = tmp_path / "c.safetensors"
    one_step = replace(OPTIONS, persons=8, images=2, epochs=1, learning_rate=1e38, weight_decay=1e38, optimizer="sgd")
    with pytest.raises(ValueError, match="^weights: not finite in epoch 1, iteration 0, batch of 16 images image-"):
        run(one_step, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="^weights: not finite in epoch 1"):
        run(replace(one_step, epochs=2), checkpoint=checkpoint)
    assert not checkpoint.exists()
