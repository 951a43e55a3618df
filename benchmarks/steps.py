"""A step of training, timed on a fixed tensor and on real batches of a world, for `benchmarks.training`."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reidlib import models
from reidlib.data import load_images, open_dataset
from reidlib.data.sampling import epoch_batches
from reidlib.objective import batch_loss
from reidlib.optimisation import make_optimizer
from reidlib.study.data import courtside_spec
from reidlib.study.profile import load_profile
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import vtrm
from reidlib.training import train

PROFILES = {"cuda": ("paper", "gpu"), "cpu": ("laptop", "smoke")}  # the network measured, and a smaller one


class Bench:
    """What all rows share: the device, the recipe at its scale, the world's images."""

    def __init__(self, device: str, tiny: bool) -> None:
        self.device = torch.device(device)
        self.cuda, self.tiny = device == "cuda", tiny
        large, small = ("smoke", "smoke") if tiny else PROFILES[device]
        self.recipe, self.small = (self._scaled(name) for name in (large, small))
        self.steps = 2 if tiny else 30  # timed, after as many that are not
        self.workers = 2 if tiny else os.cpu_count() or 1
        self.loader_seconds = 1.0 if tiny else 5.0
        if not self.cuda:
            torch.set_num_threads(1)

    def _scaled(self, profile: str) -> Recipe:
        recipe = vtrm.mgn().scaled(load_profile(profile))
        precision = "bf16" if self.cuda else "fp32"
        return replace(recipe, training=replace(recipe.training, epochs=2, freeze_epochs=0.0, precision=precision))

    @property
    def batch(self) -> int:
        return self.recipe.batch_images

    @cached_property
    def dataset(self):
        return open_dataset("courtside", spec=courtside_spec(10 if self.tiny else 32, 1, 1))

    @cached_property
    def labels(self) -> Tensor:
        return torch.tensor(self.dataset.rows("train").groupby("person").ngroup().to_numpy())

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    def images(self, recipe: Recipe) -> Tensor:
        return load_images(self.dataset, self.dataset.rows("train"), recipe.height, recipe.width, self.device)

    def batches(self, epoch: int, recipe: Recipe, steps: int) -> Tensor:
        """(steps, B): as many epochs of the small world as it takes."""
        t, found = recipe.training, []
        while sum(map(len, found)) < steps:
            found.append(epoch_batches(self.labels, t.persons, t.images, seed=epoch, epoch=len(found)))
        return torch.cat(found)[:steps]

    def model(self, recipe: Recipe) -> nn.Module:
        torch.manual_seed(0)
        options = {"num_classes": self.classes} | dict(recipe.model_options)
        return models.build(recipe.model, **options).train().to(self.device)

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


class Half(nn.Module):
    """The network under fp16 autocast, as a conventional program has it, or bf16 without autocast's cache."""

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype, cache: bool = True) -> None:
        super().__init__()
        self.network, self.device, self.dtype, self.cache = network, device, dtype, cache

    def forward(self, images: Tensor):
        with torch.autocast(self.device.type, self.dtype, cache_enabled=self.cache):
            return self.network(images)


def matrix_rate(bench: Bench) -> dict[str, Any]:
    """Operations a second of a large product of matrices in the precision of the training."""
    side = 256 if bench.tiny else 8192 if bench.cuda else 2048
    dtype = torch.bfloat16 if bench.cuda else torch.float32
    a, b = (torch.randn(side, side, device=bench.device, dtype=dtype) for _ in range(2))
    seconds = _seconds(bench, lambda: a @ b, 3 if bench.tiny else 50 if bench.cuda else 5)
    return {"side": side, "dtype": str(dtype).removeprefix("torch."), "tflop_per_second": 2 * side**3 / seconds / 1e12}


def fixed_tensor(bench: Bench, *, channels_last: bool = True, fused: bool = True, search: bool = False) -> float:
    """Seconds of a step on a tensor of noise that stays on the device: forward, losses, backward, update."""
    recipe = bench.recipe
    net = bench.model(recipe)
    if channels_last:
        net.to(memory_format=torch.channels_last)
    with torch.backends.cudnn.flags(enabled=True, benchmark=search):
        return _fixed(bench, net, net, channels_last, fused)


def graphed(bench: Bench) -> float:
    """The same with the network's forward and backward pass as CUDA graphs; on the CPU as they are."""
    net = bench.model(bench.recipe).to(memory_format=torch.channels_last)
    half = Half(net, bench.device, torch.bfloat16, cache=False)
    network = torch.cuda.make_graphed_callables(half, (_noise(bench, True),)) if bench.cuda else half
    return _fixed(bench, net, network, True, True, precision="fp32")


def compiled_fixed(bench: Bench) -> float:
    """The same with the network compiled by torch.compile."""
    net = bench.model(bench.recipe).to(memory_format=torch.channels_last)
    return _fixed(bench, net, torch.compile(net), True, True)


def _noise(bench: Bench, channels_last: bool) -> Tensor:
    pixels = torch.randn(bench.batch, 3, bench.recipe.height, bench.recipe.width, device=bench.device)
    return pixels.contiguous(memory_format=torch.channels_last) if channels_last else pixels


def _fixed(
    bench: Bench, net: nn.Module, network: nn.Module, channels_last: bool, fused: bool, precision: str = ""
) -> float:
    options = bench.recipe.training
    asked = replace(options, precision=precision) if precision else options
    pixels = _noise(bench, channels_last)
    labels = bench.labels.to(bench.device)[bench.batches(0, bench.recipe, 1)[0].to(bench.device)]
    optimizer = make_optimizer(net, options) if fused else torch.optim.Adam(net.parameters(), lr=options.learning_rate)

    def step() -> None:
        losses = torch.stack(batch_loss(network, pixels, labels, asked)[:2])
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimizer.step()

    return _seconds(bench, step, bench.steps)


def _seconds(bench: Bench, step: Callable[[], Any], times: int) -> float:
    for _ in range(max(2, times // 3)):
        step()
    bench.wait()
    started = time.perf_counter()
    for _ in range(times):
        step()
    bench.wait()
    return (time.perf_counter() - started) / times


def real_batches(bench: Bench, recipe: Recipe, compiled: bool = False, steps: int = 0) -> tuple[float, float]:
    """Seconds of a step of `reidlib.training.train`, its second epoch's, and the device's peak memory in bytes."""
    steps = steps or bench.steps
    images, net = bench.images(recipe), bench.model(recipe)
    if bench.cuda:
        torch.cuda.reset_peak_memory_stats()
    curve = train(
        net,
        images,
        bench.labels,
        augmentation=recipe.augmentation,
        options=recipe.training,
        seed=0,
        batches=lambda epoch: bench.batches(epoch, recipe, steps),
        advance=lambda iterations: None,
        compiled=compiled,
    )
    return curve[1]["seconds"] / steps, torch.cuda.max_memory_allocated() if bench.cuda else 0


def waits(bench: Bench) -> dict[str, Any]:
    """How often a step waits for the device, and where, as torch tells; never on the CPU."""
    steps = 3
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if bench.cuda:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            real_batches(bench, bench.recipe, steps=steps)
        finally:
            if bench.cuda:
                torch.cuda.set_sync_debug_mode("default")
    found = [f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchron" in str(w.message)]
    places = {place: found.count(place) for place in sorted(set(found))}
    return {"waits": len(found) / (2 * steps), "places in two epochs of three steps": places}
