"""The same steps on the CPU by kernels that do a few pictures at a time, where they give torch's own bits."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.augment import placing, toning
from reidlib.augment.colour import NEUTRAL
from reidlib.augment.geometry import inverse
from reidlib.augment.pixels import moments
from reidlib.augment.steps import Draws, in_torch

CACHED = 2**17                           # values at a time: float32, they fit a core's own cache
WORTH_A_THREAD = 2**20                   # values for which it pays to wake a thread


def can_fuse(images: Tensor) -> bool:
    """Whether `in_kernels` takes images (B, 3, H, W): uint8 or float32, contiguous on the CPU, without gradient.

    False for all where torch rounds otherwise than the kernels: see `way_of_products`.
    """
    plain = images.device.type == "cpu" and images.dtype in (torch.uint8, torch.float32) and not images.requires_grad
    return plain and images.is_contiguous() and way_of_products() is not None


def in_kernels(images: Tensor, draws: Draws, *, pad: int, scale: str, way: int | None = None) -> Tensor:
    """What `in_torch` gives, to the last bit, for images that `can_fuse`.

    As many threads work as torch would use, each on some of the pictures: no picture depends on their number.
    way: as `way_of_products` has it, which is the default.
    """
    way = way_of_products() if way is None else way
    height, width = images.shape[2:]
    out = _room(images.shape)
    steps = []

    def add(kernel: Callable, *arguments) -> None:
        steps.append((kernel, [x.cpu().contiguous().numpy() if isinstance(x, Tensor) else x for x in arguments]))

    geometry = draws.flipped, draws.corners, pad
    if draws.turns is None:
        add(partial(placing.place, images.numpy()), *geometry)
    else:
        inverses = inverse(draws.every(draws.turns), height, width)
        add(partial(placing.turn, images.numpy()), *geometry, *_centres(height, width), inverses, way)
    if draws.jitter is not None:
        factors, order = draws.jitter
        changed = factors != torch.tensor(NEUTRAL, dtype=factors.dtype, device=factors.device)
        add(toning.jitter, changed, factors.float(), order, pad == 0)
    if draws.grey is not None:
        whole = images.dtype == torch.uint8 and draws.turns is None and draws.jitter is None
        add(toning.grey, draws.grey, whole)
    add(toning.finish, *(x.flatten() for x in moments(scale, images.device)), torch.stack(draws.erased, dim=1))

    def work(start: int, stop: int) -> None:
        for kernel, arguments in steps:
            kernel(out.numpy(), start, stop, draws.frames, *arguments)

    _share(work, len(images), images[0].numel())
    return out


def _share(work: Callable[[int, int], None], count: int, values: int) -> None:
    """work(start, stop) for all of `count` pictures of so many values each, a few at a time.

    The caller works too, and waits for nobody who has not begun: a thread that wakes late holds nothing up, nor does
    one that a fork left behind.
    """
    step = max(1, CACHED // values)
    parts = [(start, min(start + step, count)) for start in range(0, count, step)]
    threads = min(torch.get_num_threads(), len(parts), 1 + count * values // WORTH_A_THREAD)
    left = iter(parts)  # shared: each part is taken once

    def some() -> None:
        for part in left:
            work(*part)

    others = [_helpers(threads - 1).submit(some) for _ in range(threads - 1)]
    some()
    for other in others:
        if not other.cancel():
            other.result()


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    """So many threads that stay: a new one often waits for several milliseconds until it has a processor."""
    return ThreadPoolExecutor(count)


def _room(shape: tuple[int, ...]) -> Tensor:
    """Uninitialised float32, at a multiple of 64 bytes as torch's own.

    numpy asks the system for large pages, torch for small ones, of which getting them takes longer than filling them.
    """
    size = math.prod(shape)
    room = np.empty(size + 16, np.float32)
    skipped = -room.ctypes.data % 64 // 4
    return torch.from_numpy(room[skipped : skipped + size]).view(shape)


@cache
def _centres(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(W,) and (H,) float32: the pixels' centres from -1 to 1, as affine_grid has them."""
    unturned = torch.eye(2, 3, dtype=torch.float32)[None]
    grid = F.affine_grid(unturned, [1, 3, height, width], align_corners=False)[0]             # (H, W, 2)
    return grid[0, :, 0].numpy().copy(), grid[:, 0, 1].numpy().copy()


@cache
def way_of_products() -> int | None:
    """How the matrix product of torch's affine_grid adds u·a and v·b, on this processor and with this library.

    0: it rounds both; 1: it rounds the first and fuses the second with the sum; 2: the other way round. None: no way
    gives torch's bits, in this or in some other step, and torch had better do all of them itself.
    """
    pictures, height, width = 8, 24, 16
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (pictures, 3, height, width), dtype=torch.uint8, generator=generator)
    u = torch.rand(pictures, 14, dtype=torch.float64, generator=generator)
    boxes = torch.tensor([[3, 2, 9, 7]]).repeat(pictures, 1)

    def draws(pad: int) -> Draws:
        corners = (u[:, :2] * (2 * pad + 1)).long()
        turns = torch.stack((60 * u[:, 2] - 30, 0.7 + 0.6 * u[:, 3], 20 * u[:, 4] - 10), dim=1)
        factors = torch.cat((2 * u[:, 5:8], u[:, 8:9] - 0.5), dim=1)
        return Draws(frames=1, flipped=u[:, 13] < 0.5, corners=corners, turns=turns, erased=(boxes + 4,), grey=boxes,
                     jitter=(factors, u[:, 9:13].argsort(dim=1)))

    def agrees(way: int, pad: int) -> bool:
        drawn, options = draws(pad), {"pad": pad, "scale": "imagenet"}
        return torch.equal(in_kernels(images, drawn, **options, way=way), in_torch(images, drawn, **options))

    return next((way for way in range(3) if all(agrees(way, pad) for pad in (0, 2))), None)
