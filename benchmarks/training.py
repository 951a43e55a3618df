"""Speed of a training step: real batches against a fixed tensor, a conventional loader, the device's matrix rate.

    python benchmarks/training.py                  on a CUDA device, MGN-ResNet-50-ibn at 384 x 128, batches of 128
    python benchmarks/training.py --device cpu     on one core, the laptop profile's MGN, for `reid plan`
    python benchmarks/training.py --device cpu --tiny --out tiny.json     every line once, at the smoke profile

Everything is measured in one run, on images of the Courtside world, which is rendered first. The record,
book/records/benchmarks/training-<device>.json, is written anew after each row; a row that fails says why, and one for
which too little of --seconds is left is left out; torch.compile alone wants a minute or two. Times are wall times of
whole steps, after a warm-up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from reidlib import models
from reidlib.augment import IMAGENET_MEAN, IMAGENET_STD
from reidlib.data import load_images, open_dataset
from reidlib.data.sampling import epoch_batches
from reidlib.objective import batch_loss
from reidlib.optimisation import make_optimizer
from reidlib.study.data import courtside_spec
from reidlib.study.estimate import memory, network_of
from reidlib.study.profile import load_profile
from reidlib.study.provenance import ROOT, device_name, source, versions
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
        self.steps = 2 if tiny else 30 if self.cuda else 8  # timed, after as many that are not
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


class Files(torch.utils.data.Dataset):
    """Image files, each opened and transformed by itself."""

    def __init__(self, bench: Bench) -> None:
        recipe, a = bench.recipe, bench.recipe.augmentation
        self.paths = [str(bench.dataset.root / path) for path in bench.dataset.rows("train")["path"]]
        self.labels = bench.labels.tolist()
        size = recipe.height, recipe.width
        self.transform = transforms.Compose(
            [
                transforms.Resize(size, transforms.InterpolationMode.BICUBIC),
                transforms.RandomHorizontalFlip(a.flip),
                transforms.Pad(a.pad),
                transforms.RandomCrop(size),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
                transforms.RandomErasing(a.erasing, a.erasing_area, a.erasing_aspect),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[number]) as image:
            return self.transform(image.convert("RGB")), self.labels[number]


def loader(bench: Bench) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end from worker processes."""

    def endless() -> Iterator[list[int]]:
        epoch = 0
        while True:
            yield from bench.batches(epoch, bench.recipe, 100).tolist()
            epoch += 1

    return iter(
        torch.utils.data.DataLoader(
            Files(bench), batch_sampler=endless(), num_workers=bench.workers, pin_memory=bench.cuda
        )
    )


def loader_alone(bench: Bench) -> float:
    """Seconds of a batch that nobody trains on."""
    return _steady(bench, loader(bench), lambda pixels, labels: None)


def conventional(bench: Bench) -> float:
    """Seconds of a step as many programs have it: such a loader, fp16 with a scaled loss, the default layout, Adam.

    On the CPU, where fp16 is emulated and nobody trains with it, in fp32.
    """
    net = bench.model(bench.recipe)
    network = Half(net, bench.device, torch.float16) if bench.cuda else net
    options = replace(bench.recipe.training, precision="fp32")  # of the losses
    optimizer = torch.optim.Adam(net.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    scaler = torch.amp.GradScaler(bench.device.type, enabled=bench.cuda)

    def step(pixels: Tensor, labels: Tensor) -> None:
        pixels, labels = (x.to(bench.device, non_blocking=True) for x in (pixels, labels))
        losses = torch.stack(batch_loss(network, pixels, labels, options)[:2])
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(losses.sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    return _steady(bench, loader(bench), step)


def _steady(bench: Bench, batches: Iterator, step: Callable[[Tensor, Tensor], None]) -> float:
    """Seconds of a step once the batches that workers had made in advance are used up."""
    for _ in range(2 * bench.workers + 3):
        step(*next(batches))
    bench.wait()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < bench.loader_seconds:
        step(*next(batches))
        count += 1
    bench.wait()
    return (time.perf_counter() - started) / count


class Record:
    """The rows so far, on disk after each; one that fails is a row too."""

    def __init__(self, bench: Bench, path: Path, until: float) -> None:
        self.bench, self.path, self.until = bench, path, until
        recipe = bench.recipe
        self.content: dict[str, Any] = {
            "title": f"Training MGN ({recipe.model_options['backbone']}, width {recipe.model_options['width']:g}) at "
            f"{recipe.height} x {recipe.width}, batches of {bench.batch}, {recipe.training.precision}",
            "machine": {
                "device": device_name(bench.device),
                "cores": os.cpu_count(),
                "loader_workers": bench.workers,
                **versions(),
                "cudnn": torch.backends.cudnn.version(),
                **source(),
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
            },
            "rows": [],
            "steps": [],
        }

    def row(self, what: str, call: Callable[[], Any], least: float = 5.0) -> Any:
        """Calls, and notes a step's seconds (a float) or a dict; returns what came, None for nothing."""
        row: dict[str, Any] = {"what": what}
        found, left = None, self.until - time.monotonic()
        if left < least:
            row["left_out"] = f"{max(left, 0):.0f} s were left"
        else:
            started = time.monotonic()
            try:
                found = call()
            except Exception as error:  # the other rows are wanted all the same
                row["failed"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            if isinstance(found, float):
                row |= {"step_ms": 1e3 * found, "images_per_second": self.bench.batch / found}
            elif isinstance(found, dict):
                row |= found
            row["took_seconds"] = round(time.monotonic() - started, 1)
        gc.collect()
        if self.bench.cuda:
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
        self.content["rows"].append(row)
        self.write()
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
        return found

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")


def in_another_process(arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Steps with torch.compile, whose compiler cannot be stopped from within."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compiled.json"
        command = [sys.executable, __file__, "--device", arguments.device, "--compiled", "--out", str(path)]
        command += ["--tiny"] if arguments.tiny else []
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"not compiled within {seconds:.0f} s"}
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1][:300]}
        return json.loads(path.read_text())


def compiled_rows(bench: Bench, path: Path) -> None:
    """What the other process measures: steps on real batches and on a fixed tensor, compiled."""
    started = time.monotonic()
    real, _ = real_batches(bench, bench.recipe, compiled=True)
    found = {"step_ms": 1e3 * real, "images_per_second": bench.batch / real}
    path.write_text(json.dumps(found | {"with_compiling_seconds": round(time.monotonic() - started, 1)}))
    fixed = compiled_fixed(bench)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fixed_tensor_step_ms": 1e3 * fixed}))


def measure(bench: Bench, record: Record, arguments: argparse.Namespace) -> None:
    rendered = record.row("images of the world", lambda: {"images": len(bench.dataset.rows("train"))})
    if rendered is None:
        return
    recipe = bench.recipe
    network = network_of(recipe, bench.classes)
    rate = record.row("product of two matrices", lambda: matrix_rate(bench))
    before = record.row("fixed tensor", lambda: fixed_tensor(bench))
    peak = {}

    def on_world() -> float:
        seconds, peak["bytes"] = real_batches(bench, recipe)
        return seconds

    real = record.row("real batches", on_world)
    after = record.row("fixed tensor, again", lambda: fixed_tensor(bench))
    usual = record.row("conventional loader", lambda: conventional(bench), least=15)
    record.row("conventional loader, nobody trains", lambda: loader_alone(bench), least=12)
    small = record.row("real batches, smaller network", lambda: {"step_ms": 1e3 * real_batches(bench, bench.small)[0]})

    ratios: dict[str, Any] = {"tflop_per_step": network.flop / 1e12}
    if real and before and after:
        ratios["real_over_fixed_time"] = real / ((before + after) / 2)
    if real and usual:
        ratios["times_conventional"] = usual / real
    if real and rate:
        ratios["share_of_matrix_rate"] = network.flop / real / 1e12 / rate["tflop_per_second"]
    if peak.get("bytes"):
        estimate = memory(recipe, network, len(bench.labels))
        ratios |= {"peak_gb": peak["bytes"] / 1e9, "peak_over_estimate": peak["bytes"] / estimate}
    record.row("ratios", lambda: ratios, least=-1e9)
    if real and small:
        of_small = network_of(bench.small, bench.classes).flop
        record.content["steps"] = [
            {"flop": network.flop, "seconds": real},
            {"flop": of_small, "seconds": small["step_ms"] / 1e3},
        ]
        record.write()

    if bench.cuda or bench.tiny:
        record.row("waits for the device", lambda: waits(bench))
        record.row("fixed tensor, forward and backward as CUDA graphs", lambda: graphed(bench))
    record.row("fixed tensor, torch's default layout", lambda: fixed_tensor(bench, channels_last=False))
    record.row("fixed tensor, optimiser not fused", lambda: fixed_tensor(bench, fused=False))
    record.row("fixed tensor, cuDNN's search for kernels", lambda: fixed_tensor(bench, search=True))
    left = record.until - time.monotonic()
    record.row("real batches, torch.compile", lambda: in_another_process(arguments, left), least=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="at the smoke profile, for a test of this file")
    parser.add_argument("--seconds", type=float, default=100.0, help="rows that would begin later are left out")
    parser.add_argument("--out", type=Path, help="(default: book/records/benchmarks/training-<device>.json)")
    parser.add_argument("--compiled", action="store_true", help=argparse.SUPPRESS)  # the other process
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.seconds
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here, and nothing is measured; --device cpu measures the processor.")
        return
    if arguments.tiny and arguments.out is None:
        parser.error("--tiny: wants --out, its numbers are no record")
    bench = Bench(arguments.device, arguments.tiny)
    path = arguments.out or ROOT / "book" / "records" / "benchmarks" / f"training-{arguments.device}.json"
    if arguments.compiled:
        if arguments.tiny:  # the compiler itself takes minutes on a processor
            torch.compile = partial(torch.compile, backend="aot_eager")
        compiled_rows(bench, path)
    else:
        measure(bench, Record(bench, path, until), arguments)


if __name__ == "__main__":
    main()
