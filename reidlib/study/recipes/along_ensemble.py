"""Report `along`, section 3.3: many models, their distances added.

Expected (section 3.3, test split, mAP): 96.5 with 24 models; several seeds of one are worth 0.8 (section 3.1).
"""

from __future__ import annotations

from dataclasses import replace

from reidlib.study.fusing import Fusion
from reidlib.study.profile import Profile
from reidlib.study.ranking import Ranking
from reidlib.study.recipe import Recipe
from reidlib.study.recipes.along import EXPANSION, MARGINS, REPORT_RERANK, TRICKS, setting
from reidlib.study.store import canonical

BACKBONES = tuple(f"{kind}{depth}" for kind in ("resnet", "resnest", "se_resnext") for depth in (101, 152, 200))
SIZES = ((384, 128), (384, 192))

SUM = Fusion(replace(REPORT_RERANK, **EXPANSION), method="sum")  # section 3.3: "the addition of the distance matrix"


def ensembles() -> dict[str, Fusion]:
    """The sum of section 3.3, then what it leaves open and report `vtrm`'s vote: one change a row."""
    return {
        "sum of distances": replace(SUM, curve=20),
        "each divided by its mean": replace(SUM, scaled=True),
        "sum, then re-ranked": replace(SUM, rerank_after=True),
        "sum of plain distances": Fusion(Ranking(), method="sum"),
        "vote (report vtrm)": Fusion(SUM.ranking),
    }


def repetitions(count: int = 3) -> list[Recipe]:
    """The full stack, trained several times "by varying the random seed" (section 3.1)."""
    full = setting(TRICKS).recipe
    return [replace(full, repetition=number) for number in range(count)]


def ensemble(profile: Profile) -> list[Recipe]:
    """Section 3.3's models: 9 backbones x 2 sizes x 2 m, which are 36 and not the 24 of the text.

    Those that a profile's stand-ins make equal are one.
    """
    full, found = setting(TRICKS).recipe, {}
    for name in BACKBONES:
        for height, width in SIZES:
            for m in MARGINS:
                member = replace(
                    full,
                    row=f"{name} {height}×{width} m = {m}",
                    model_options=full.model_options | {"backbone": name},
                    height=height,
                    width=width,
                    training=replace(full.training, circle_margin=m),
                )
                found.setdefault(canonical(member.scaled(profile).config()), member)
    return list(found.values())


def pairs(profile: Profile) -> dict[str, tuple[Recipe, Recipe]]:
    """The first member with another that differs in one thing: "this difference is very conducive to the ensemble".

    Without the kinds of which a profile's stand-ins leave one. Last, what any two give: two seeds of the full stack.
    """
    members = ensemble(profile)
    first, options = members[0], members[0].model_options
    alike = {
        "m of the circle loss": lambda r: (r.model_options, r.width) == (options, first.width),
        "input size": lambda r: (r.model_options, r.training) == (options, first.training),
        "backbone": lambda r: (r.width, r.training) == (first.width, first.training),
    }
    found = {what: [other for other in members[1:] if same(other)] for what, same in alike.items()}
    return {what: (first, others[0]) for what, others in found.items() if others} | {"seed": tuple(repetitions(2))}
