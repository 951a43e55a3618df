"""Pinned numbers: a change here means that a stage's VERSION in reidlib/study/runner.py has to be raised."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from reidlib import models
from reidlib.augment import Augmentation, normalise
from reidlib.data.sampling import clip_batches
from reidlib.features import extract
from reidlib.gradcam import consistency, entropy, grad_cam
from reidlib.losses import class_aware_attention
from reidlib.optimisation import TrainingOptions, make_centers
from reidlib.study.fusing import Fusion, score_fused
from reidlib.study.ranking import Gallery, Ranking, score
from reidlib.study.runner import VERSIONS
from reidlib.study.scatter import ratio, silhouette
from reidlib.training import train

TRAINED = {1: [2.30519, 1.38311, 2.30479, 1.20866, 2.29874, 0.92603, 2.29538, 1.3016]}
FEATURES = {1: [3.9896, 4.8286, 4.4202, 3.7766]}
CLIPS = {1: [2.30115, 1.40138, 2.30226, 1.6811, 2.29314, 1.47293, 2.27864, 1.11102]}  # of the stage train
MINED = {1: [2.29545, 0.64454, 2.26469, 0.64511, 2.25837, 0.64388, 2.18133, 0.57012]}  # of the stage train
CENTERS = 18.2359
EXAMINED = {1: [2.97478, 0.58568, 0.2799, 0.31611]}
ATTENDED = {1: [0.4293, 0.39845, 0.13718, 0.1181]}
FUSED = {1: [0.7001184, 0.7077418, 0.6941964, 0.8977332, 0.8214021, 0.7199829]}
PROCESSED = {1: [0.6827585, 0.5378925, 0.6434845]}
EVALUATED = {2: [0.9233959, 0.9523965, 0.8517677, 0.9336772]}


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """40 noisy pictures of 10 colours, from a generator of their own."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat_interleave(4)
    colours = torch.randint(0, 200, (10, 3, 1, 1), generator=generator)
    noise = torch.randint(0, 55, (40, 3, 48, 32), generator=generator)
    return (colours[labels] + noise).to(torch.uint8), labels


def trained() -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """20 steps on the CPU: 4 epochs of 5."""
    torch.manual_seed(5)
    model = models.build("mgn", num_classes=10, backbone="resnet18_ibn", width=0.125, parts=(1, 2), part_dim=8)
    options = TrainingOptions(
        epochs=4, persons=4, images=2, learning_rate=1e-3, warmup_epochs=1.0, freeze_epochs=0.4, milestones=(3.0,)
    )
    augmentation = Augmentation(flip=0.5, pad=2, erasing=0.5)
    return model, train(model, *images(), augmentation=augmentation, options=options, seed=7)


def test_training_and_features():
    model, curve = trained()
    losses = [value for point in curve for value in (point["cross_entropy"], point["triplet"])]
    pinned = TRAINED[VERSIONS["train"]]
    assert losses[:2] == pytest.approx(pinned[:2], rel=1e-4)  # the first epoch, to the digits that are pinned
    assert losses[2:] == pytest.approx(pinned[2:], rel=2e-2)  # other processors' last bits grow from step to step
    features = extract(model, images()[0]).float()
    assert features.norm(dim=1)[:4].tolist() == pytest.approx(FEATURES[VERSIONS["features"]], rel=2e-2)


def clip_model() -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """12 steps on the CPU: 4 epochs of 3; a person's four pictures are two tracklets of two frames."""
    torch.manual_seed(5)
    model = models.build("video", num_classes=10, backbone="resnet18", width=0.125, temporal="ica")
    options = TrainingOptions(epochs=4, persons=3, images=2, learning_rate=1e-3, label_smoothing=0.0)
    pictures, labels = images()
    draw = partial(clip_batches, labels, torch.arange(40) // 2, 3, 2, 2, spread=False, seed=7)
    augmentation = Augmentation(flip=0.5, pad=2, erasing=0.5, frames=2, scale="unit")
    return model, train(
        model,
        pictures,
        labels,
        augmentation=augmentation,
        options=options,
        seed=7,
        batches=lambda epoch: draw(epoch=epoch),
    )


def attention_model() -> torch.nn.Module:
    return models.build("video", num_classes=10, backbone="resnet18", width=0.125, last_stride=1, neck=True,
                        temporal="attention", image_size=(48, 32))  # fmt: skip


def mined_model() -> tuple[torch.nn.Module, torch.Tensor, list[dict[str, float]]]:
    """The same clips with temporal attention and all of report `attention`'s losses; the centres too."""
    torch.manual_seed(5)
    model = attention_model()
    options = TrainingOptions(
        epochs=4,
        persons=3,
        images=2,
        learning_rate=1e-3,
        triplet_distance="cosine",
        center_weight=5e-4,
        osm="centers",
        osm_sigma=0.9,
        osm_alpha=2.8,
        attention_weight=1.0,
    )
    pictures, labels = images()
    draw = partial(clip_batches, labels, torch.arange(40) // 2, 3, 2, 2, spread=True, seed=7)
    centers = make_centers(10, model.feature_dim, 5, torch.device("cpu"))
    curve = train(
        model,
        pictures,
        labels,
        augmentation=Augmentation(flip=0.5, pad=2, erasing=0.5, erasing_again=0.3),
        options=options,
        seed=7,
        batches=lambda epoch: draw(epoch=epoch),
        centers=centers,
    )
    return model, centers, curve


def test_mined_clips():
    model, centers, curve = mined_model()
    losses = [value for point in curve for value in (point["cross_entropy"], point["triplet"])]
    pinned = MINED[VERSIONS["train"]]
    assert losses[:2] == pytest.approx(pinned[:2], rel=1e-4) and losses[2:] == pytest.approx(pinned[2:], rel=2e-2)
    assert float(centers.detach().norm()) == pytest.approx(CENTERS, rel=2e-2)


def test_clips_and_what_is_seen_of_them():
    model, curve = clip_model()
    losses = [value for point in curve for value in (point["cross_entropy"], point["triplet"])]
    pinned = CLIPS[VERSIONS["train"]]
    assert losses[:2] == pytest.approx(pinned[:2], rel=1e-4) and losses[2:] == pytest.approx(pinned[2:], rel=2e-2)
    clips = normalise(images()[0], "unit").unflatten(0, (10, 4))
    with torch.no_grad():
        towards, frames = model.eval()(clips), model.frames(clips.flatten(0, 1)).unflatten(0, (10, 4))
    maps = grad_cam(model, clips, towards + 1, model.backbone.layer2)
    found = [entropy(maps).nanmean(), consistency(maps).nanmean(), ratio(frames).mean(), silhouette(frames).mean()]
    assert [float(x) for x in found] == pytest.approx(EXAMINED[VERSIONS["examine"]], rel=2e-2)


def test_attention_and_the_classes_of_clips():
    """What the stage attend keeps: scores and weights of frames, and what a clip weighs by each kind of class."""
    torch.manual_seed(6)
    model = attention_model()
    pictures, labels = images()
    with torch.no_grad():
        frames = model.eval().frames(normalise(pictures)).unflatten(0, (10, 4))
        clip, features = model.aggregate(frames), model.clips(frames)
        found = [clip.scores.mean(), clip.weights.amax()]
        for classes in (model.classify.weight, torch.randn(model.classify.weight.shape)):
            found.append(class_aware_attention(features, labels[::4], classes).amax())
    assert [float(x) for x in found] == pytest.approx(ATTENDED[VERSIONS["attend"]], rel=2e-2)


def crowd(seed: int, noise: float = 0.9) -> Gallery:
    """6 persons, a query and 5 gallery images of each, by a model of its own."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(6, 16, generator=generator)
    tensors = {
        "query": centres + noise * torch.randn(6, 16, generator=generator),
        "gallery": centres.repeat_interleave(5, dim=0) + noise * torch.randn(30, 16, generator=generator),
    }
    for role, count in (("query", 1), ("gallery", 5)):
        tensors[f"{role}_person"] = torch.arange(6).repeat_interleave(count)
        tensors[f"{role}_camera"] = torch.full((6 * count,), int(role == "gallery"))
        tensors[f"{role}_sequence"] = tensors[f"{role}_person"]
        tensors[f"{role}_frame"] = torch.arange(count).repeat(6)
    return Gallery.of(tensors)


RERANKED = Ranking(rerank=True, k1=6, k2=3)


def test_evaluation():
    rankings = [
        Ranking(),
        RERANKED,
        Ranking(vtrm=True, window=2),
        replace(RERANKED, vtrm=True, window=None, aggregate="min"),
    ]
    found = [score(crowd(1), ranking)["mAP"] for ranking in rankings]
    assert found == pytest.approx(EVALUATED[VERSIONS["evaluate"]], rel=1e-5)


def test_fusion():
    walk = replace(RERANKED, vtrm=True, window=1)
    fusions = [
        Fusion(Ranking()),
        Fusion(walk),
        Fusion(walk, method="sum"),
        Fusion(RERANKED, method="sum", rerank_after=True),
        Fusion(RERANKED, method="sum", scaled=True, curve=2),
    ]
    found = [score_fused([crowd(seed, 1.5) for seed in (1, 2, 3)], fusion)[0] for fusion in fusions]
    pinned = FUSED[VERSIONS["fuse"]]
    assert [metrics["mAP"] for metrics in found] == pytest.approx(pinned[:-1], rel=1e-5)
    assert sum(map(sum, found[-1]["curve"])) / 18 == pytest.approx(pinned[-1], rel=1e-5)


def test_post_processing():
    """What the stage factorial adds to the others: expansion before all of them."""
    ranking = replace(RERANKED, vtrm=True, window=1, expansion=4, expansion_alpha=1.0)
    found = [score(crowd(1, 1.5), replace(ranking, vtrm=walk))["mAP"] for walk in (False, True)]
    found.append(score_fused([crowd(1, 1.5), crowd(2, 1.5)], Fusion(ranking))[0]["mAP"])
    assert found == pytest.approx(PROCESSED[VERSIONS["factorial"]], rel=1e-5)


def test_every_stage_of_numbers_is_pinned():
    """The stages cost and memory measure the machine."""
    pinned = {"train": TRAINED, "features": FEATURES, "evaluate": EVALUATED, "fuse": FUSED, "examine": EXAMINED}
    pinned |= {"attend": ATTENDED, "factorial": PROCESSED}
    assert {stage: list(found) for stage, found in pinned.items()} == {
        stage: [version] for stage, version in VERSIONS.items() if stage not in ("cost", "memory")
    }
