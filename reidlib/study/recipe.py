"""A recipe: what a row of a report's table trains, with the report's own numbers, and how a profile scales it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from reidlib.augment import LATER, Augmentation
from reidlib.curation import Curation
from reidlib.optimisation import TrainingOptions
from reidlib.study.data import VIDEO, WORLDS
from reidlib.study.profile import Profile


@dataclass(frozen=True)
class Recipe:
    """One row's training.

    row: the name of the row in the report's table. model, model_options: arguments of `reidlib.models.build`, without
    the number of classes. height, width: pixels. augmentation, training: what the names say. benchmark: one of
    `reidlib.study.data.WORLDS`, the data set or the world in its layout. train_on: "train", or "trainval" for the
    training and the validation split together. knobs: (name, value) of the world's spec in which the one to train on
    differs from the profile's. repetition: numbers the runs of a seed ensemble, which differ in nothing else. audit:
    keep what the training images lost, for a curation to read. follow: while training, note the mAP on the benchmark's
    evaluation split and what `reidlib.probes` measures. least_persons: in a batch, however small the profile makes it.
    longer: times the profile's factor on epochs, but no more epochs than the report's.
    curation, first_model: the training set is curated by the losses of that recipe's run of the same seed. harder: the
    augmentation of the images that it found hard and of its copies; None: the same as of all others.
    clip_frames: T frames of a clip, for a model of clips; then a batch has P persons with K *clips* of each, drawn as
    `reidlib.data.sampling.clip_batches` does, and the test feature is the mean over a tracklet's clips. 0: single
    images. spread: the frames of a training clip come from all of its tracklet, rather than one after the other.
    Whether a clip is augmented as one or frame by frame is `augmentation.frames`, what its pixels are
    `augmentation.scale`.
    least_images: of a person in a batch, to which a profile scales them with the persons; 0: they are not scaled.
    least_side: in pixels, of height and width, however small the profile makes them: some backbones want more than 32.
    The other side stays as it is.
    held_out: share of the training persons that are not trained on, but ranked as the split "val"; no report says so of
    a row of its tables, it is for choosing between settings.
    pretrained: the run of that recipe with the same seed gives the starting weights, of all but the classifier.
    """

    report: str
    row: str
    model: str
    model_options: Mapping[str, Any]
    height: int
    width: int
    augmentation: Augmentation
    training: TrainingOptions
    benchmark: str = field(default="synergyreid", metadata=LATER)
    train_on: str = field(default="train", metadata=LATER)
    knobs: tuple[tuple[str, Any], ...] = field(default=(), metadata=LATER)
    repetition: int = field(default=0, metadata=LATER)
    audit: bool = field(default=False, metadata=LATER)
    follow: bool = field(default=False, metadata=LATER)
    least_persons: int = field(default=2, metadata=LATER)
    longer: float = field(default=1.0, metadata=LATER)
    curation: Curation | None = field(default=None, metadata=LATER)
    first_model: Recipe | None = field(default=None, metadata=LATER)
    harder: Augmentation | None = field(default=None, metadata=LATER)
    clip_frames: int = field(default=0, metadata=LATER)
    spread: bool = field(default=False, metadata=LATER)
    least_images: int = field(default=0, metadata=LATER)
    least_side: int = field(default=0, metadata=LATER)
    held_out: float = field(default=0.0, metadata=LATER)
    pretrained: Recipe | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if self.benchmark not in WORLDS:
            raise ValueError(f"benchmark: wants one of {', '.join(WORLDS)}, got {self.benchmark!r}")
        if self.train_on not in ("train", "trainval"):
            raise ValueError(f"train_on: wants 'train' or 'trainval', got {self.train_on!r}")
        if (self.audit or self.follow) and self.model != "baseline":
            raise ValueError(f"audit, follow: want a baseline, which has one head, got {self.model!r}")
        first = self.first_model
        if self.curation and not (first and first.audit and first.trained_on == self.trained_on):
            raise ValueError("first_model: a curation reads the losses of a recipe with audit, on the same images")
        if (self.training.classification == "circle") != bool(self.model_options.get("cosine")):
            raise ValueError("cosine: logits are cosines for the class form of the circle loss, and for it alone")
        clips = self.model == "video"
        if clips != (self.clip_frames > 0) or clips != (self.benchmark in VIDEO):
            raise ValueError(
                f"clip_frames: model 'video' wants 1 or more frames a clip and one of {', '.join(VIDEO)}, and no other "
                f"model or benchmark does; got {self.clip_frames}, {self.model!r} and {self.benchmark!r}"
            )
        attends = clips and self.model_options.get("temporal") == "attention"
        if (self.training.attention_weight or self.training.osm == "classifier") and not attends:
            raise ValueError("attention_weight, osm: want model 'video' with temporal 'attention'")
        if self.pretrained and _network(self.pretrained) != _network(self):
            raise ValueError(
                "pretrained: wants the same model, model_options and image size, whose weights these could be; got "
                f"{_network(self.pretrained)} for {_network(self)}"
            )
        if self.augmentation.frames not in (1, self.clip_frames or 1):
            raise ValueError(
                f"augmentation: draws for each frame (frames 1) or for a clip of {self.clip_frames}, got frames "
                f"{self.augmentation.frames}"
            )

    @property
    def trained_on(self) -> tuple[str, tuple[tuple[str, Any], ...]]:
        """The splits and the world's knobs, for `StudyData`."""
        return self.train_on, self.knobs

    @property
    def batch_images(self) -> int:
        """Images that one batch holds, every frame of its clips."""
        return self.training.persons * self.training.images * max(1, self.clip_frames)

    def scaled(self, profile: Profile) -> Recipe:
        """The recipe at the profile's scale. The learning rate, the losses and the probabilities stay as they are."""
        options = dict(self.model_options)
        options["backbone"] = _stand_in(options["backbone"], profile.backbones)
        options["width"] = profile.backbone_width
        if profile.part_dim and "part_dim" in options:
            options["part_dim"] = profile.part_dim
        t, factor = self.training, min(1.0, self.longer * profile.epoch_scale)
        persons = max(self.least_persons, round(t.persons * profile.batch_scale))
        images = t.images
        if self.least_images:
            images = min(images, max(self.least_images, round(images * profile.batch_scale)))
        shard = t.triplet_shard if (persons * images) % (t.triplet_shard or 1) == 0 else 0
        height, width = (
            _multiple_of_16(max(x * profile.image_scale, self.least_side)) for x in (self.height, self.width)
        )
        if "image_size" in options:
            options["image_size"] = (height, width)
        return replace(
            self,
            model_options=options,
            height=height,
            width=width,
            augmentation=_scaled(self.augmentation, profile),
            harder=self.harder and _scaled(self.harder, profile),
            first_model=self.first_model and self.first_model.scaled(profile),
            pretrained=self.pretrained and self.pretrained.scaled(profile),
            training=replace(
                t,
                epochs=max(1, round(t.epochs * factor)),
                milestones=tuple(m * factor for m in t.milestones),
                warmup_epochs=t.warmup_epochs * factor,
                freeze_epochs=t.freeze_epochs * factor,
                persons=persons,
                images=images,
                triplet_shard=shard,
                precision=profile.precision,
            ),
        )

    def config(self) -> dict[str, Any]:
        """All that the trained weights depend on, as JSON values, for a run's key.

        Without the row, which is a name in a table. Without fields that came later than runs which were recorded, where
        they are at their default: the recipe is the same one, and so is its run.
        """
        return plain(self)

    def changes(self, other: Recipe) -> list[tuple[str, Any, Any]]:
        """(field, here, there) for every field in which the two differ: what the scaling changed."""
        unlisted = dict.fromkeys(("curation", "first_model", "pretrained"))
        mine, theirs = (_flat(asdict(replace(recipe, **unlisted))) for recipe in (self, other))
        return [
            (key, mine.get(key), theirs.get(key)) for key in sorted(mine | theirs) if mine.get(key) != theirs.get(key)
        ]


def _network(recipe: Recipe) -> tuple[Any, ...]:
    """What the shapes of a recipe's weights depend on, but for the number of classes."""
    return recipe.model, dict(recipe.model_options), recipe.height, recipe.width


def _stand_in(backbone: str, stand_ins: Mapping[str, str]) -> str:
    """The backbone with its plain name replaced by that of the first pattern that fits; "se_" and "_ibn" stay."""
    name = backbone.removeprefix("se_").removesuffix("_ibn")
    return backbone.replace(name, next((to for pattern, to in stand_ins.items() if fnmatchcase(name, pattern)), name))


def plain(part: Any) -> Any:
    """A dataclass as JSON values for a key, without a recipe's row and without unset fields that came later."""
    if not is_dataclass(part):
        return part
    return {f.name: plain(getattr(part, f.name)) for f in fields(part) if f.name != "row" and not _unset(part, f)}


def _unset(part: Any, field: Field) -> bool:
    return bool(field.metadata.get("later")) and getattr(part, field.name) == field.default


def _scaled(augmentation: Augmentation, profile: Profile) -> Augmentation:
    return replace(augmentation, pad=round(augmentation.pad * profile.image_scale))


def _multiple_of_16(pixels: float) -> int:
    return 16 * max(2, math.ceil(pixels / 16 - 1e-9))  # the backbones' stride is 16


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
