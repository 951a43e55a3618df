"""Training: one loop for every recipe, whether it trains an embedding on single images or on clips.

A run is a pure function of (model options, data, options, seed): the batches and the augmentation of an epoch are
drawn from generators seeded by (seed, epoch), so a checkpoint at an epoch's end needs no generator state, and a run
killed at any moment resumes from it and ends bit-identical on the same machine's CPU.

Shapes: N images, B batch, C channels, H W pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from reidlib import parallel
from reidlib.augment import Augmentation
from reidlib.checkpoint import load_checkpoint, save_checkpoint
from reidlib.data.sampling import epoch_batches
from reidlib.memory import fitting
from reidlib.models import set_frozen
from reidlib.objective import batch_loss, losses_of_images
from reidlib.optimisation import TrainingOptions, learning_rate, make_centers, make_optimizer, step_centers


class Harder(NamedTuple):
    """Images that are augmented in another way: (N,) bool, and how."""

    images: Tensor
    augmentation: Augmentation


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    augmentation: Augmentation,
    options: TrainingOptions,
    seed: int,
    batches: Callable[[int], Tensor] | None = None,
    harder: Harder | None = None,
    image_losses: Tensor | None = None,
    centers: Tensor | None = None,
    names: Sequence[str] | None = None,
    checkpoint: Path | None = None,
    at_epoch: Callable[[int], dict[str, Any]] | None = None,
    advance: Callable[[int], None] | None = None,
    compiled: bool = False,
    description: str = "training",
) -> list[dict[str, Any]]:
    """Trains the model in place and returns its curve, one dict per epoch.

    images: (N, 3, H, W) uint8 on the model's device. labels: (N,) int64, 0 .. classes - 1.
    batches: the batches of an epoch (0-based), (iterations, B) indices of images or, for a model of clips,
    (iterations, B, T), as many in every epoch; None: `epoch_batches` of the options' persons and images.
    harder: the images that get another augmentation. image_losses: (epochs, N) float32, filled with the mean of the
    classification losses with which an image was drawn in an epoch, NaN where it was not.
    centers: (classes, feature_dim) of a center loss, as `make_centers` makes them, moved in place; None: its own.
    names: (N,) what to call an image in an error.
    checkpoint: a safetensors file, written at the end of each epoch and resumed from when present.
    at_epoch: called at the end of each epoch with its number, from 1, to look at the model and leave it as it is; what
    it returns, JSON values, is noted in the curve.
    advance: called with the number of iterations done, in place of a bar of this run's own.
    compiled: let torch.compile make the network's kernels, which takes a minute or more at the first step.
    Raises ValueError when the loss is not finite, or at an epoch's end a weight is not, naming the step, the batch's
    images and the checkpoint before it.

    On CUDA a step does not wait for the device (AutoAugment and the circle loss's pairs apart), and that a loss is not
    finite is seen one step late.

    Several processes (torch.distributed initialised, each calling this with the same arguments, its own device and a
    file system in common) draw and augment the same batches, and each takes its slice: see reidlib.parallel. They end
    with the same weights, those of one process up to rounding and the draws of dropout: batch norms are synchronised.
    Raises ValueError when batch, triplet_shard and the number of processes do not go together.
    """
    device = images.device
    own = parallel.own_slice(options.persons, options.images, options.triplet_shard)
    labels = labels.to(device)
    if device.type == "cuda":
        model.to(memory_format=torch.channels_last)
    parallel.synchronise_norms(model)
    optimizer = make_optimizer(model, options)
    curve: list[dict[str, Any]] = []
    kept = {} if image_losses is None else {"image_losses": image_losses}
    if options.center_weight:
        if centers is None:
            centers = make_centers(int(labels.max()) + 1, model.feature_dim, seed, device)
        kept["centers"] = centers.detach()  # the same memory
    if checkpoint is not None and parallel.first_says(checkpoint.exists(), device):
        curve = load_checkpoint(checkpoint, model, optimizer, kept)
    if batches is None:
        batches = partial(epoch_batches, labels.cpu(), options.persons, options.images, seed)
    per_epoch = len(batches(0))
    quiet = advance is not None or not parallel.is_first()
    network: nn.Module | None = None  # the model as a step calls it
    unseen: list[tuple[Callable[[], bool], Callable[[], str]]] = []  # whether a step's loss is finite, or what to say
    with tqdm(total=options.epochs * per_epoch, desc=description, unit="it", disable=quiet) as bar:
        advance = advance or bar.update
        advance(len(curve) * per_epoch)
        for epoch in range(len(curve), options.epochs):
            started = time.perf_counter()
            torch.manual_seed(_seed_of(seed, epoch))  # dropout and the like
            generator = torch.Generator(device).manual_seed(_seed_of(seed, epoch))
            model.train()
            sums = torch.zeros(2, device=device)
            drawn = torch.zeros(2, len(images), device=device)  # sums of losses, and how often
            for step, batch in enumerate(batches(epoch).to(device)):
                iteration = epoch * per_epoch + step
                rate = learning_rate(options, iteration, per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                frozen = iteration < options.freeze_epochs * per_epoch
                if network is None or frozen != model.frozen:
                    set_frozen(model, frozen)
                    network = parallel.wrap(model)
                    network = torch.compile(network) if compiled else network
                pixels, erased = _augmented(images, batch.flatten(), augmentation, harder, generator)
                if batch.ndim == 2:
                    pixels, erased = (x.unflatten(0, batch.shape) for x in (pixels, erased))
                    batch = batch[:, 0]
                pixels, erased, own_labels = pixels[own], erased[own], labels[batch[own]]
                if device.type == "cuda" and pixels.ndim == 4:
                    pixels = pixels.contiguous(memory_format=torch.channels_last)
                with fitting(f"a training step of {len(pixels)} images", "persons (batch_scale) or image_scale"):
                    classification, metric, logits = batch_loss(network, pixels, own_labels, options, centers, erased)
                losses = torch.stack((classification, metric))
                finite = _told(parallel.everywhere(torch.isfinite(losses).all()))
                unseen.append((finite, partial(_not_finite, "loss", epoch, iteration, batch, names, checkpoint)))
                _refuse(unseen, but=int(device.type == "cuda"))
                optimizer.zero_grad(set_to_none=True)
                with fitting(f"a training step of {len(pixels)} images", "persons (batch_scale) or image_scale"):
                    losses.sum().backward()
                    optimizer.step()
                if centers is not None:
                    step_centers(centers, options)
                sums += losses.detach()
                if image_losses is not None:
                    each = losses_of_images(logits, own_labels, options)
                    drawn.index_add_(1, batch[own], torch.stack((each, torch.ones_like(each))))
                advance(1)
            _refuse(unseen)
            # A step can spoil the weights though its loss was finite; the next loss would tell, and there may be none.
            if not bool(parallel.everywhere(_all_finite(model.state_dict().values()))):
                raise ValueError(_not_finite("weights", epoch, iteration, batch, names, checkpoint))
            cross_entropy_mean, triplet_mean = parallel.mean(sums / per_epoch).tolist()
            if image_losses is not None:
                total, times = parallel.mean(drawn)
                image_losses[epoch] = total / times  # 0 / 0 is NaN
            curve.append(
                {
                    "epoch": epoch + 1,
                    "cross_entropy": cross_entropy_mean,
                    "triplet": triplet_mean,
                    "learning_rate": rate,
                    "seconds": round(time.perf_counter() - started, 3),
                }
            )
            if at_epoch is not None:
                parallel.share_buffers(model)
                curve[-1] |= at_epoch(epoch + 1)
            if checkpoint is not None and epoch + 1 < options.epochs and parallel.is_first():
                save_checkpoint(checkpoint, model, optimizer, curve, kept)
    parallel.share_buffers(model)
    return curve


def _augmented(
    images: Tensor, batch: Tensor, augmentation: Augmentation, harder: Harder | None, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Pixels (N, 3, H, W) of a batch of N images, and which of them have an erased patch, (N,) bool."""
    pixels, erased = augmentation.apply_and_tell(images[batch], generator)
    if harder is None:
        return pixels, erased
    chosen = harder.images.to(batch.device)[batch]
    others, too = harder.augmentation.apply_and_tell(images[batch], generator)
    return torch.where(chosen[:, None, None, None], others, pixels), torch.where(chosen, too, erased)


def _told(flag: Tensor) -> Callable[[], bool]:
    """What a scalar bool is, for later: on CUDA it is copied while the device goes on."""
    if not flag.is_cuda:
        return lambda: bool(flag)
    copy = flag.to("cpu", non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def wait() -> bool:
        copied.synchronize()
        return bool(copy)

    return wait


def _refuse(unseen: list[tuple[Callable[[], bool], Callable[[], str]]], but: int = 0) -> None:
    """Looks at all steps but the last so many. Raises ValueError at the first whose loss is not finite."""
    while len(unseen) > but:
        finite, message = unseen.pop(0)
        if not finite():
            raise ValueError(message())


def _seed_of(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63


def _all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether no number in any of the tensors is NaN or infinite, a scalar bool."""
    return torch.stack([torch.isfinite(x).all() for x in tensors if x.is_floating_point()]).all()


def _not_finite(
    what: str, epoch: int, iteration: int, batch: Tensor, names: Sequence[str] | None, checkpoint: Path | None
) -> str:
    shown = [names[i] if names is not None else str(i) for i in batch.tolist()]
    kept = f"; the epoch before is kept in {checkpoint}" if checkpoint and checkpoint.exists() else ""
    return (
        f"{what}: not finite in epoch {epoch + 1}, iteration {iteration}, batch of {len(batch)} images "
        f"{', '.join(shown)}{kept}; look at these images, or train with a lower learning rate"
    )
