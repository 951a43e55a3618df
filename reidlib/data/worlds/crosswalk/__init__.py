"""Crosswalk: pedestrians seen by several cameras, in the layouts of Market-1501, MARS, iLIDS-VID and PRID 2011."""

from reidlib.data.worlds.crosswalk.plan import plan
from reidlib.data.worlds.crosswalk.scene import compute_tracklet, render_image
from reidlib.data.worlds.crosswalk.sights import tracklets
from reidlib.data.worlds.crosswalk.spec import CrosswalkSpec
from reidlib.data.worlds.crosswalk.write import write_crosswalk

__all__ = ["CrosswalkSpec", "compute_tracklet", "plan", "render_image", "tracklets", "write_crosswalk"]
