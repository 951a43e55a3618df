"""Report `ica`: Intra-Clip Aggregation for Video Person Re-identification (Isobe et al. 2019).

    reid study --profile laptop           every row of its tables, on Crosswalk worlds of tracklets
    papermill chapters/ica.ipynb out.ipynb -f params/paper.yaml      MARS, iLIDS-VID and PRID 2011

Expected (Table 1, rank-1): baseline 78.2 on iLIDS-VID and 77.8 on MARS, ICA + SDA 88.7 and 87.5, with mAP 81.6 on MARS;
Table 4, trained on iLIDS-VID and tested on PRID 2011, 41.6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reidlib.augment import Augmentation
from reidlib.optimisation import TrainingOptions
from reidlib.study.data import EVALUATED, PROTOCOLS, Scene
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe

MARS, ILIDS, PRID = "mars", "ilidsvid", "prid2011"
BENCHMARKS = (ILIDS, MARS)  # in the order of the tables
BASELINE, BASELINE_SDA, ICA, BOTH = "Baseline", "Baseline + SDA", "ICA", "ICA + SDA"
MODELS = (BASELINE, BASELINE_SDA, ICA, BOTH)  # 1 to 4
NECK = "TAP + BN + SDA"
TITLES = {MARS: "MARS", ILIDS: "iLIDS-VID"}  # what it is trained on
FRAMES = 4  # section 3.2

# Table 2 by the report's names: the backbone, and the least height and width of the images that it takes (63 and 75
# pixels, in steps of 16): a profile makes neither smaller for these rows.
BACKBONES = {"Alexnet": ("alexnet", 64), "InceptionV3": ("inception_v3", 80), "ResNet50": ("resnet50", 0)}

# Section 2.1: random cropping, flipping and erasing. No probability is given but that a clip is transformed or not:
# one half for flip and erasing (Zhong et al.), drawn apart; a crop always, from an image padded by 10 pixels (Luo et
# al.). "The transformation probability of each operation is fixed along temporal axis".
AUGMENTATION = Augmentation(flip=0.5, pad=10, erasing=0.5, scale="unit", frames=1)
# Twice as much: how far a crop may move, and how often there is an erasing.
STRENGTHS: dict[str, dict[str, Any]] = {"the report's": {}, "twice": {"pad": 20, "erasing": 1.0}}

# Section 2.2 has no more than "fully-connected layer and batch normalization" in "a bottleneck structure". Our reading,
# in `reidlib.models.temporal`: 512 hidden channels, a ReLU between, the triplet loss on what comes out. Others:
VARIANTS: dict[str, dict[str, Any]] = {
    "projection of every frame, then their mean": {"per_frame": True},  # the introduction's order
    "Z + G(Z)": {"residual": True},
    "triplet loss on Z": {"metric_feature": "before"},
}

# Which tracklets a query is ranked among: see `reidlib.data.mars`.
OFFICIAL, COMMON = Ranking(protocol="mars"), Ranking(protocol="mars-9330")
ACROSS = Scene(
    "test", benchmark=PRID
)  # section 3.4; the same number of split on both sides, which the report leaves open


def model(benchmark: str, name: str, backbone: str = "ResNet50") -> Recipe:
    """A row of Tables 1 and 2: one of MODELS, or NECK, which is ours: the baseline with nothing of ICA but its BN."""
    network, least_side = BACKBONES[backbone]
    return Recipe(
        report="ica",
        row=f"{name}, {backbone} on {TITLES[benchmark]}" if least_side else f"{name} on {TITLES[benchmark]}",
        model="video",
        model_options={
            "backbone": network,
            "width": 1.0,
            "last_stride": 2,  # not stated
            "temporal": "ica" if name in (ICA, BOTH) else "tap",
            "neck": name == NECK,
        },
        height=256,
        width=128,
        augmentation=replace(AUGMENTATION, frames=1 if name in (BASELINE, ICA) else FRAMES),
        training=TrainingOptions(
            epochs=500,
            persons=4,
            images=8,  # clips: "4 identities with 8 consecutive clips", from as many of a person's tracklets as it has
            learning_rate=4e-4,
            weight_decay=5e-4,
            milestones=(200, 400),
            gamma=0.1,  # Gao and Nevatia's; as written it is 1 / 200, see `as_written`
            label_smoothing=0.0,  # "cross-entropy loss [22]", the plain one
            triplet_margin=0.3,  # not given; Hermans et al. try 0.2 to 1, Gao and Nevatia have 0.3
        ),
        benchmark=benchmark,
        clip_frames=FRAMES,
        spread=False,  # "consecutive"
        least_persons=4,  # a profile shrinks the clips of a person before there are too few other persons
        least_images=4,
        least_side=least_side,
    )


def table1(benchmark: str) -> dict[str, Recipe]:
    """Models 1 to 4 by the report's names."""
    return {name: model(benchmark, name) for name in MODELS}


def table2(benchmark: str) -> dict[tuple[str, str], Recipe]:
    """By (method, backbone), both of the report's names."""
    return {
        (name, backbone): model(benchmark, name, backbone) for name in (BASELINE_SDA, BOTH) for backbone in BACKBONES
    }


def variants() -> dict[str, Recipe]:
    """Other readings of ICA on MARS, each one change to Model 4."""
    base = model(MARS, BOTH)
    return {
        name: replace(base, row=f"{base.row}, {name}", model_options=base.model_options | change)
        for name, change in VARIANTS.items()
    }


def as_written() -> Recipe:
    """Model 4 on MARS with the schedule as it is worded: "down-scaled by a factor of 1/200 every 200 epochs"."""
    base = model(MARS, BOTH)
    return replace(base, row=f"{base.row}, rate / 200", training=replace(base.training, gamma=1 / 200))


def gated() -> Recipe:
    """Model 4 on MARS with half of the clips left as they are: "either [...] remaining unchanged" as one draw."""
    base = model(MARS, BOTH)
    augmentation = replace(base.augmentation, unchanged=0.5)
    return replace(base, row=f"{base.row}, half of the clips unchanged", augmentation=augmentation)


def strengths() -> dict[tuple[str, str], Recipe]:
    """Models 1 and 2 on MARS by (strength of the augmentation, model)."""
    found = {}
    for strength, change in STRENGTHS.items():
        for name in (BASELINE, BASELINE_SDA):
            base = model(MARS, name)
            row = f"{base.row}, {strength} the augmentation" if change else base.row
            found[strength, name] = replace(base, row=row, augmentation=replace(base.augmentation, **change))
    return found


def own(benchmark: str) -> tuple[Ranking, Scene]:
    """How a run is ranked on the data set that it was trained on: MARS with its official gallery."""
    return Ranking(protocol=PROTOCOLS[benchmark]), EVALUATED[benchmark]


def across() -> tuple[Ranking, Scene]:
    """How a run of iLIDS-VID is ranked on PRID 2011."""
    return Ranking(protocol=PROTOCOLS[PRID]), ACROSS
