"""The frozen worlds: the default spec is one of them, and the smallest renders to its frozen bytes."""

from __future__ import annotations

import pytest

from reidlib.data.worlds import CourtsideSpec, freeze, frozen_manifest, frozen_spec, read_world, write_courtside
from reidlib.study.data import courtside_spec
from reidlib.study.profile import load_profile


def test_default_spec_is_the_frozen_one():
    assert frozen_spec("courtside-1") == CourtsideSpec()


@pytest.mark.parametrize("name", ["laptop", "quick", "smoke"])
def test_worlds_of_profiles_are_frozen(name):
    profile = load_profile(name)
    spec = courtside_spec(profile.train_ids, profile.val_ids, profile.test_ids)
    assert frozen_spec(f"courtside-1-{name}") == spec
    assert frozen_manifest(spec)


def test_rendering_gives_the_frozen_bytes(tmp_path):
    """With the locked versions. Another libjpeg may give other bytes: world.json names the versions."""
    spec = frozen_spec("courtside-1-smoke")
    root = write_courtside(spec, tmp_path / "world", progress=False)
    assert read_world(root)["manifest_hash"] == frozen_manifest(spec)
    with pytest.raises(ValueError, match="frozen already"):
        freeze(spec, root, "courtside-another")
