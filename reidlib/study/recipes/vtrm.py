"""Report `vtrm`: Video Temporal Relationship Mining for Data-Efficient Person Re-identification (VIPriors 2021).

    reid study --profile laptop           every row of Table 1, on the Courtside world
    papermill chapters/mgn.ipynb out.ipynb -f params/paper.yaml    the report's own numbers on SynergyReID

Expected (Table 1, validation, mAP / with re-ranking): MGN 84.3 / 92.9, + Part-4 86.3 / 94.6, + 6x 88.0 / 94.3.
"""

from __future__ import annotations

from dataclasses import replace

from reidlib.augment import Augmentation
from reidlib.optimisation import TrainingOptions
from reidlib.study.fusing import Fusion
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.reports import report_table

# Section 2.2 counts the warm-up and the freezing in iterations. SynergyReID has 8,569 training images and a batch is
# 128: 66 iterations an epoch (FastReID drops the last, incomplete batch).
ITERATIONS_PER_EPOCH = 8569 // 128

WINDOWS = (1, 2, 3, 4, 5, 10)  # Table 2; Global is a window of None
ENSEMBLE = "5-Model Ensemble"  # Tables 3 and 4
LOCAL_1, LOCAL_2 = (Ranking(rerank=True, vtrm=True, window=window) for window in (1, 2))


def mgn(parts: tuple[int, ...] = (1, 2, 3), schedule: str = "executed") -> Recipe:
    """Table 1, "MGN": ResNet-50-ibn, three branches, 120 epochs (section 2.2)."""
    return Recipe(
        report="vtrm",
        row="MGN",
        model="mgn",
        model_options={
            "backbone": "resnet50_ibn",
            "width": 1.0,
            "parts": parts,
            "part_dim": 256,  # FastReID, configs/Base-MGN.yml; the report is silent
            "pooling": "gem",  # FastReID's MGN: trainable p; the report is silent
            # FastReID's Base-SBS sets NECK_FEAT after, its bagtricks before; the report is silent.
            "metric_feature": "after",
        },
        height=384,
        width=128,
        # Section 2.2: "random erase augmentation, random horizontal flipping and padding"; values are FastReID's.
        augmentation=Augmentation(flip=0.5, pad=10, erasing=0.5),
        training=TrainingOptions(
            epochs=120,
            persons=32,  # "total batch size is set to 128. Each GPU contains 4 instance": read as K = 4
            images=4,
            triplet_shard=32,  # 4 GPUs x 32 images; FastReID mines triplets on each GPU
            learning_rate=3.5e-4,
            optimizer="adam",
            weight_decay=5e-4,
            milestones=(40.0, 90.0),
            gamma=0.1,
            warmup_epochs=2000 / ITERATIONS_PER_EPOCH,
            warmup_factor=0.1,  # FastReID's bagtricks; the report is silent
            freeze_epochs=1000 / ITERATIONS_PER_EPOCH,
            # The report's numbers came out of FastReID, which acts on the milestones late; "written" is the text.
            schedule=schedule,
            label_smoothing=0.1,  # FastReID's default for cross-entropy; the report says "cross-entropy loss"
            triplet_margin=0.3,  # FastReID's bagtricks; the report says "triplet loss"
        ),
    )


def part4(schedule: str = "executed") -> Recipe:
    """Table 1, "+ Part-4 Branch": a fourth branch of four stripes (section 2.1)."""
    return replace(mgn(parts=(1, 2, 3, 4), schedule=schedule), row="+ Part-4 Branch")


def six_times(schedule: str = "executed", backbone: str = "resnet50_ibn") -> Recipe:
    """Table 1, "+ 6x Schedule": 720 epochs, the rate divided by 10 at 240 and 480 (section 2.2)."""
    recipe = part4(schedule)
    return replace(
        recipe,
        row="+ 6x Schedule",
        model_options=recipe.model_options | {"backbone": backbone},
        training=replace(recipe.training, epochs=720, milestones=(240.0, 480.0)),
    )


def table1() -> dict[str, Recipe]:
    """Table 1's rows, in the report's order."""
    return {recipe.row: recipe for recipe in (mgn(), part4(), six_times())}


def as_written() -> dict[str, Recipe]:
    """Table 1's rows of the short schedule, acting on the milestones when the text says; see `TrainingOptions`."""
    return {recipe.row: recipe for recipe in (mgn(schedule="written"), part4("written"))}


def table3() -> dict[str, Recipe]:
    """Table 3's five models by the report's row names: Part-4 MGN on four backbones, and once with the 1x schedule.

    The report says of the four "all trained with 6x Schedule" and of neither the size of the squeeze (16, FastReID's)
    nor the place of the module (before the sum).
    """
    models = {"R50-ibn 1x Schedule Local-2": part4()}
    for name in ("resnet50_ibn", "se_resnet50_ibn", "resnet101_ibn", "se_resnet101_ibn"):
        row = name.replace("se_resnet", "seR").replace("resnet", "R").replace("_", "-") + " 6x Schedule Local-2"
        models[row] = replace(six_times(backbone=name), row=row)
    return models


def table4() -> dict[str, tuple[Recipe, Ranking]]:
    """Table 4's rows but the ensemble's, each with the walk that it has come to: the table is cumulative."""
    reranked = Ranking(rerank=True)
    return {
        "MGN": (mgn(), reranked),
        "+ Part-4 Branch": (part4(), reranked),
        "+ Local-1": (part4(), LOCAL_1),
        "+ 6x Schedule": (six_times(), LOCAL_1),
    }


def ensembles() -> dict[str, Fusion]:
    """The fusion of Table 3's five models, then what the report leaves open or has not: one change a row.

    The members of Table 4's ensemble walk by Local-1, as the rows above it do; Table 3's by Local-2.
    """
    return {
        ENSEMBLE: Fusion(LOCAL_2),
        "ties by plain distances": Fusion(LOCAL_2, ties_by="plain"),
        "ties by scaled distances": Fusion(LOCAL_2, scaled=True),
        "ties by the mean of the proposers": Fusion(LOCAL_2, tied="mean"),
        "votes without the walk": Fusion(Ranking(rerank=True)),
        "sum of distances, no walk": Fusion(Ranking(rerank=True), method="sum"),
        "sum of distances, then Local-2": Fusion(LOCAL_2, method="sum"),
    }


def table2(aggregate: str = "mean", rerank: bool = True) -> dict[str, Ranking]:
    """Table 2's rows as rankings of `six_times()`.

    The report does not say how the distances of a window with several members are combined: aggregate "mean" or "min".
    It shows re-ranked distances alone; rerank False walks on plain ones.
    """
    rows = {"Baseline": Ranking(rerank=rerank)}
    for window in WINDOWS:
        for reference in (False, True):
            name = f"Local-{window}" + (" w. ref" if reference else "")
            rows[name] = Ranking(rerank=rerank, vtrm=True, window=window, reference=reference, aggregate=aggregate)
    return rows | {"Global": Ranking(rerank=rerank, vtrm=True, window=None, aggregate=aggregate)}


def table2_reported() -> dict[str, float]:
    """Table 2's mAP by the names of `table2()`: the transcription has "w. ref" as a column."""
    found = {}
    for row in report_table("vtrm", 2)["rows"]:
        found[row["row"]] = row["values"]["mAP +RK"]
        if "mAP +RK w. ref" in row["values"]:
            found[row["row"] + " w. ref"] = row["values"]["mAP +RK w. ref"]
    return found
