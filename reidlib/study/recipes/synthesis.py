"""The synthesis: what the five reports' parts give together, which none of them has tried.

    papermill chapters/synthesis.ipynb out.ipynb -f params/quick.yaml      trains what the store lacks

Nobody has numbers for these rows. The stack is the challenge winner's, report `along`, with what the others add to it:
report `vtrm`'s network, the place that report `stronger` gives the triplet loss. So its baseline, and the baseline with
most single parts, are rows of report `along`'s chapter, and are not trained again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from reidlib.data.worlds import CourtsideSpec
from reidlib.study.data import VAL, Knobs, Scene
from reidlib.study.profile import Profile
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import along, attention, ica, stronger, vtrm

# The parts by name, with the report that each is from; FULL has them all, BASE none.
BRANCHES, IBN, UNIT = "MGN with Part-4", "IBN", "triplet on the unit feature"
CURATION, AUGMENT, GEM, CIRCLE, LARGE = "curation", "erasing and LGT", "GeM", "circle loss", "384×128"
FROM = {
    BRANCHES: "vtrm",
    IBN: "vtrm",
    UNIT: "stronger",
    CURATION: "along",
    AUGMENT: "along",
    GEM: "along",
    CIRCLE: "along",
    LARGE: "along",
}
PARTS = tuple(FROM)
_TRICKS = {
    CURATION: (along.NOISE, along.HARD),
    AUGMENT: (along.AUGMENT,),
    GEM: (along.GEM,),
    CIRCLE: (along.CIRCLE,),
    LARGE: (along.LARGE,),
}
FLIPPED = Scene(flip=True)
BASE, FULL, THIRD, OSNET = "baseline", "full stack", "baseline, a third of the epochs", "OSNet"
WITHOUT_BRANCHES, WITHOUT_CURATION = f"without {BRANCHES}", f"{FULL} without {CURATION}"

# What the reports do in the same place, so that one run has one of them, and which one this stack has.
EXCLUSIVE = {
    "learning rate and length": "three schedules; the winner's, a constant 0.005 over 180 epochs, for every row",
    "place of the triplet loss": "before the BNNeck (`along`) or behind it on unit length (`stronger`), as here",
    "what classifies": "cross-entropy of products or the circle loss of cosines, as in the full stack",
    "pairs": "the triplet loss or the pair form of the circle loss; the triplet loss stays",
    "network": "OSNet has no late stages to copy into branches: it is a member of the fusion, not a part",
    "λ of the re-ranking": "0.3 (`vtrm`, `stronger`) or 0.1 (`along`), the winner's",
    "frames into one feature": "ICA's projection of the mean or a weighted sum by attention: rows of each",
    "erasing in step and the attention loss": "a clip erased as one gives the loss no frame to tell from the others",
}


def stack(parts: Collection[str], knobs: Knobs = ()) -> Recipe:
    """Report `along`'s baseline with some of PARTS. Raises ValueError for a name that is none of them."""
    if unknown := set(parts) - set(PARTS):
        raise ValueError(f"parts: want some of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    recipe = along.setting([trick for part in parts for trick in _TRICKS.get(part, ())], knobs=knobs).recipe
    options, training = dict(recipe.model_options), recipe.training
    if IBN in parts:
        options["backbone"] = "resnet50_ibn"
    if UNIT in parts:  # the margin stays report `along`'s: one change
        options["metric_feature"] = "after"
        training = replace(training, triplet_normalise=True)
    if BRANCHES in parts:
        options |= {"parts": (1, 2, 3, 4), "part_dim": 256}
    return replace(
        recipe,
        report="synthesis" if {BRANCHES, IBN, UNIT} & set(parts) else recipe.report,
        row=_name(parts),
        model="mgn" if BRANCHES in parts else "baseline",
        model_options=options,
        training=training,
        audit=not parts,
    )


def _name(parts: Collection[str]) -> str:
    left = [part for part in PARTS if part not in parts]
    if len(parts) in (0, 1):
        return f"{BASE} + {parts[0]}" if parts else BASE
    return "".join([FULL, *(f" without {part}" for part in left)])


def base(knobs: Knobs = ()) -> Recipe:
    """No part: report `along`'s baseline, which is also the curation's first model."""
    return stack((), knobs)


def full(knobs: Knobs = ()) -> Recipe:
    return stack(PARTS, knobs)


def added() -> dict[str, Recipe]:
    """The baseline with each part."""
    return {part: stack((part,)) for part in PARTS}


def left_out() -> dict[str, Recipe]:
    """The full stack without each part."""
    return {part: stack([other for other in PARTS if other != part]) for part in PARTS}


def third() -> Recipe:
    """The baseline trained for a third of its epochs, for those who have a minute."""
    recipe = base()
    training = replace(recipe.training, epochs=recipe.training.epochs // 3, warmup_epochs=10 / 3)
    return replace(recipe, report="synthesis", row=THIRD, training=training, audit=False)


def models() -> dict[str, Recipe]:
    """Whose rankings are processed in every way; the last three are fused, see MEMBERS."""
    return {
        THIRD: third(),
        BASE: base(),
        WITHOUT_BRANCHES: left_out()[BRANCHES],
        OSNET: stronger.submission(**stronger.COMPLEX),
        FULL: full(),
    }


MEMBERS = (FULL, WITHOUT_BRANCHES, OSNET)  # three networks that differ in more than a seed


# How far it carries: the full stack beside each report's own model of Courtside, each shown and ranked as its report
# does. Report `vtrm`'s has its short schedule; six times longer is a row of its own chapter.
def carried() -> dict[str, tuple[Recipe, Ranking, bool]]:
    """By name: the recipe, its own ranking, and whether its features are those of image and mirror image."""
    processed = replace(along.REPORT_RERANK, **along.EXPANSION)
    return {
        FULL: (full(), processed, True),
        "along": (along.setting(along.TRICKS).recipe, processed, True),
        "vtrm": (vtrm.part4(), vtrm.LOCAL_1, False),
        "stronger": (stronger.submission(**stronger.COMPLEX), stronger.FASTREID, False),
    }


# Evaluated there, trained at home: (knob, values from the world's own upwards).
SHIFTS = {
    "frame_interval": (CourtsideSpec.frame_interval, 0.2, 1.0),
    "occlusion": (CourtsideSpec.occlusion, 0.5, 0.8),
    "kit_similarity": (CourtsideSpec.kit_similarity, 0.5, 1.0),
}
NOISES = (CourtsideSpec.label_noise, 0.1, 0.3)  # trained there, evaluated at home
IDENTITIES = (50, 100, 160, 436)  # likewise, the last one SynergyReID's count; 160 is profile laptop's


def shifted(knob: str, value: float) -> Scene:
    """The validation people under another value of a knob; the model's own world for its own value."""
    return VAL if value == SHIFTS[knob][0] else Scene(knobs=((knob, value),))


def noisy() -> dict[float, tuple[Recipe, Recipe]]:
    """(baseline, full stack) by the share of wrong training labels."""
    found = {}
    for share in NOISES:
        knobs = (("label_noise", share),) if share else ()
        found[share] = base(knobs), full(knobs)
    return found


def sized(profile: Profile) -> dict[int, tuple[Recipe, Recipe]]:
    """(baseline, full stack) by the number of training identities, fewer in proportion in a profile below 160.

    For a first look the fewest and the profile's own; a quarter more, where its own are the fewest: those of one shot.
    """
    found, own = {}, profile.train_ids
    least, scale = CourtsideSpec.people_per_shot, min(1.0, own / 160)
    counts = {max(least, round(scale * ids)) for ids in IDENTITIES} | {own}
    if profile.first_look:
        counts = {own, min(counts) if min(counts) < own else own * 5 // 4}
    for count in sorted(counts):
        knobs = () if count == own else (("train_ids", count),)
        found[count] = base(knobs), full(knobs)
    return found


def pedestrians() -> dict[str, Recipe]:
    """Baseline and full stack on Market-1501; report `stronger`'s rows there stand beside them.

    Without curation, which fills every identity up to the twenty frames that a Courtside identity has.
    """
    recipes = {BASE: replace(base(), audit=False), WITHOUT_CURATION: left_out()[CURATION]}
    return {name: replace(recipe, benchmark=stronger.MARKET) for name, recipe in recipes.items()}


# Clips: report `attention`'s rows with report `ica`'s two ideas.
EVERYTHING = "attention, its loss, OSM, SDA"


def clips() -> dict[str, Recipe]:
    """On MARS, with one network and schedule, those of report `attention`: what is added to its bag of tricks.

    The first three are rows of its Table 1.
    """
    rows = attention.table1()
    found = {
        "attention": rows[attention.TRICKS],
        "attention, OSM": rows[attention.CENTERS],
        "attention, its loss, OSM": rows[attention.ATTENTION],
        "attention, OSM, SDA": _in_step(rows[attention.CENTERS]),
        EVERYTHING: _in_step(rows[attention.ATTENTION]),
        "ICA, SDA": _aggregated(_in_step(rows[attention.TRICKS])),
        "ICA, OSM, SDA": _aggregated(_in_step(rows[attention.CENTERS])),
    }
    return {name: replace(recipe, row=f"clips: {name}") for name, recipe in found.items()}


def own_clips() -> dict[str, Recipe]:
    """The last row of each report's own Table 1 on MARS."""
    return {"attention": attention.table1()[attention.ATTENTION], "ica": ica.model(ica.MARS, ica.BOTH)}


def _in_step(recipe: Recipe) -> Recipe:
    """SDA: one draw for all frames of a clip."""
    augmentation = replace(recipe.augmentation, frames=recipe.clip_frames)
    return replace(recipe, report="synthesis", augmentation=augmentation)


def _aggregated(recipe: Recipe) -> Recipe:
    """ICA in the place of attention; its projection has the batch norm of the BNNeck."""
    options = {name: value for name, value in recipe.model_options.items() if name not in ("generator", "image_size")}
    return replace(recipe, report="synthesis", model_options=options | {"temporal": "ica", "neck": False})
