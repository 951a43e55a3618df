"""What the loaders of the video data sets find: persons, tracklets and frames, MARS's two galleries, PRID's persons."""

from __future__ import annotations

import pandas as pd

from reidlib.data import mars, prid2011
from reidlib.data.worlds.crosswalk import plan
from reidlib.data.worlds.crosswalk.plan_tracklets import in_split
from reidlib.study.data import SPLITS, VIDEO, StudyData
from reidlib.study.page import TITLES
from reidlib.study.runner import Study
from reidlib.study.tables import Result, markdown

KEY = ["split", "person", "camera", "tracklet"]  # of a tracklet in a world's plan


def frames_of(data: StudyData) -> pd.DataFrame:
    """Every frame of a video benchmark, with role, person and sequence; of a world from its plan, without a picture."""
    if data.spec is None:
        return data.dataset.table
    table = plan(data.spec)
    if data.benchmark in SPLITS:
        table = in_split(data.spec, table, data.split)
    return table.assign(sequence=table.groupby([*KEY, "pool", "member"], sort=False).ngroup())


def counts(frames: pd.DataFrame) -> dict[str, tuple[int, int, int]]:
    """(persons, tracklets, frames) by who they are: train, query, gallery, distractors (person 0), junk (-1)."""
    role, person = frames["role"], frames["person"]
    parts = {
        "train": frames[role == "train"],
        "query": frames[role == "query"],
        "gallery": frames[(role == "gallery") & (person > 0)],
        "distractors": frames[person == 0],
        "junk": frames[person == -1],
    }
    return {name: (part["person"].nunique(), part["sequence"].nunique(), len(part)) for name, part in parts.items()}


def counts_table(study: Study, name: str) -> str:
    """The counts of all three data sets, the first seed's split of two of them."""
    body = []
    for benchmark in VIDEO:
        frames = frames_of(study.data_of(benchmark, study.profile.seeds[0]))
        lengths = frames.groupby("sequence").size()
        cells = [
            f"{persons:,} · {tracklets:,} · {images:,}" if images else "–"
            for persons, tracklets, images in counts(frames).values()
        ]
        body.append([TITLES[benchmark], *cells, f"{lengths.min()} to {lengths.max()}, {lengths.mean():.1f}"])
    parts = ["train", "query", "gallery", "distractors", "junk"]
    caption = (
        "What the loaders find: persons · tracklets · frames, and the frames of a tracklet, from shortest to longest "
        f"and on average. Of iLIDS-VID and PRID 2011 the split of seed {study.profile.seeds[0]}."
    )
    return markdown(caption, name, ["", *parts, "frames of a tracklet"], body)


def galleries(study: Study) -> dict[str, int]:
    """The tracklets of MARS's two galleries here, junk taken out: with its queries, and without."""
    found = counts(frames_of(study.data_of("mars")))
    common = found["gallery"][1] + found["distractors"][1]
    return {"mars": common + found["query"][1], "mars-9330": common}


def real_galleries() -> dict[str, int]:
    """The same of the real MARS, from the counts that its loader checks."""
    c = mars.COUNTS
    common = c["other gallery tracklets"] + c["distractor tracklets"]
    return {"mars": common + c["query tracklets"], "mars-9330": common}


def skipped(found: Result) -> int:
    """Queries without a match under a ranking, which no metric counts; the same for every seed of one gallery."""
    return sum(value is None for value in found.entries[0].record["metrics"]["average_precision"])


def prid_sentence(study: Study) -> str:
    """Why PRID 2011 has 178 persons: what its loader counts, here and in the real data."""
    frames = frames_of(study.data_of("prid2011"))
    fewest = frames.groupby(["person", "camera"]).size().groupby("person").min()
    real = list(prid2011.COUNTS.values())
    here = [int((fewest >= length).sum()) for length in (prid2011.SHORTEST, prid2011.WRITTEN)]
    return (
        f'*"We select 178 out of 200 identities with more than 21 frames."* Of PRID 2011\'s {real[0]} persons in both '
        f"cameras, {real[2]} have {prid2011.WRITTEN} frames or more in both; {real[1]} is the number of those with "
        f"{prid2011.SHORTEST} or more, and the published splits are of them. The loader checks both numbers, and its "
        f"splits are of the second. Here {here[0]} have {prid2011.SHORTEST} or more and {here[1]} "
        f"{prid2011.WRITTEN} or more: the world's layout leaves nobody out."
        if study.data_of("prid2011").spec is not None
        else f"Of PRID 2011's persons here, {here[0]} have {prid2011.SHORTEST} frames or more in both cameras and "
        f"{here[1]} have {prid2011.WRITTEN} or more; the published splits are of the first."
    )
