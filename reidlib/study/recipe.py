"""A recipe: what a row of a report's table trains, with the report's own numbers, and how a profile scales it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from reidlib.augment import Augmentation
from reidlib.study.profile import Profile
from reidlib.training import TrainingOptions


@dataclass(frozen=True)
class Recipe:
    """One row's training.

    row: the name of the row in the report's table. model, model_options: arguments of `reidlib.models.build`, without
    the number of classes. height, width: pixels. augmentation, training: what the names say.
    """

    report: str
    row: str
    model: str
    model_options: Mapping[str, Any]
    height: int
    width: int
    augmentation: Augmentation
    training: TrainingOptions

    def scaled(self, profile: Profile) -> Recipe:
        """The recipe at the profile's scale. The learning rate, the losses and the probabilities stay as they are."""
        options = dict(self.model_options)
        if profile.backbone:
            options["backbone"] = profile.backbone
        options["width"] = profile.backbone_width
        if profile.part_dim and "part_dim" in options:
            options["part_dim"] = profile.part_dim
        t, factor = self.training, profile.epoch_scale
        persons = max(2, round(t.persons * profile.batch_scale))
        shard = t.triplet_shard if (persons * t.images) % (t.triplet_shard or 1) == 0 else 0
        return replace(
            self,
            model_options=options,
            height=_multiple_of_16(self.height * profile.image_scale),
            width=_multiple_of_16(self.width * profile.image_scale),
            augmentation=replace(self.augmentation, pad=round(self.augmentation.pad * profile.image_scale)),
            training=replace(
                t,
                epochs=max(1, round(t.epochs * factor)),
                milestones=tuple(m * factor for m in t.milestones),
                warmup_epochs=t.warmup_epochs * factor,
                freeze_epochs=t.freeze_epochs * factor,
                persons=persons,
                triplet_shard=shard,
                precision=profile.precision,
            ),
        )

    def changes(self, other: Recipe) -> list[tuple[str, Any, Any]]:
        """(field, here, there) for every field in which the two differ: what the scaling changed."""
        mine, theirs = _flat(asdict(self)), _flat(asdict(other))
        return [
            (key, mine.get(key), theirs.get(key)) for key in sorted(mine | theirs) if mine.get(key) != theirs.get(key)
        ]


def _multiple_of_16(pixels: float) -> int:
    return 16 * max(2, math.ceil(pixels / 16 - 1e-9))  # the backbones' stride is 16


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
