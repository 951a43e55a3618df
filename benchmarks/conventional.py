"""The same training as many programs have it: worker processes, image files one after the other, fp16, plain Adam."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from benchmarks.steps import Bench, Half
from reidlib.augment import IMAGENET_MEAN, IMAGENET_STD
from reidlib.objective import batch_loss


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
