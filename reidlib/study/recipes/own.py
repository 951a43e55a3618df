"""A recipe for one's own images: a small baseline after "Bag of Tricks" (Luo et al. 2019), from scratch.

reid train --root PATH --pattern '(?P<person>\\w+)_cam(?P<camera>\\d+)'
"""

from __future__ import annotations

from reidlib.augment import Augmentation
from reidlib.optimisation import TrainingOptions
from reidlib.study.recipe import Recipe


def own_images(*, height: int, width: int, epochs: int, persons: int, images: int) -> Recipe:
    """ResNet-18-ibn with BNNeck, cross-entropy and batch-hard triplet.

    height, width: pixels, multiples of 16, the backbone's stride. persons, images: P and K of a batch.
    """
    for name, pixels, least in (("height", height, 32), ("width", width, 16)):
        if pixels < least or pixels % 16:
            raise ValueError(f"{name}: wants a multiple of 16 pixels, {least} or more, got {pixels}")
    return Recipe(
        report="own",
        row="own images",
        model="baseline",
        model_options={"backbone": "resnet18_ibn", "width": 1.0, "pooling": "gem"},
        height=height,
        width=width,
        augmentation=Augmentation(flip=0.5, pad=max(1, height // 16), erasing=0.5),
        training=TrainingOptions(
            epochs=epochs,
            persons=persons,
            images=images,
            learning_rate=3.5e-4,
            milestones=(0.5 * epochs, 0.8 * epochs),
            warmup_epochs=0.1 * epochs,
        ),
    )
