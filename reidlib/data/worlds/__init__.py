"""Procedural worlds: computed data sets with knobs for what the reports assume, in the real layouts."""

from reidlib.data.worlds.courtside import compute_shot, render_frame, render_image
from reidlib.data.worlds.disk import hash_files, read_world
from reidlib.data.worlds.frozen import freeze, frozen_manifest, frozen_spec
from reidlib.data.worlds.plan import frames_kept, plan
from reidlib.data.worlds.spec import CourtsideSpec
from reidlib.data.worlds.write import write_courtside

__all__ = ["CourtsideSpec", "compute_shot", "frames_kept", "freeze", "frozen_manifest", "frozen_spec", "hash_files",
           "plan", "read_world", "render_frame", "render_image", "write_courtside"]
