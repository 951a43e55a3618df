"""Report `stronger`: Stronger Baseline for Person Re-Identification (Qi et al. 2021), third of the challenge.

    reid study --profile laptop           every row of its tables, on the Crosswalk and the Courtside world
    papermill chapters/stronger.ipynb out.ipynb -f params/paper.yaml      Market-1501 and SynergyReID

Expected: Table 1, Market-1501, mAP 83.1 and 85.2; Table 2, SynergyReID, validation, 92.7 and 94.6; Table 3, OSNet with
all augmentation and post-processing, 95.2 (validation) and 94.2 (test).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reidlib.augment import Augmentation
from reidlib.optimisation import TrainingOptions
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe

STRONG, STRONGER = "Strong Baseline", "Stronger Baseline"
MARKET, SYNERGY = "market1501", "synergyreid"

# Section 3.2: "We solely adopted the first two augmentation strategies while conducting the controlled experiment."
CONTROLLED = Augmentation(flip=0.5, pad=0, erasing=0.5)
# AutoAugment's probability is not given: FastReID's.
COMPLEX = {"jitter": 0.5, "auto": 0.1}

MARGINS = (0.0, 0.1, 0.3, 0.6)

# Section 3.3: "hyperparameters follow the default setting in FastReID".
EXPANDED = Ranking(expansion=5, expansion_alpha=3.0)
PUBLISHED = replace(EXPANDED, rerank=True, k1=20, k2=6, lambda_value=0.3)
FASTREID = replace(PUBLISHED, variant="fastreid")


def strong(benchmark: str) -> Recipe:
    """Luo et al.'s (2019) Strong Baseline as Section 3 trains it: triplet loss before the BNNeck, test after it."""
    return Recipe(
        report="stronger",
        row=STRONG,
        model="baseline",
        model_options={
            "backbone": "resnet50",
            "width": 1.0,
            "pooling": "average",
            "metric_feature": "before",
            "classifier_std": None,  # "Kaiming initialization" (Section 3.1), also of the BNNeck: 1 and 0
        },
        height=256,
        width=128,
        augmentation=CONTROLLED,
        training=TrainingOptions(
            epochs=120,
            persons=8,
            images=4,
            learning_rate=3.5e-4,
            weight_decay=5e-4,  # Luo et al.; the report is silent
            milestones=(30, 55),
            warmup_epochs=10,
            warmup_factor=0.01,  # "from 3.5e-6"
            label_smoothing=0.1,  # Luo et al.; the report is silent
            triplet_margin=0.3,  # Luo et al.; the report is silent
        ),
        benchmark=benchmark,
        follow=True,
        # At the laptop factor alone the Strong Baseline hardly left chance on a Crosswalk world of seed 100.
        longer=3.0,
        least_persons=8,  # no profile makes this batch smaller: the hardest of fewer negatives is another loss
    )


def combination(benchmark: str, *, after: bool, normalised: bool) -> Recipe:
    """The triplet loss after the BNNeck or before it, on features of unit length or as they are."""
    recipe = strong(benchmark)
    row = {(False, False): STRONG, (True, True): STRONGER}.get(
        (after, normalised), "triplet after the BNNeck, as it is" if after else "triplet before the BNNeck, L2"
    )
    return replace(
        recipe,
        row=row,
        model_options=recipe.model_options | {"metric_feature": "after" if after else "before"},
        training=replace(recipe.training, triplet_normalise=normalised),
    )


def stronger(benchmark: str) -> Recipe:
    """Section 3.1: the triplet loss "on the L2 normalization version of feature f_i", which is after the BNNeck."""
    return combination(benchmark, after=True, normalised=True)


def combinations(benchmark: str) -> dict[tuple[bool, bool], Recipe]:
    """All four by (after, normalised), Strong Baseline first, Stronger Baseline last."""
    pairs = [(after, normalised) for after in (False, True) for normalised in (False, True)]
    return {pair: combination(benchmark, after=pair[0], normalised=pair[1]) for pair in pairs}


def with_center(recipe: Recipe) -> Recipe:
    """With the center loss that the report discards "for its limited influence", at Luo et al.'s weight.

    It acts on the feature that the triplet loss sees, before any normalisation: the pooled one in Luo et al.'s.
    """
    return _changed(recipe, f"{recipe.row} + center loss", center_weight=5e-4)


def squared(recipe: Recipe) -> Recipe:
    """FastReID's NORM_FEAT has the squared distance of unit vectors, 2 - 2 cos; the report does not say."""
    return _changed(recipe, f"{recipe.row}, squared distance", triplet_distance="squared")


def margins(benchmark: str) -> dict[float, Recipe]:
    """The Stronger Baseline by the margin of its triplet loss, which the report does not give; 0 is the soft margin.

    Between unit vectors no distance is above 2, so a margin is a larger part of it than between pooled features.
    """
    recipe = stronger(benchmark)
    own = recipe.training.triplet_margin
    others = {m: _changed(recipe, f"{recipe.row}, margin {m:g}", triplet_margin=m) for m in MARGINS if m != own}
    return dict(sorted((others | {own: recipe}).items()))


def _changed(recipe: Recipe, row: str, **training: Any) -> Recipe:
    """One change of the losses, of which the end is of interest alone."""
    return replace(recipe, row=row, training=replace(recipe.training, **training), follow=False)


def submission(**augmentation: float) -> Recipe:
    """Section 3.4, "final submission": OSNet x1.0, SGD, 350 epochs, no warm-up; of COMPLEX, what is given.

    OSNet as FastReID has it, without the FC layer of its authors: 1,905,828 parameters.
    """
    recipe = stronger(SYNERGY)
    return replace(
        recipe,
        row="OSNet" + "".join(f" + {name}" for name in augmentation),
        model_options=recipe.model_options | {"backbone": "osnet"},
        augmentation=replace(CONTROLLED, **augmentation),
        training=replace(
            recipe.training,
            epochs=350,
            optimizer="sgd",
            learning_rate=0.065,
            milestones=(150, 225, 300),
            warmup_epochs=0,
        ),
        follow=False,
        longer=1.0,
    )


def submissions() -> dict[str, Recipe]:
    """Without and with complex augmentation; the second is the report's."""
    return {recipe.row: recipe for recipe in (submission(), submission(**COMPLEX))}
