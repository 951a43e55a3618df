"""The data of a profile: a world of the profile's size, or a real data set; known by its hash before it is opened."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.data import Dataset, load_images, open_dataset
from reidlib.data.holdout import hold_out
from reidlib.data.paths import worlds_home
from reidlib.data.worlds import CourtsideSpec, frozen_manifest
from reidlib.data.worlds.crosswalk import CrosswalkSpec
from reidlib.study.profile import Profile

Knobs = tuple[tuple[str, Any], ...]
WORLDS = {  # of a benchmark: the world in its layout
    "synergyreid": "courtside",
    "market1501": "crosswalk",
    "mars": "crosswalk",
    "ilidsvid": "crosswalk",
    "prid2011": "crosswalk",
}
VIDEO = ("mars", "ilidsvid", "prid2011")  # benchmarks of tracklets
SPLITS = {"ilidsvid": 10, "prid2011": 10}  # of those that publish more than one way to divide their persons


@dataclass(frozen=True)
class Scene:
    """What a trained run is ranked on.

    split: "val" or "test"; market1501 has no "val". query_frame: each person's frame that is the query while the others
    are the gallery; 0 is the protocol's own. knobs: (name, value) of the world's spec that differ from the one on which
    the run was trained, which asks one question of one run; () is that world, or the real data. flip, scales: features
    are the mean over the image and its mirror image, and over these factors on the image's size. benchmark: another one
    than the run was trained on, which asks how it generalises; "" is its own.
    """

    split: str = "val"
    query_frame: int = 0
    knobs: Knobs = ()
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    benchmark: str = ""


VAL, TEST = Scene(), Scene("test")
EVALUATED = {"synergyreid": VAL} | dict.fromkeys(("market1501", *VIDEO), TEST)  # the split on which reports compare
# The protocol of a benchmark's metrics. With two cameras, one asking and one answering, Market-1501's leaves nothing
# out; MARS's is that of its official program, "mars-9330" is the other one in use.
PROTOCOLS = {name: name for name in ("synergyreid", "market1501", "mars")} | dict.fromkeys(SPLITS, "market1501")
TRAINED_ON = {"train": ("train",), "trainval": ("train", "val")}


def courtside_spec(train_ids: int, val_ids: int, test_ids: int, **knobs) -> CourtsideSpec:
    """Courtside, version 1, with the given identities per split; full size gives SynergyReID's own counts.

    Other sizes take every frame of every identity. knobs: fields of CourtsideSpec to change.
    """
    spec = CourtsideSpec()
    totals = {
        "train_images": spec.train_images if train_ids == spec.train_ids else 0,
        "val_gallery": spec.val_gallery if val_ids == spec.val_ids else 0,
        "test_gallery": spec.test_gallery if test_ids == spec.test_ids else 0,
    }
    return replace(spec, train_ids=train_ids, val_ids=val_ids, test_ids=test_ids, **totals, **knobs)


def crosswalk_spec(train_ids: int, test_ids: int, **knobs) -> CrosswalkSpec:
    """Crosswalk, version 1, beside a Courtside of so many identities: full size is Market-1501's when that one's is.

    Other sizes are in proportion, persons and images. knobs: fields of CrosswalkSpec to change.
    """
    full, beside = CrosswalkSpec(), CourtsideSpec()
    train = max(1, round(full.train_ids * train_ids / beside.train_ids))
    return replace(full, train_ids=train, test_ids=round(full.test_ids * test_ids / beside.test_ids), **knobs)


# Tracklets are expensive, and most of their frames alike. Of a 25 Hz camera every fourth frame is drawn, for as long as
# iLIDS-VID's tracklets of up to 192 frames last; MARS's, of up to 920, are cut short, and a third of its persons drawn.
FRAME_INTERVAL = 0.16  # s
TRACKLET_FRAMES = {"mars": 16, "ilidsvid": 48, "prid2011": 48}  # of the longest tracklet
FULL_IDS = {"mars": (208, 209), "ilidsvid": (150, 150), "prid2011": (89, 89)}  # to train on and to test, at full size
LEAST_IDS = 4  # of either: one batch of four persons
# What differs from version 1 of Crosswalk, by benchmarks/calibrate.py: iLIDS-VID's layout came near its target as it
# is, and PRID 2011's keeps to it.
VIDEO_KNOBS = {"mars": {"viewpoint_change": 0.27}}


def video_spec(benchmark: str, train_ids: int, test_ids: int, **knobs) -> CrosswalkSpec:
    """Crosswalk in the layout of a video benchmark, beside a Courtside of so many identities: persons in proportion.

    In the layouts of two cameras every split tests as many persons as it trains on, so train_ids counts for both.
    """
    beside = CourtsideSpec()
    train, test = FULL_IDS[benchmark]
    train = max(LEAST_IDS, round(train * train_ids / beside.train_ids))
    test = train if benchmark in SPLITS else max(LEAST_IDS, round(test * test_ids / beside.test_ids))
    sizes = {"frames_per_tracklet": TRACKLET_FRAMES[benchmark], "frame_interval": FRAME_INTERVAL}
    sizes |= {"cameras": 2} if benchmark in SPLITS else {}
    knobs = VIDEO_KNOBS.get(benchmark, {}) | knobs
    return CrosswalkSpec(layout=benchmark, train_ids=train, test_ids=test, **sizes | knobs)


class StudyData:
    """What a profile trains and evaluates on for a benchmark; a dataset given takes the place of the profile's own.

    split: which way to divide its persons, for a benchmark in SPLITS; 0 for the others. held_out: the share of its
    training persons that are its "val", see `reidlib.data.holdout`; 0 leaves the data as they are.
    """

    def __init__(
        self,
        profile: Profile,
        dataset: Dataset | None = None,
        benchmark: str = "synergyreid",
        split: int = 0,
        held_out: float = 0.0,
    ) -> None:
        self.profile = profile
        self.given = dataset
        self.benchmark = benchmark
        self.split = split
        self.held_out = held_out

    @property
    def spec(self) -> CourtsideSpec | CrosswalkSpec | None:
        """The world's spec; None for a real or a given data set."""
        p = self.profile
        if p.data != "worlds" or self.given is not None:
            return None
        return self._spec(p.train_ids, p.val_ids, p.test_ids)

    def _spec(self, train_ids: int, val_ids: int, test_ids: int, **knobs) -> CourtsideSpec | CrosswalkSpec:
        if self.benchmark in VIDEO:
            return video_spec(self.benchmark, train_ids, test_ids, **knobs)
        if self.benchmark == "market1501":
            return crosswalk_spec(train_ids, test_ids, **knobs)
        return courtside_spec(train_ids, val_ids, test_ids, **knobs)

    @property
    def manifest_hash(self) -> str:
        """The data's manifest hash: of what is on disk, or of a frozen world that was not rendered here yet."""
        known = frozen_manifest(self.spec) if self.spec is not None else None
        if known and "dataset" not in self.__dict__ and not self.world_folder().exists():
            return known
        return self.dataset.manifest_hash

    @property
    def config(self) -> dict[str, Any]:
        """What tells these data apart in a run's key: all splits of a data set are the same files."""
        return {"data": self.manifest_hash} | ({"split": self.split} if self.benchmark in SPLITS else {})

    @cached_property
    def dataset(self) -> Dataset:
        """Opens the data set; renders the world when it is not on disk yet.

        Warns when a frozen world comes out with other bytes (another libjpeg, say): its runs have keys of their own.
        """
        dataset = self._dataset()
        return hold_out(dataset, self.held_out) if self.held_out else dataset

    def _dataset(self) -> Dataset:
        if self.given is not None:
            return self.given
        root = Path(self.profile.data_root) if self.profile.data_root else None
        if self.profile.data == "folder":
            return open_dataset("folder", root)
        which = {"split": self.split} if self.benchmark in SPLITS else {}
        if self.spec is None:
            return open_dataset(self.benchmark, root and root / self.benchmark, **which)
        dataset = open_dataset(WORLDS[self.benchmark], self.world_folder(), spec=self.spec, **which)
        if frozen_manifest(self.spec) not in (None, dataset.manifest_hash):
            warnings.warn(
                f"this machine renders the frozen world to other bytes (manifest {dataset.manifest_hash[:12]}); its "
                "runs are kept apart from the published ones",
                stacklevel=2,
            )
        return dataset

    def scene_spec(self, scene: Scene) -> CourtsideSpec | CrosswalkSpec:
        """The world of a scene with knobs: the split alone, the same people as in the profile's world.

        Raises ValueError when the data are real: they have no knobs.
        """
        self._want_world(scene.knobs)
        p = self.profile
        people = [ids if split == scene.split else 0 for split, ids in (("val", p.val_ids), ("test", p.test_ids))]
        return self._spec(1, *people, **dict(scene.knobs))

    def has_labels(self, split: str) -> bool:
        """Whether the persons of a split are known: those of a challenge's test split are not."""
        return self.spec is not None or bool((self.dataset.rows(split)["person"] >= 0).any())

    def opened(self, scene: Scene) -> Dataset:
        """The data set of a scene; its world is rendered when it is not on disk yet."""
        if not scene.knobs:
            return self.dataset
        return _open_world(self.scene_spec(scene), self.split)

    def world_folder(self) -> Path:
        """Where the world of the profile's size is, or will be once it is rendered."""
        home = Path(self.profile.data_root) if self.profile.data_root else worlds_home()
        return home / f"{WORLDS[self.benchmark]}-{self.spec.key}"

    def training_rows(self, splits: str, knobs: Knobs = ()) -> pd.DataFrame:
        """The training images of "train" or "trainval": rows of the table, with `label`, 0 .. classes - 1.

        knobs: in which the world to train on differs from the profile's; the people are the same.
        """
        dataset = self._trained_on(knobs)
        rows = pd.concat([dataset.rows(split) for split in TRAINED_ON[splits]], ignore_index=True)
        return rows.assign(label=rows.groupby(["split", "person"]).ngroup())

    def training_images(self, splits: str, knobs: Knobs, height: int, width: int, device: torch.device) -> Tensor:
        """(N, 3, H, W) uint8 of `training_rows`."""
        dataset = self._trained_on(knobs)
        parts = [_images(dataset, split, height, width, str(device)) for split in TRAINED_ON[splits]]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _trained_on(self, knobs: Knobs) -> Dataset:
        return _open_world(self.training_spec(knobs), self.split) if knobs else self.dataset

    def training_spec(self, knobs: Knobs) -> CourtsideSpec | CrosswalkSpec:
        """The world of the profile's training and validation people with other knobs.

        "train_ids" is one of them: of two sizes the smaller one's people are the first of the larger one's.
        """
        self._want_world(knobs)
        sizes = {"train_ids": self.profile.train_ids, "val_ids": self.profile.val_ids, "test_ids": 0}
        return self._spec(**sizes | dict(knobs))

    def _want_world(self, knobs: Knobs) -> None:
        if self.spec is None:
            raise ValueError(f"knobs: {dict(knobs)} want a world and the data are {self.profile.data}")

    def images(self, scene: Scene, height: int, width: int, device: torch.device) -> Tensor:
        """(N, 3, H, W) uint8 of a scene's split (or "train"), in the table's order."""
        return _images(self.opened(scene), scene.split, height, width, str(device))

    def some_images(self, scene: Scene, index: pd.Index, height: int, width: int, device: torch.device) -> Tensor:
        """The images of some rows of a scene's split, by their index in the table, in that order.

        All of a split are kept for the next run, as by `images`; fewer are read from the disk.
        """
        dataset = self.opened(scene)
        rows = dataset.rows(scene.split)
        if len(index) < len(rows):
            return load_images(dataset, rows.loc[index], height, width, device=device)
        images, places = self.images(scene, height, width, device), rows.index.get_indexer(index)
        in_order = np.array_equal(places, np.arange(len(rows)))
        return images if in_order else images[torch.from_numpy(places).to(device)]


@cache
def _open_world(spec: CourtsideSpec | CrosswalkSpec, split: int) -> Dataset:
    if isinstance(spec, CourtsideSpec):
        return open_dataset("courtside", spec=spec)
    return open_dataset("crosswalk", spec=spec, split=split)


@lru_cache(maxsize=4)  # every row and seed of a profile reads the same images
def _images(dataset: Dataset, split: str, height: int, width: int, device: str) -> Tensor:
    return load_images(dataset, dataset.rows(split), height, width, device=device)
