"""The data of a profile: a world of the profile's size, or a real data set; known by its hash before it is opened."""

from __future__ import annotations

import warnings
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

    Other sizes take every frame of every identity. knobs: fields of CourtsideSpec to change.
    """
    spec = CourtsideSpec()
    totals = {
        "train_images": spec.train_images if train_ids == spec.train_ids else 0,
        "val_gallery": spec.val_gallery if val_ids == spec.val_ids else 0,
        "test_gallery": spec.test_gallery if test_ids == spec.test_ids else 0,
    }
    return replace(spec, train_ids=train_ids, val_ids=val_ids, test_ids=test_ids, **totals, **knobs)


class StudyData:
    """What a profile trains and evaluates on; a dataset given takes the place of the profile's own."""

    def __init__(self, profile: Profile, dataset: Dataset | None = None) -> None:
        self.profile = profile
        self.given = dataset

    @property
    def spec(self) -> CourtsideSpec | None:
        """The world's spec; None for a real or a given data set."""
        p = self.profile
        if p.data != "courtside" or self.given is not None:
            return None
        return courtside_spec(p.train_ids, p.val_ids, p.test_ids)

    @property
    def manifest_hash(self) -> str:
        """The data's manifest hash: of what is on disk, or of a frozen world that was not rendered here yet."""
        known = frozen_manifest(self.spec) if self.spec is not None else None
        if known and "dataset" not in self.__dict__ and not self._world_folder().exists():
            return known
        return self.dataset.manifest_hash

    @cached_property
    def dataset(self) -> Dataset:
        """Opens the data set; renders the world when it is not on disk yet.

        Warns when a frozen world comes out with other bytes (another libjpeg, say): its runs have keys of their own.
        """
        if self.given is not None:
            return self.given
        root = self.profile.data_root or None
        if self.spec is None:
            return open_dataset(self.profile.data, root)
        dataset = open_dataset("courtside", root, spec=self.spec)
        if frozen_manifest(self.spec) not in (None, dataset.manifest_hash):
            warnings.warn(
                f"this machine renders the frozen world to other bytes (manifest {dataset.manifest_hash[:12]}); its "
                "runs are kept apart from the published ones",
                stacklevel=2,
            )
        return dataset

    def _world_folder(self) -> Path:
        return Path(self.profile.data_root) if self.profile.data_root else worlds_home() / f"courtside-{self.spec.key}"

    def images(self, split: str, height: int, width: int, device: torch.device) -> Tensor:
        """(N, 3, H, W) uint8 of a split, in the table's order."""
        return _images(self.dataset, split, height, width, str(device))


@lru_cache(maxsize=4)  # every row and seed of a profile reads the same images
def _images(dataset: Dataset, split: str, height: int, width: int, device: str) -> Tensor:
    return load_images(dataset, dataset.rows(split), height, width, device=device)
