"""What report `vtrm` guesses (sections 3.2 and 3.4), as scenes on which its 6x model is ranked again.

Nothing is trained: one run is asked the same question in worlds that differ in one knob.
"""

from __future__ import annotations

from reidlib.data.worlds import CourtsideSpec
from reidlib.study.data import VAL, Scene
from reidlib.study.ranking import Ranking
from reidlib.study.recipes import vtrm

# (a) "related to the frame rate of the video": seconds between frames, from the world's own to beyond a slow video's.
INTERVALS = (CourtsideSpec.frame_interval, 0.2, 0.5, 1.0)
# (c) "if we choose a middle frame of the video as the query": the eleventh of twenty.
MIDDLE = Scene(query_frame=10)
# (d) "the background information of the image can also help".
BACKDROPS = ("kept", "removed", "swapped")
# (f) occlusion: the world's own has few people that are well hidden.
CROWDED = Scene(knobs=(("occlusion", 0.8),))


def at_interval(seconds: float) -> Scene:
    """The world with another time between frames; the model's own world for the interval it was trained at."""
    return VAL if seconds == INTERVALS[0] else Scene(knobs=(("frame_interval", seconds),))


def with_backdrop(backdrop: str) -> Scene:
    return VAL if backdrop == "kept" else Scene(knobs=(("backdrop", backdrop),))


def scenes() -> dict[Scene, list[Ranking]]:
    """Every scene with what is ranked there: both readings of Table 2, or its baseline and the first two windows."""
    means, minima = (list(vtrm.table2(aggregate).values()) for aggregate in ("mean", "min"))
    few = [vtrm.table2()[name] for name in ("Baseline", "Local-1", "Local-2")]
    found = {at_interval(seconds): [*means, *minima] for seconds in INTERVALS}
    found[MIDDLE] = means
    return found | dict.fromkeys([*map(with_backdrop, BACKDROPS[1:]), CROWDED], few)
