"""Feature extraction: images to embeddings, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.modules.module import register_module_forward_hook
from tqdm import tqdm

from reidlib import parallel
from reidlib.augment import normalise
from reidlib.data.sampling import every_clip
from reidlib.memory import VARIABLE, budget, fitting
from reidlib.objective import autocast

LOWER = f"{VARIABLE}, batch or the image's size"
LAYERS = 3  # outputs that exist at once in a residual network: a block's input, a layer's input and a layer's output


def _within_budget(batch: int, times: float, show: Callable[[], Tensor], device: torch.device, precision: str) -> int:
    """As many of `batch` images as the budget holds, at least 1.

    show: shows the model one image, without gradients; the largest that it will see has `times` as many pixels.
    """
    sizes = [0]

    def weigh(module, given, output):
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    hook = register_module_forward_hook(weigh)
    try:
        with autocast(device, precision), fitting("a batch of 1 image", LOWER):
            show()
    finally:
        hook.remove()
    return max(1, min(batch, int(budget() / max(1, LAYERS * times * max(sizes)))))


@torch.inference_mode()
def extract(
    model: nn.Module,
    images: Tensor,
    *,
    names: Sequence[str] | None = None,
    batch: int = 128,
    precision: str = "fp32",
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
) -> Tensor:
    """The model's test features of uint8 images, in the order given.

    images: (N, 3, H, W) uint8 on the model's device. names: (N,) what to call an image in an error.
    batch: images that the model sees at once, at every scale; fewer when the memory's budget does not hold as many.
    flip, scales: the feature is the mean of the model's outputs, as they come, for the image resized by each of the
    scales and, with flip, also for the mirror image of each. A resized side is the nearest multiple of 16 pixels, at
    least 32; a scale of 1 leaves the image as it is.
    Returns (N, feature_dim) float16 on the CPU: the precision in which features are stored, so that every metric is
    computed from what is stored. Several processes (see reidlib.parallel) take whole batches each, and all return all.
    Raises ValueError for scales that are no sizes, and when a feature is not finite in float16.
    Source: report `along`, section 2.4 ("average them") and, for the scales, of which it names none, section 1.
    """
    if images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(f"images: wants (N, 3, H, W) with N >= 1, got {tuple(images.shape)}")
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"scales: wants one or more finite numbers above 0, got {scales!r}")
    model.eval()
    largest = max(1.0, *scales) ** 2
    batch = _within_budget(batch, largest, lambda: model(normalise(images[:1])), images.device, precision)
    parts = []
    starts = range(0, images.shape[0], batch)
    own = starts[parallel.own_part(len(starts))]
    quiet = not parallel.is_first() or None
    for start in tqdm(own, desc="features", unit="batch", leave=False, disable=quiet):
        with fitting(f"a batch of {batch} images", LOWER):
            total, count = None, 0
            for view in _views(images[start : start + batch], flip, scales):
                with autocast(images.device, precision):
                    output = model(view)
                total = output.float() if total is None else total + output.float()
                count += 1
            parts.append((total / count).half().cpu())
    return _finite(parallel.join(torch.cat(parts), len(starts), images.device), names)


def _finite(features: Tensor, names: Sequence[str] | None) -> Tensor:
    bad = (~torch.isfinite(features).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        first = names[bad[0]] if names is not None else f"number {bad[0]}"
        raise ValueError(
            f"images: {len(bad)} of {len(features)} give a feature that is not finite in float16, first {first}; "
            "the run has diverged: train it again with a lower learning rate"
        )
    return features


@torch.inference_mode()
def extract_tracklets(
    model: nn.Module,
    images: Tensor,
    tracklets: Tensor,
    *,
    frames: int,
    names: Sequence[str] | None = None,
    batch: int = 128,
    precision: str = "fp32",
    scale: str = "imagenet",
) -> Tensor:
    """A video model's features of whole tracklets: the mean over their clips, in memory that no tracklet fills.

    images: (N, 3, H, W) uint8 on the model's device; tracklets: (N,) integers, the frames of one side by side and in
    their order. frames: T of a clip; clips follow one another, see `every_clip`. names: (M,) what to call a tracklet in
    an error. batch: frames that the model sees at once, or fewer, as for `extract`. scale: see `normalise`.
    Returns (M, feature_dim) float16 on the CPU, in the order of the tracklets. Several processes take some each, and
    all return all.
    Raises ValueError for other shapes, a tracklet in two pieces, and a feature that is not finite in float16.
    Source: Gao and Nevatia (2018), their code's "dense" test, which reports `ica` and `attention` build on.
    """
    if images.ndim != 4 or len(images) == 0 or tracklets.shape != images.shape[:1]:
        raise ValueError(
            f"images, tracklets: want (N, 3, H, W) and (N,) with N >= 1, got {tuple(images.shape)} and "
            f"{tuple(tracklets.shape)}"
        )
    found, lengths = tracklets.cpu().unique_consecutive(return_counts=True)
    if len(found.unique()) < len(found):
        raise ValueError("tracklets: the frames of one must stand side by side; sort the images by tracklet")
    model.eval()
    own, ends = parallel.own_part(len(found)), [0, *lengths.cumsum(0).tolist()]
    images = images[ends[own.start] : ends[own.stop]]
    if len(images):
        one = normalise(images[:1], scale)
        batch = _within_budget(batch, 1.0, lambda: model.frames(one), images.device, precision)
    parts, waiting, left = [], [], lengths[own].tolist()[::-1]
    quiet = not parallel.is_first() or None
    for start in tqdm(range(0, len(images), batch), desc="features", unit="batch", leave=False, disable=quiet):
        with fitting(f"a batch of {batch} frames", LOWER):
            with autocast(images.device, precision):
                seen = model.frames(normalise(images[start : start + batch], scale))
            waiting = torch.cat([waiting, seen]) if len(waiting) else seen
        while left and len(waiting) >= left[-1]:
            length = left.pop()
            with autocast(images.device, precision):
                clips = model.clips(waiting[:length][torch.from_numpy(every_clip(length, frames)).to(images.device)])
            parts.append(clips.float().mean(dim=0).half().cpu())
            waiting = waiting[length:]
    return _finite(parallel.join(torch.stack(parts), len(found), images.device), names)


@torch.inference_mode()
def confidences(model: nn.Module, images: Tensor, labels: Tensor, precision: str = "fp32") -> dict[str, Tensor]:
    """How sure a trained baseline is of its training images, shown as they are.

    images: (N, 3, H, W) uint8 on the model's device. labels: (N,) int64.
    Returns "own", the softmax probability of each image's label, and "highest", its largest: (N,) float32 on the CPU.
    """
    features = extract(model, images, precision=precision).to(images.device, torch.float32)
    probability = model.head.classify(features).float().softmax(dim=1).cpu()  # (N, K)
    return {"own": probability[torch.arange(len(labels)), labels.cpu()], "highest": probability.amax(dim=1)}


def _views(images: Tensor, flip: bool, scales: Sequence[float]) -> Iterator[Tensor]:
    """Normalised images (B, 3, H, W) at every scale, one after the other, with flip each followed by its mirror image.

    Resized is bilinearly, with antialiasing.
    """
    images = normalise(images)
    for scale in scales:
        size = [16 * max(2, round(side * scale / 16)) for side in images.shape[2:]]  # the backbones' stride is 16
        view = images if scale == 1 else interpolate(images, size, mode="bilinear", antialias=True)
        yield view
        if flip:
            yield view.flip(3)
