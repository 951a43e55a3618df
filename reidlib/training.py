"""Training: one loop for every recipe that trains an embedding on single images.

A run is a pure function of (model options, data, options, seed): the batches and the augmentation of an epoch are
drawn from generators seeded by (seed, epoch), so a checkpoint at an epoch's end needs no generator state, and a run
killed at any moment resumes from it and ends bit-identical on the same machine's CPU.

Shapes: N images, B batch, C channels, H W pixels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from reidlib.augment import Augmentation
from reidlib.checkpoint import load_checkpoint, save_checkpoint
from reidlib.data.sampling import epoch_batches, iterations_per_epoch
from reidlib.losses import cross_entropy, triplet_loss
from reidlib.models import set_frozen


@dataclass(frozen=True)
class TrainingOptions:
    """How a recipe optimises. Times are in epochs, so that a profile can scale them all with one factor.

    persons, images: P x K batch (P persons, K images of each).
    triplet_shard: triplets are mined inside consecutive shards of this many images (0: in the whole batch).
    triplet_margin: of the hinge on Euclidean distances; 0 is the soft margin.
    optimizer: "adam" (betas 0.9, 0.999) or "sgd" (momentum 0.9). weight_decay is added to the gradient (L2).
    milestones, gamma: the learning rate is multiplied by gamma at each milestone (epochs).
    warmup_epochs, warmup_factor: linear from factor x rate to the rate.
    freeze_epochs: the backbone and branches get no update, and their batch norms run in eval mode.
    schedule: "written": milestones count from the start; "executed": the epoch scheduler first steps when the
        warm-up has passed, as FastReID's LRScheduler hook does, so that every milestone acts late by the warm-up.
    precision: "fp32", or "bf16" autocast with float32 losses.
    """

    epochs: int
    persons: int
    images: int
    learning_rate: float
    optimizer: str = "adam"
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    warmup_epochs: float = 0.0
    warmup_factor: float = 0.1
    freeze_epochs: float = 0.0
    schedule: str = "written"
    label_smoothing: float = 0.1
    triplet_margin: float = 0.3
    triplet_shard: int = 0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs: wants 1 or more, got {self.epochs}")
        if self.persons < 2 or self.images < 2:
            raise ValueError(f"persons, images: a triplet wants 2 or more of each, got {self.persons} x {self.images}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate: wants a positive number, got {self.learning_rate}")
        for name, choices in (
            ("optimizer", ("adam", "sgd")),
            ("schedule", ("written", "executed")),
            ("precision", ("fp32", "bf16")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: wants one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.triplet_shard and (self.persons * self.images) % self.triplet_shard:
            raise ValueError(
                f"triplet_shard: {self.triplet_shard} does not divide the batch of {self.persons} x {self.images}"
            )


def learning_rate(options: TrainingOptions, iteration: int, iterations_per_epoch: int) -> float:
    """The learning rate of one iteration (0-based).

    "written" follows report `vtrm`, section 2.2: the warm-up multiplies a step schedule that counts from the start.
    "executed" follows FastReID (engine/hooks.py, LRScheduler): the step schedule counts whole epochs and is stepped
    at the ends of those epochs in which, or before which, the warm-up has ended. With the report's numbers
    (66 iterations an epoch, warm-up 2000) milestones 40 and 90 act at epochs 70 and 120, which is the end.
    """
    epoch = iteration / iterations_per_epoch
    warmup = min(1.0, epoch / options.warmup_epochs) if options.warmup_epochs else 1.0
    factor = options.warmup_factor * (1 - warmup) + warmup
    if options.schedule == "executed":
        epoch = math.floor(epoch) - math.floor(options.warmup_epochs)
    passed = sum(epoch >= milestone for milestone in options.milestones)
    return options.learning_rate * factor * options.gamma**passed


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Adam or SGD over all parameters; weight decay on norms and biases too, as FastReID's Base-bagtricks does."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if options.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
    return torch.optim.SGD(parameters, lr=options.learning_rate, momentum=0.9, weight_decay=options.weight_decay)


def autocast(device: torch.device, precision: str):
    """bf16 autocast on the device, or nothing for fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def batch_loss(model: nn.Module, images: Tensor, labels: Tensor, options: TrainingOptions) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the heads and mean triplet loss over the metric features, both float32 scalars.

    The mean over heads (1/8 and 1/5 for MGN, 1/13 and 1/7 with Part-4) is FastReID's rule (meta_arch/mgn.py).
    """
    with autocast(images.device, options.precision):
        heads = model(images)
    classification = torch.stack(
        [cross_entropy(logits, labels, smoothing=options.label_smoothing) for logits in heads.logits]
    ).mean()
    if not torch.isfinite(classification):
        return classification, classification  # for the caller to report; the triplet loss refuses such features
    shards = images.shape[0] // options.triplet_shard if options.triplet_shard else 1
    metric = [triplet_loss(x, labels, margin=options.triplet_margin, shards=shards) for x in heads.metric_features]
    return classification, torch.stack(metric).mean()


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    augmentation: Augmentation,
    options: TrainingOptions,
    seed: int,
    names: Sequence[str] | None = None,
    checkpoint: Path | None = None,
    advance: Callable[[int], None] | None = None,
    description: str = "training",
) -> list[dict[str, float]]:
    """Trains the model in place and returns its curve, one dict per epoch.

    images: (N, 3, H, W) uint8 on the model's device. labels: (N,) int64, 0 .. classes - 1. names: (N,) what to call an
    image in an error. checkpoint: a safetensors file, written at the end of each epoch and resumed from when present.
    advance: called with the number of iterations done, in place of a bar of this run's own.
    Raises ValueError when the loss is not finite, naming the step and the batch's images.
    """
    device = images.device
    labels = labels.to(device)
    if device.type == "cuda":
        model.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, options)
    curve: list[dict[str, float]] = []
    if checkpoint is not None and checkpoint.exists():
        curve = load_checkpoint(checkpoint, model, optimizer)
    per_epoch = iterations_per_epoch(len(images), options.persons, options.images)
    with tqdm(total=options.epochs * per_epoch, desc=description, unit="it", disable=advance is not None) as bar:
        advance = advance or bar.update
        advance(len(curve) * per_epoch)
        for epoch in range(len(curve), options.epochs):
            started = time.perf_counter()
            torch.manual_seed(_seed_of(seed, epoch))  # dropout and the like
            generator = torch.Generator(device).manual_seed(_seed_of(seed, epoch))
            model.train()
            sums = torch.zeros(2, device=device)
            batches = epoch_batches(labels.cpu(), options.persons, options.images, seed=seed, epoch=epoch)
            for step, batch in enumerate(batches):
                iteration = epoch * per_epoch + step
                rate = learning_rate(options, iteration, per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                set_frozen(model, iteration < options.freeze_epochs * per_epoch)
                batch = batch.to(device)
                pixels = augmentation.apply(images[batch], generator)
                if device.type == "cuda":
                    pixels = pixels.contiguous(memory_format=torch.channels_last)
                losses = torch.stack(batch_loss(model, pixels, labels[batch], options))
                if not torch.isfinite(losses).all():
                    raise ValueError(_not_finite(epoch, iteration, batch, names, checkpoint))
                optimizer.zero_grad(set_to_none=True)
                losses.sum().backward()
                optimizer.step()
                sums += losses.detach()
                advance(1)
            cross_entropy_mean, triplet_mean = (sums / len(batches)).tolist()
            curve.append(
                {
                    "epoch": epoch + 1,
                    "cross_entropy": cross_entropy_mean,
                    "triplet": triplet_mean,
                    "learning_rate": rate,
                    "seconds": round(time.perf_counter() - started, 3),
                }
            )
            if checkpoint is not None and epoch + 1 < options.epochs:
                save_checkpoint(checkpoint, model, optimizer, curve)
    return curve


def _seed_of(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63


def _not_finite(epoch: int, iteration: int, batch: Tensor, names: Sequence[str] | None, checkpoint: Path | None) -> str:
    shown = [names[i] if names is not None else str(i) for i in batch[:4].tolist()]
    kept = f"; the epoch before is kept in {checkpoint}" if checkpoint and checkpoint.exists() else ""
    return (
        f"loss: not finite in epoch {epoch + 1}, iteration {iteration}, batch of {len(batch)} images beginning with "
        f"{', '.join(shown)}{kept}; look at these images, or train with a lower learning rate"
    )
