"""The data of a profile: a world of the profile's size, or a real data set; known by its hash before it is opened."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from reidlib.data import Dataset, load_images, open_dataset
from reidlib.data.paths import worlds_home
from reidlib.data.worlds import CourtsideSpec, frozen_manifest
from reidlib.study.profile import Profile


def courtside_spec(train_ids: int, val_ids: int, test_ids: int, **knobs) -> CourtsideSpec:
    """Courtside, version 1, with the given identities per split; full size gives SynergyReID's own counts.

    Smaller and larger splits take every frame of every identity. knobs: fields of CourtsideSpec to change.
    """
    spec = CourtsideSpec()
    totals = {
        "train_images": spec.train_images if train_ids == spec.train_ids else 0,
        "val_gallery": spec.val_gallery if val_ids == spec.val_ids else 0,
        "test_gallery": spec.test_gallery if test_ids == spec.test_ids else 0,
    }
    return replace(spec, train_ids=train_ids, val_ids=val_ids, test_ids=test_ids, **totals, **knobs)


class StudyData:
    """What a profile trains and evaluates on."""

    def __init__(self, profile: Profile, dataset: Dataset | None = None) -> None:
        self.profile = profile
        if dataset is not None:
            self.dataset = dataset

    @property
    def spec(self) -> CourtsideSpec | None:
        """The world's spec; None for a real data set."""
        p = self.profile
        return courtside_spec(p.train_ids, p.val_ids, p.test_ids) if p.data == "courtside" else None

    @cached_property
    def manifest_hash(self) -> str:
        """The data's manifest hash. A frozen world's is known without rendering it."""
        if self.spec is not None and not self._world_folder().exists() and (known := frozen_manifest(self.spec)):
            return known
        return self.dataset.manifest_hash

    @cached_property
    def dataset(self) -> Dataset:
        """Opens the data set; renders the world when it is not on disk yet."""
        root = self.profile.data_root or None
        if self.spec is not None:
            return open_dataset("courtside", root, spec=self.spec)
        return open_dataset(self.profile.data, root)

    def _world_folder(self) -> Path:
        return Path(self.profile.data_root) if self.profile.data_root else worlds_home() / f"courtside-{self.spec.key}"

    def images(self, split: str, height: int, width: int, device: torch.device) -> Tensor:
        """(N, 3, H, W) uint8 of a split, in the table's order."""
        return _images(self.dataset, split, height, width, str(device))


@lru_cache(maxsize=4)  # every row and seed of a profile reads the same images
def _images(dataset: Dataset, split: str, height: int, width: int, device: str) -> Tensor:
    return load_images(dataset, dataset.rows(split), height, width, device=device)
