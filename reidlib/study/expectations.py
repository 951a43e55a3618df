"""What the synthesis expects of the reports' parts, one difference each, and what was measured.

What each is measured by was written down here before any of it was looked at.
"""

from __future__ import annotations

from reidlib.study.recipes import along, stronger, synthesis
from reidlib.study.recipes.processing import SUM
from reidlib.study.statistics import Finding, paired_difference
from reidlib.study.synthesis import Synthesis

PROCESSED = ("flip", "AQE", "re-ranking")


def findings(s: Synthesis) -> list[Finding]:
    """What the chapter expects, each positive if it holds; (c) and (e) expect that there is no difference."""
    sums = s.fusions()
    interaction = s.effects((synthesis.FULL,))["re-ranking", "walk"]
    own = s.of(along.setting(along.TRICKS).recipe)
    processed = s.scores(synthesis.MEMBERS, SUM)(PROCESSED)
    plain = "mAP by plain distances, validation split: "
    found = [
        Finding(
            "a",
            "the parts add up across reports",
            f"{plain}full stack minus the winner's own",
            "points",
            s.full.minus(own),
        ),
        Finding(
            "b",
            "nothing of a part is lost among the others",
            f"{plain}full stack above baseline, minus the sum of the parts' single gains",
            "points",
            s.together()[1],
        ),
        Finding(
            "c",
            "what re-ranking adds and what the walk adds is their sum",
            "interaction of the two on the full stack, over all choices of flip and AQE",
            "points",
            interaction,
            none=True,
        ),
        Finding(
            "d",
            "several networks are better than the best of them",
            "mAP with flip, AQE and re-ranking: sum of the three minus the full stack",
            "points",
            paired_difference(processed, s.scores((synthesis.FULL,))(PROCESSED)),
        ),
        Finding(
            "e",
            "it does not matter whether distances are added before or after re-ranking",
            "mAP before minus after, over the choices of flip and AQE",
            "points",
            paired_difference(*sums["sum before re-ranking above sum after it"]),
            none=True,
        ),
    ]
    if s.study.data.spec is not None:
        found += _carrying(s)
    rows = s.pedestrians
    found.append(
        Finding(
            "h",
            "what was made for basketball carries to pedestrians",
            f"mAP on Market-1501's protocol: {synthesis.WITHOUT_CURATION}, minus {stronger.STRONGER}",
            "points",
            rows[synthesis.WITHOUT_CURATION].minus(rows[stronger.STRONGER]),
        )
    )
    clips = s.clips
    found.append(
        Finding(
            "i",
            "the two video reports' ideas add up",
            f"mAP on MARS's protocol: {synthesis.EVERYTHING}, minus report `attention`'s last row",
            "points",
            clips[synthesis.EVERYTHING].minus(clips["report attention"]),
        )
    )
    best = s.recommended["unlimited"]
    if best and s.study.data.has_labels("test"):
        found.append(
            Finding(
                "j",
                "what was recommended on the validation split is better than the winner's on the test split",
                "mAP on the test split: recommended without limit, minus the winner's own, each post-processed",
                "points",
                s.asked(best.cell).minus(s.winner_on_test()),
            )
        )
    return found


def _carrying(s: Synthesis) -> list[Finding]:
    found = []
    for knob, values in synthesis.SHIFTS.items():
        results = s.shifted(knob, processed=True)
        found.append(
            Finding(
                f"f ({knob.replace('_', ' ')})",
                "the full stack's lead holds where it was not trained",
                f"mAP at {values[-1]:g}, each post-processed as its report does: full stack minus the winner's",
                "points",
                results[synthesis.FULL][values[-1]].minus(results["along"][values[-1]]),
            )
        )
    sizes = s.trained(synthesis.sized(s.study.profile))
    few, many = (100 * (full.per_query() - base.per_query()) for base, full in (sizes[min(sizes)], sizes[max(sizes)]))
    found.append(
        Finding(
            "g",
            "the parts are worth most where identities are few",
            f"full stack above baseline with {min(sizes)} identities, minus that with {max(sizes)}",
            "points",
            paired_difference(few, many),
        )
    )
    return found
