"""Calibration of a world, once, before its version 1 was frozen; kept so that anyone can check what was done.

    python benchmarks/calibrate.py courtside frame_interval=0.3 ...     adds one candidate to the world's record
    python benchmarks/calibrate.py crosswalk viewpoint_change=0.1 ...
    python benchmarks/calibrate.py mars occlusion=0.2 ...               Crosswalk's tracklets, in that layout
    python benchmarks/calibrate.py ilidsvid occlusion=0.2 ...

The rule (book/chapters/worlds.ipynb): knobs may be set on the difficulty of the baseline alone, on seeds that the
study does not use, before any ablation is looked at. The baseline is the first row of the report that the world is for,
at the laptop profile; the target is that row's two numbers; the candidate nearest to it is chosen.

courtside: report `vtrm`'s plain MGN, mAP plain and re-ranked. As the report's validation split has 50 identities, and a
larger gallery is harder, the profile's are taken 50 at a time.
crosswalk: report `stronger`'s Strong Baseline, mAP and rank-1, on the profile's own test split, which has fewer
identities than the report's and so is somewhat easier.
mars, ilidsvid: report `ica`'s Model 1, rank-1 and in MARS's layout mAP, likewise; from Crosswalk's knobs.

Nothing else is computed here: no other row, loss or ranking.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from reidlib.data import open_dataset
from reidlib.data.paths import data_home
from reidlib.data.worlds.crosswalk import CrosswalkSpec
from reidlib.study.data import PROTOCOLS, TEST, WORLDS, Scene, courtside_spec, crosswalk_spec, video_spec
from reidlib.study.profile import load_profile
from reidlib.study.provenance import ROOT
from reidlib.study.ranking import Gallery, Ranking, score
from reidlib.study.recipe import Recipe
from reidlib.study.recipes import ica, stronger, vtrm
from reidlib.study.reports import reported
from reidlib.study.runner import Study
from reidlib.study.store import Entry, Store

WORLD_SEED, TRAINING_SEED = 1001, 1001  # the study's worlds and runs use others
PROFILE = replace(load_profile("laptop"), profile="calibration", seeds=(TRAINING_SEED,))
REPORT_IDENTITIES = 50


@dataclass(frozen=True)
class Calibration:
    """start: the knobs before calibration, what the renderer's author took for plausible. target, measured: the
    baseline's numbers in the report and on a candidate, by the same names; measured may have more."""

    start: dict[str, float]
    target: dict[str, Any]
    spec: Callable[..., Any]
    recipe: Recipe
    scene: Scene
    measured: Callable[[dict[str, Tensor]], dict[str, float]]


def of_fifty(tensors: dict[str, Tensor]) -> dict[str, float]:
    """mAP, plain and re-ranked, mean over galleries of 50 identities, and of the whole split."""
    persons = tensors["query_person"].split(REPORT_IDENTITIES)
    parts = [Gallery.of(_of_persons(tensors, some)) for some in persons if len(some) == REPORT_IDENTITIES]
    whole = [Gallery.of(tensors)]

    def mean_ap(galleries: list[Gallery], rerank: bool) -> float:
        return sum(score(one, Ranking(rerank=rerank))["mAP"] for one in galleries) / len(galleries)

    return {
        "plain": mean_ap(parts, False),
        "reranked": mean_ap(parts, True),
        "groups": len(parts),
        "plain_all": mean_ap(whole, False),
        "reranked_all": mean_ap(whole, True),
    }


def _of_persons(tensors: dict[str, Tensor], persons: Tensor) -> dict[str, Tensor]:
    """The rows of some persons, queries and gallery."""
    kept = {role: torch.isin(tensors[f"{role}_person"], persons) for role in ("query", "gallery")}
    return {name: rows[kept[name.split("_")[0]]] for name, rows in tensors.items()}


def of_benchmark(benchmark: str) -> Callable[[dict[str, Tensor]], dict[str, float]]:
    """mAP and rank-1 of the whole test split by the benchmark's protocol."""

    def measured(tensors: dict[str, Tensor]) -> dict[str, float]:
        found = score(Gallery.of(tensors), Ranking(protocol=PROTOCOLS[benchmark]))
        return {"plain": found["mAP"], "rank1": found["cmc1"]}

    return measured


def of_tracklets(benchmark: str, **target: float) -> Calibration:
    """Crosswalk in a layout of tracklets."""
    plain = CrosswalkSpec()
    return Calibration(
        start={name: getattr(plain, name) for name in ("occlusion", "viewpoint_change", "detector_jitter")},
        target={"report": f"ica, Table 1, {ica.BASELINE}"} | {name: value / 100 for name, value in target.items()},
        spec=lambda **knobs: video_spec(benchmark, PROFILE.train_ids, PROFILE.test_ids, **knobs),
        recipe=ica.model(benchmark, ica.BASELINE),
        scene=TEST,
        measured=of_benchmark(benchmark),
    )


CALIBRATIONS = {
    "courtside": Calibration(
        start={
            "frame_interval": 0.2,
            "occlusion": 0.4,
            "kit_similarity": 0.2,
            "viewpoint_change": 0.5,
            "background_persistence": 0.5,
        },
        target={
            "report": "vtrm, Table 1, MGN",
            "plain": reported("vtrm", 1, "MGN", "mAP") / 100,
            "reranked": reported("vtrm", 1, "MGN", "mAP +RK") / 100,
        },
        spec=lambda **knobs: courtside_spec(PROFILE.train_ids, PROFILE.val_ids, 1, **knobs),
        recipe=vtrm.mgn(),
        scene=Scene(),
        measured=of_fifty,
    ),
    "crosswalk": Calibration(
        start={
            "occlusion": 0.3,
            "clothes_similarity": 0.3,
            "colour_shift": 0.5,
            "viewpoint_change": 0.7,
            "detector_jitter": 0.03,
        },
        target={
            "report": "stronger, Table 1, Strong Baseline",
            "plain": reported("stronger", 1, "mAP", stronger.STRONG) / 100,
            "rank1": reported("stronger", 1, "Rank-1", stronger.STRONG) / 100,
        },
        spec=lambda **knobs: crosswalk_spec(PROFILE.train_ids, PROFILE.test_ids, **knobs),
        recipe=replace(stronger.strong(stronger.MARKET), follow=False),
        scene=TEST,
        measured=of_benchmark(stronger.MARKET),
    ),
    "mars": of_tracklets(
        "mars",
        plain=reported("ica", 1, ica.BASELINE, "MARS mAP"),
        rank1=reported("ica", 1, ica.BASELINE, "MARS Rank-1"),
    ),
    "ilidsvid": of_tracklets("ilidsvid", rank1=reported("ica", 1, ica.BASELINE, "ILIDS-VID Rank-1")),
}


def baseline(world: str, knobs: dict[str, float]) -> tuple[dict[str, Any], Entry]:
    """A candidate world's numbers, and the features that they are of."""
    this = CALIBRATIONS[world]
    spec = this.spec(seed=WORLD_SEED, **this.start | knobs)
    study = Study(PROFILE, Store(data_home() / "store"), dataset=open_dataset(WORLDS.get(world, world), spec=spec))
    run = study.features(this.recipe, TRAINING_SEED, this.scene)
    return {"knobs": knobs, "world": spec.key} | this.measured(run.tensors("features.safetensors")), run


def distance(candidate: dict, target: dict) -> float:
    """Sum of the absolute differences of the numbers to the target's."""
    return sum(abs(candidate[name] - target[name]) for name in target if name != "report")


def main() -> None:
    world, arguments = sys.argv[1], sys.argv[2:]
    this = CALIBRATIONS[world]
    found, run = baseline(world, {name: float(value) for name, value in (pair.split("=") for pair in arguments)})
    path = ROOT / "book" / "records" / f"calibration-{world}.json"
    record = json.loads(path.read_text()) if path.exists() else {"candidates": []}
    record |= {"target": this.target, "start": this.start}
    record["seeds"] = {"world": WORLD_SEED, "training": TRAINING_SEED}
    record["candidates"].append(
        found | {"features": run.key, "commit": run.record["commit"], "end": run.record["end"]}
    )
    record["chosen"] = min(record["candidates"], key=lambda candidate: distance(candidate, this.target))["knobs"]
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(record["candidates"][-1])


if __name__ == "__main__":
    main()
