"""The Crosswalk world on disk: Market-1501's layout and counts, the same bytes whatever the order, truth beside it."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from reidlib.data import load_images, open_dataset
from reidlib.data.table import count_table
from reidlib.data.worlds import disk, hash_files, read_world
from reidlib.data.worlds.crosswalk import CrosswalkSpec, plan, render_image, write, write_crosswalk

TINY = CrosswalkSpec(height=32, width=16, train_ids=4, test_ids=3, train_images=20, gallery_images=15, distractors=5,
                     junk=4, label_noise=0.2, cameras=3, frames_per_tracklet=4, seed=5)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return write_crosswalk(TINY, tmp_path_factory.mktemp("worlds") / "tiny", progress=False)


@pytest.fixture
def world(rendered, tmp_path):
    return shutil.copytree(rendered, tmp_path / "world")


def test_a_world_is_read_like_market1501(world):
    dataset = open_dataset("crosswalk", world)
    table = dataset.table
    assert count_table(table)["images"].to_dict() == {
        ("train", "train"): 20, ("test", "query"): TINY.sights("test"), ("test", "gallery"): 15 + 5 + 4}
    gallery = dataset.rows("test", "gallery")
    assert (gallery["person"] == -1).sum() == 4 and (gallery["person"] == 0).sum() == 5
    assert set(gallery.loc[gallery["person"] == -1, "true_person"]) <= {2, 4, 6}
    assert (gallery.loc[gallery["person"] == 0, "true_person"] == 0).all()
    assert set(dataset.rows("train")["person"]) == {1, 3, 5, 7}
    assert set(dataset.rows("test", "query")["person"]) == {2, 4, 6}
    assert dataset.edition == f"version 1, spec {TINY.key}"
    assert dataset.manifest_hash == json.loads((world / "world.json").read_text())["manifest_hash"]
    assert load_images(dataset, table, 32, 16, progress=False).shape == (len(table), 3, 32, 16)
    with pytest.raises(ValueError, match="^root: .* holds a rendered world and no Market-1501 images"):
        open_dataset("market1501", world)


def test_the_world_holds_the_plan_and_its_truth(rendered):
    table, truth = plan(TINY), pd.read_csv(rendered / "truth.csv")
    assert sorted(path.relative_to(rendered).as_posix() for path in rendered.rglob("*.jpg")) == sorted(table.path)
    who = ["path", "person", "true_person", "kind", "camera", "tracklet", "frame"]
    assert truth[who].to_numpy().tolist() == table[who].to_numpy().tolist()
    assert truth.visible.between(0, 1).all() and truth.heading.abs().le(3.1416).all() and (truth.y > 0).all()
    assert (truth.visible[truth.kind == "nobody"] == 0).all()
    assert truth.time.to_numpy() == pytest.approx(truth.frame * TINY.frame_interval, abs=1e-4)
    assert (truth.person != truth.true_person)[truth.path.str.contains("train")].sum() == 4           # 2 pairs of 20
    assert read_world(rendered, "crosswalk")["manifest_hash"] == hash_files(rendered)


def test_one_image_alone_is_the_written_one_whatever_was_rendered_before(rendered):
    table, truth = plan(TINY), pd.read_csv(rendered / "truth.csv")
    code = (
        "import sys; from reidlib.data.worlds.crosswalk import CrosswalkSpec, render_image\n"
        "spec = CrosswalkSpec(**eval(sys.argv[1]))\n"
        "print(render_image(spec, *eval(sys.argv[2]), kind=sys.argv[3])[0].tobytes().hex())"
    )
    for i in (0, 13, 25, len(table) - 1):
        row = table.iloc[i]
        which = (row.pool, int(row.member), int(row.camera), int(row.tracklet), int(row.frame))
        image, visible = render_image(TINY, *which, kind=row.kind)
        assert disk.encode(TINY, image) == (rendered / row.path).read_bytes()
        assert truth.visible[i] == pytest.approx(visible, abs=1e-4)
    arguments = [repr(dataclasses.asdict(TINY)), repr(which), row.kind]
    other = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert bytes.fromhex(other.stdout) == image.tobytes()


def test_a_world_written_again_after_an_interruption_has_the_same_bytes(rendered, tmp_path, monkeypatch):
    root, left = tmp_path / "world", [25]

    def failing(spec, image):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return disk.encode(spec, image)

    with monkeypatch.context() as patch:
        patch.setattr(write, "encode", failing)
        with pytest.raises(KeyboardInterrupt):
            write_crosswalk(TINY, root, progress=False, threads=1)
    assert list(tmp_path.iterdir()) == []                              # complete or not there at all
    write_crosswalk(TINY, root, progress=False, threads=1)
    assert (root / "world.json").read_bytes() == (rendered / "world.json").read_bytes()
    assert hash_files(root) == hash_files(rendered)
    written = (root / "world.json").stat().st_mtime_ns
    assert write_crosswalk(TINY, root, progress=False) == root
    assert (root / "world.json").stat().st_mtime_ns == written


def test_a_smaller_world_is_rendered_alike(rendered):
    fewer = dataclasses.replace(TINY, train_ids=2, test_ids=1, train_images=-1, gallery_images=-1, junk=0,
                                label_noise=0.0)
    table = plan(fewer)
    common = table[table.path.isin(plan(dataclasses.replace(TINY, label_noise=0.0)).path)]
    assert len(common) > 10
    for row in common.iloc[::4].itertuples():
        which = (row.pool, row.member, row.camera, row.tracklet, row.frame)
        image, same = (render_image(spec, *which, kind=row.kind)[0] for spec in (fewer, TINY))
        assert np.array_equal(image, same)


class TestBadInput:
    def refused(self, root, message, **options):
        with pytest.raises(ValueError, match=message):
            open_dataset("crosswalk", root, **options)

    def test_no_world(self, tmp_path):
        self.refused(tmp_path, r"^root: .* holds no world \(no world.json\); pass spec=CrosswalkSpec")

    def test_another_world(self, world):
        other = dataclasses.replace(TINY, seed=3)
        self.refused(world, r"^root: .* holds another world \(seed 5 instead of 3\)", spec=other)
        (world / "world.json").write_text((world / "world.json").read_text().replace('"crosswalk"', '"courtside"'))
        self.refused(world, r"^root: .* no complete Crosswalk world \(world.json is of Courtside\)", spec=TINY)

    def test_a_missing_image(self, world):
        next((world / "query").iterdir()).unlink()
        self.refused(world, r"^root: .* images where world.json says \{.*\}; delete the world and")

    def test_a_changed_image(self, world):
        path = next((world / "query").iterdir())
        path.write_bytes(path.read_bytes() + b"!")
        dataset = open_dataset("crosswalk", world)
        with pytest.raises(ValueError, match="^root: files in .* have changed since they were written"):
            dataset.manifest_hash  # noqa: B018
