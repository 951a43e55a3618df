"""What a training run will take, without training it: counted on a model without numbers (torch's meta device)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from reidlib import models
from reidlib.study.recipe import Recipe

STATES = {"adam": 2, "sgd": 1}  # of the optimiser, each as large as the weights


@dataclass(frozen=True)
class Network:
    """Of a network in training: its parameters, the floating point operations of a step, the bytes that it keeps for
    the backward pass in float32."""

    parameters: int
    flop: float
    kept: int


@dataclass(frozen=True)
class Speed:
    """How long a step takes: overhead + flop / rate, through two measured steps. device: where they were measured."""

    device: str
    overhead: float
    rate: float

    def seconds(self, flop: float, steps: int) -> float:
        """Of so many steps of so many operations each."""
        return steps * (self.overhead + flop / self.rate)


def network_of(scaled: Recipe, classes: int) -> Network:
    """A scaled recipe's network at its batch and image size.

    torch's counter counts too much for the backward pass of depthwise convolutions: OSNet's comes out a third too high.
    """
    options = tuple(sorted(scaled.model_options.items()))
    size = scaled.training.persons * scaled.training.images, scaled.clip_frames, scaled.height, scaled.width
    return _network(scaled.model, options, classes, *size)


@cache
def _network(model: str, options: tuple, classes: int, batch: int, frames: int, height: int, width: int) -> Network:
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.device("meta"):
        net = models.build(model, num_classes=classes, **dict(options)).train()
        images = torch.empty(batch, *([frames] if frames else []), 3, height, width)
        counter = FlopCounterMode(display=False)
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            heads = net(images)
            sum(x.sum() for x in [*heads.logits, *heads.metric_features]).backward()
    weights = {parameter.untyped_storage()._cdata for parameter in net.parameters()}
    activations = sum(size for storage, size in kept.items() if storage not in weights)
    return Network(sum(p.numel() for p in net.parameters()), counter.get_total_flops(), activations)


def memory(scaled: Recipe, network: Network, images: int) -> float:
    """Bytes of a run's tensors at their most: weights, gradients and optimiser, what a step keeps, all images.

    images: of the training set, which lie beside the model as uint8. bf16 halves what is kept and adds a copy of the
    weights. Not in it: the process itself, and what libraries work with.
    """
    half = scaled.training.precision == "bf16"
    weights = network.parameters * (4 * (2 + STATES[scaled.training.optimizer]) + (2 if half else 0))
    pixels = 3 * scaled.height * scaled.width
    batch = 2 * 4 * pixels * scaled.batch_images  # before and after a step of the augmentation
    return weights + network.kept / (2 if half else 1) + batch + pixels * images


def speeds(folder: Path, devices: Iterable[str]) -> list[Speed]:
    """The measured speeds of training on some types of device ("cuda", "cpu"), from the benchmark's records.

    folder: of `training-<device>.json`, as benchmarks/training.py writes them; those that are missing are left out.
    """
    found = []
    for device in devices:
        path = folder / f"training-{device}.json"
        if path.exists():
            record = json.loads(path.read_text())
            small, large = sorted(record["steps"], key=lambda step: step["flop"])
            more, longer = large["flop"] - small["flop"], large["seconds"] - small["seconds"]
            whole = large["flop"] / large["seconds"]  # of two steps that differ too little: no overhead
            rate = more / longer if more > 0 and longer > 0 else whole
            overhead = max(0.0, small["seconds"] - small["flop"] / rate)
            found.append(Speed(record["machine"]["device"], overhead, rate))
    return found
