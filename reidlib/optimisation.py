"""How a recipe optimises: its options, the learning rate of every iteration, the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from reidlib import parallel
from reidlib.augment import LATER

CENTER_RATE = 0.5  # Bag of Tricks (Luo et al., 2019), its code


@dataclass(frozen=True)
class TrainingOptions:
    """How a recipe optimises. Times are in epochs, so that a profile can scale them all with one factor.

    persons, images: P x K batch (P persons, K images of each).
    triplet_shard: triplets are mined inside consecutive shards of this many images (0: in the whole batch, which then
        has to lie in one process).
    triplet_margin: of the hinge on distances; 0 is the soft margin.
    triplet_distance, triplet_normalise: "euclidean" or "squared" distances, of the features scaled to unit length first
        or as they are; "cosine" ones are of unit length in any case.
    center_weight: of the center loss on the metric features, Bag of Tricks' 5e-4; 0 is none.
    optimizer: "adam" (betas 0.9, 0.999) or "sgd" (momentum 0.9). weight_decay is added to the gradient (L2).
    milestones, gamma: the learning rate is multiplied by gamma at each milestone (epochs).
    warmup_epochs, warmup_factor: linear from factor x rate to the rate.
    freeze_epochs: the backbone and branches get no update, and their batch norms run in eval mode.
    schedule: "written": milestones count from the start; "executed": the epoch scheduler first steps when the
        warm-up has passed, as FastReID's LRScheduler hook does, so that every milestone acts late by the warm-up.
    precision: "fp32", or "bf16" autocast with float32 losses.
    classification: "softmax", cross-entropy of the logits; "circle", the class form of the circle loss, for a model
        whose logits are cosines; "none".
    pairs: "none", or "circle": the pair form of the circle loss is added to the triplet loss.
    circle_margin, circle_gamma: m and the scale of either form.
    osm: "none", or where the classes of the OSM loss come from: "classifier", its weights, or "centers", those of the
        center loss (CL Centers). osm_share: beta in [0, 1]; the metric loss is (1 - beta) triplet + beta OSM.
    osm_sigma, osm_alpha, osm_negatives, osm_temperature: sigma, alpha, l and the temperature of `losses.osm_loss`. Its
        gradient reaches the centres too, as in report `attention`'s code, and their own optimiser then multiplies it by
        1 / center_weight.
    attention_weight: of the attention loss, which wants a model with temporal attention; 0 is none.
    attention_scores: what it penalises, a frame's "weight" after the softmax or its "score" before it.
    attention_reduction: "mean" or "sum" over the frames of a clip.
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
    classification: str = field(default="softmax", metadata=LATER)
    pairs: str = field(default="none", metadata=LATER)
    circle_margin: float = field(default=0.3, metadata=LATER)
    circle_gamma: float = field(default=64.0, metadata=LATER)
    triplet_distance: str = field(default="euclidean", metadata=LATER)
    triplet_normalise: bool = field(default=False, metadata=LATER)
    center_weight: float = field(default=0.0, metadata=LATER)
    osm: str = field(default="none", metadata=LATER)
    osm_share: float = field(default=0.5, metadata=LATER)
    osm_sigma: float = field(default=0.8, metadata=LATER)
    osm_alpha: float = field(default=1.2, metadata=LATER)
    osm_negatives: float = field(default=0.5, metadata=LATER)
    osm_temperature: float = field(default=1.0, metadata=LATER)
    attention_weight: float = field(default=0.0, metadata=LATER)
    attention_scores: str = field(default="weight", metadata=LATER)
    attention_reduction: str = field(default="mean", metadata=LATER)

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
            ("classification", ("softmax", "circle", "none")),
            ("pairs", ("none", "circle")),
            ("triplet_distance", ("euclidean", "squared", "cosine")),
            ("osm", ("none", "classifier", "centers")),
            ("attention_scores", ("weight", "score")),
            ("attention_reduction", ("mean", "sum")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: wants one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("center_weight", "attention_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: wants a finite number of at least 0, got {getattr(self, name)}")
        if not 0 <= self.osm_share <= 1:
            raise ValueError(f"osm_share: wants beta in [0, 1], got {self.osm_share}")
        if self.osm == "centers" and not self.center_weight:
            raise ValueError("osm: 'centers' wants a center loss to move them; set center_weight above 0")
        if self.osm != "none" and self.triplet_shard:
            raise ValueError("triplet_shard: the OSM loss takes the whole batch, in one process; set it to 0")
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
    """Adam or SGD over all parameters; weight decay on norms and biases too, as FastReID's Base-bagtricks does.

    On CUDA Adam is the fused kind, one kernel for all parameters. torch's fused SGD stops at a parameter whose first
    gradient comes later than the others'.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    own = {"lr": options.learning_rate, "weight_decay": options.weight_decay}
    if options.optimizer == "adam":
        return torch.optim.Adam(parameters, fused=parameters[0].is_cuda or None, **own)
    return torch.optim.SGD(parameters, momentum=0.9, **own)


def make_centers(classes: int, dimension: int, seed: int, device: torch.device) -> Tensor:
    """(classes, dimension) float32 centres of the center loss, drawn from N(0, 1) as in Bag of Tricks' code."""
    centers = torch.randn(classes, dimension, generator=torch.Generator().manual_seed(seed))
    return centers.to(device).requires_grad_()


@torch.no_grad()
def step_centers(centers: Tensor, options: TrainingOptions) -> None:
    """Moves the centres by their gradient, as SGD would at CENTER_RATE on the center loss before its weight."""
    centers -= CENTER_RATE / options.center_weight * parallel.mean(centers.grad)
    centers.grad = None
