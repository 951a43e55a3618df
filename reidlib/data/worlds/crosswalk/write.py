"""The Crosswalk world on disk, in the layout of a real data set, with its truth beside it."""

import hashlib
import json
from pathlib import Path

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk.plan import plan
from reidlib.data.worlds.crosswalk.scene import compute_tracklet, render_image
from reidlib.data.worlds.crosswalk.spec import SPLITS, CrosswalkSpec
from reidlib.data.worlds.crosswalk.walk import state
from reidlib.data.worlds.crosswalk.write_tracklets import counts_of_splits, encode_png, index_files
from reidlib.data.worlds.disk import encode, fill, publish

_TRUTH = ("path", "person", "true_person", "kind", "camera", "tracklet", "frame", "time", "visible", "heading", "x",
          "y")


def write_crosswalk(spec: CrosswalkSpec, root: str | Path, *, progress: bool = True, threads: int = 2) -> Path:
    """Render the whole world of spec into the folder root, and return it as a Path.

    Market-1501's layout: root/bounding_box_train, root/query, root/bounding_box_test, files named as Market-1501 names
    them, frames counted from the start of their tracklet. MARS's: root/bbox_train, root/bbox_test, root/info.
    iLIDS-VID's and PRID 2011's: their folders of sequences as PNG, and the MATLAB file of splits.
    In every layout root/truth.csv (true person, kind as in render_image, camera, tracklet and frame from 0, time in s,
    visible fraction, heading in rad: 0 towards the camera, pi / 2 to the right of the image, position in m on the
    ground, the camera at the origin looking along y); root/world.json (spec, counts, manifest hash, versions; in the
    layouts of two cameras counts is empty, and splits counts the images in each split).
    The bytes depend on spec alone, not on threads.
    Rendering goes to a folder beside root, which takes root's name when it is complete; a complete world of the same
    spec is left as it is. progress: show a bar with the time left.
    Raises ValueError when root holds anything else than this spec's complete world.
    """
    return publish(spec, root, "crosswalk", lambda folder: _render_all(spec, folder, progress, threads))


def _render_all(spec, root, progress, threads):
    table = plan(spec)
    index = index_files(spec, table)
    groups = [group for _, group in table.groupby(["pool", "member"], sort=False)]

    def write_group(rows, done):
        return _write_index(root, rows) if rows is index else _write_person(spec, root, rows, done)

    # Two cameras: images have roles in a split only, so counts stays empty.
    by_file = spec.layout in ("ilidsvid", "prid2011")
    fill(spec, root, "crosswalk", table, [*groups, index], write_group, _TRUTH, splits=() if by_file else SPLITS,
         progress=progress, threads=threads)
    if by_file:
        path = root / "world.json"
        described = json.loads(path.read_text(encoding="utf-8")) | {"splits": counts_of_splits(spec, table)}
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _write_index(root, files):
    """Write the files beside the images: list of (path, no truth row, sha256)."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return [(path, None, hashlib.sha256(data).hexdigest()) for path, data in files.items()]


def _write_person(spec, root, rows, done):
    """Render and write the images of one person: list of (path, truth row, sha256)."""
    results = []
    for row in rows.sort_values(["camera", "tracklet"], kind="stable").itertuples():
        which = (row.pool, row.member, row.camera, row.tracklet)
        image, visible = render_image(spec, *which, row.frame, kind=row.kind)
        data = encode_png(image) if row.path.endswith(".png") else encode(spec, image)
        (root / row.path).write_bytes(data)
        time = row.frame * spec.frame_interval
        now = state(compute_tracklet(spec, *which).walks[0], time)
        heading = np.arctan2(np.cos(now[at.HEADING]), -np.sin(now[at.HEADING]))
        numbers = [f"{value:.4f}" for value in (time, visible, heading, now[at.X], now[at.Y])]
        results.append((row.path, [row.path, row.person, row.true_person, row.kind, *which[2:], row.frame, *numbers],
                        hashlib.sha256(data).hexdigest()))
        done(1)
    return results
