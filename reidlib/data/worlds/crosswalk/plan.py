"""Which images a world holds, without rendering any: split, role, labels, and what every file shows."""

import pandas as pd

from reidlib.data.worlds.crosswalk.plan_tracklets import plan_mars, plan_two_cameras
from reidlib.data.worlds.crosswalk.sights import distractors, find, images, junk, labels
from reidlib.data.worlds.crosswalk.spec import SPLITS, CrosswalkSpec

KINDS = ("person", "part", "nobody")
COLUMNS = ("path", "split", "role", "person", "true_person", "kind", "pool", "member", "camera", "tracklet", "frame")
_FOLDER = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def check_request(spec, split, person, camera, tracklet, frame, kind):
    """Raises ValueError when a world has no such image; see scene.render_image."""
    if split != "other":
        spec.ids(split)
        find(spec, split, person)
    elif person < 0:
        raise ValueError(f"person: wants a number from 0, got {person}")
    for name, value, low, high in (("camera", camera, 1, spec.cameras),
                                   ("tracklet", tracklet, 0, spec.most_tracklets - 1),
                                   ("frame", frame, 0, spec.frames_per_tracklet - 1)):
        if not low <= value <= high:
            raise ValueError(f"{name}: wants {low} to {high}, got {value}")
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(KINDS)}")


def plan(spec: CrosswalkSpec) -> pd.DataFrame:
    """Table of all images of a world, one row each, sorted by split, role (query first), path.

    Columns: path (str, relative to the world's root), split, role ("train", "query", "gallery"; of two cameras' layouts
    in the first of their splits, see plan_tracklets.in_split), person (label in the file name; 0: a distractor, -1:
    junk), true_person (who is shown, 0 for distractors), and what render_image shows: kind, pool and member (its split
    and person), camera, tracklet, frame.
    """
    if spec.layout == "market1501":
        table = _plan_images(spec)
    else:
        table = plan_mars(spec) if spec.layout == "mars" else plan_two_cameras(spec)
    order = table["role"].map({"train": 0, "query": 1, "gallery": 2})
    return table.assign(order=order).sort_values(["order", "path"])[list(COLUMNS)].reset_index(drop=True)


def _plan_images(spec):
    """The table in Market-1501's layout, in any order."""
    parts = [images(spec, split).assign(split=split, pool=split, kind="person") for split in SPLITS if spec.ids(split)]
    for part in parts:
        part["person"] = labels(spec, part) if part["split"].iloc[0] == "train" else part["true_person"]
    parts.append(junk(spec).assign(split="test", pool="test", kind="part", role="gallery", person=-1))
    table = pd.concat(parts, ignore_index=True)
    nobody = distractors(spec).assign(split="test", role="gallery", person=0, true_person=0)
    table = pd.concat([table.assign(member=table["true_person"]), nobody], ignore_index=True)
    frame = ["role", "person", "camera", "tracklet", "frame"]
    table["detection"] = table.groupby(frame).cumcount() + (table["role"] != "query")     # 00: as if drawn by hand
    table["path"] = [_path(*row) for row in zip(*(table[name] for name in [*frame, "detection"]))]
    return table


def _path(role, person, camera, tracklet, frame, detection):
    name = "-1" if person == -1 else f"{person:04d}"
    return f"{_FOLDER[role]}/{name}_c{camera}s{tracklet + 1}_{frame:06d}_{detection:02d}.jpg"

