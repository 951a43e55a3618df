"""The Courtside world on disk, in SynergyReID's own layout, with its truth beside it."""

import hashlib
from pathlib import Path

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.courtside import compute_shot, render_image
from reidlib.data.worlds.disk import encode, fill, publish
from reidlib.data.worlds.motion import sample
from reidlib.data.worlds.plan import plan
from reidlib.data.worlds.spec import SPLITS, CourtsideSpec

_TRUTH = ("path", "person", "true_person", "shot", "frame", "time", "visible", "heading", "x", "y")


def write_courtside(spec: CourtsideSpec, root: str | Path, *, progress: bool = True, threads: int = 2) -> Path:
    """Render the whole world of spec into the folder root, and return it as a Path.

    root/data_reid/reid_training/*.jpeg, root/data_reid/reid_{val,test}/{query,gallery}/*.jpeg, files named
    person_shot_frame.jpeg; root/truth.csv (true person, time in s, visible fraction, heading in rad, position in m);
    root/world.json (spec, counts, manifest hash, versions). The bytes depend on spec alone, not on threads.
    Rendering goes to a folder beside root, which takes root's name when it is complete; a complete world of the same
    spec is left as it is. progress: show a bar with the time left.
    Raises ValueError when root holds anything else than this spec's complete world.
    """
    return publish(spec, root, "courtside", lambda folder: _render_all(spec, folder, progress, threads))


def _render_all(spec, root, progress, threads):
    table = plan(spec)
    shots = [group for _, group in table.sort_values(["frame"], kind="stable").groupby(["split", "shot"], sort=False)]
    fill(spec, root, "courtside", table, shots, lambda rows, done: _write_shot(spec, root, rows, done), _TRUTH,
         splits=SPLITS, progress=progress, threads=threads)


def _write_shot(spec, root, rows, done):
    """Render and write the images of one shot: list of (path, truth row, sha256)."""
    split, index = rows.split.iloc[0], int(rows["shot"].iloc[0])
    shot = compute_shot(spec, split, index)
    results = []
    for row in rows.itertuples():
        image, visible = render_image(spec, split, row.true_person, row.frame)
        data = encode(spec, image)
        (root / row.path).write_bytes(data)
        time = row.frame * spec.frame_interval
        state = sample(shot.states, time)[row.slot]
        heading = np.arctan2(np.sin(state[at.HEADING]), np.cos(state[at.HEADING]))
        numbers = [f"{value:.4f}" for value in (time, visible, heading, state[at.X], state[at.Y])]
        results.append((row.path, [row.path, row.person, row.true_person, index, row.frame, *numbers],
                        hashlib.sha256(data).hexdigest()))
        done(1)
    return results
