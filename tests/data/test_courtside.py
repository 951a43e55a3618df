import json
import shutil

import numpy as np
import pytest

from reidlib.data import load_images, open_dataset
from reidlib.data.table import count_table
from reidlib.data.worlds import CourtsideSpec

SPEC = CourtsideSpec(
    train_ids=4, val_ids=3, test_ids=0, train_images=9, val_gallery=5, test_gallery=0, frames_per_sequence=4,
    people_per_shot=4, height=32, width=16, label_noise=0.5, seed=11,
)  # fmt: skip


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    root = tmp_path_factory.mktemp("worlds") / "tiny"
    open_dataset("courtside", root, spec=SPEC, progress=False)
    return root


@pytest.fixture
def world(rendered, tmp_path):
    return shutil.copytree(rendered, tmp_path / "world")


def test_a_world_is_read_like_the_real_data(world):
    dataset = open_dataset("courtside", world)
    assert count_table(dataset.table)["images"].to_dict() == {
        ("train", "train"): 9,
        ("val", "gallery"): 5,
        ("val", "query"): 3,
    }
    assert (dataset.rows("val", "query")["frame"] == 0).all()
    assert dataset.edition == f"version 1, spec {SPEC.key}"
    assert load_images(dataset, dataset.table, 32, 16, progress=False).shape == (17, 3, 32, 16)


def test_truth_is_joined(world):
    table = open_dataset("courtside", world).table
    assert table["visible"].between(0, 1).all()
    assert table["true_person"].dtype == np.int64
    train = table[table["split"] == "train"]
    assert sorted(train["true_person"]) == sorted(train["person"])
    assert (table["true_person"] != table["person"]).sum() == 4       # label_noise: 2 pairs of 9 training images
    truth = {row.split(",")[0]: float(row.split(",")[6]) for row in (world / "truth.csv").read_text().splitlines()[1:]}
    assert dict(zip(table["path"], table["visible"], strict=True)) == truth


def test_the_hash_is_the_one_that_the_world_was_written_with(world):
    written = json.loads((world / "world.json").read_text())
    assert open_dataset("courtside", world).manifest_hash == written["manifest_hash"]


def test_data_reid_stands_for_its_world(world):
    assert open_dataset("courtside", world / "data_reid").root == world


def test_without_a_root_the_world_is_rendered_once_and_kept(monkeypatch, tmp_path, rendered):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    first = open_dataset("courtside", spec=SPEC, progress=False)
    assert first.root == tmp_path / "worlds" / f"courtside-{SPEC.key}"
    written = (first.root / "world.json").stat().st_mtime_ns
    again = open_dataset("courtside", spec=SPEC, progress=False)
    assert (again.root / "world.json").stat().st_mtime_ns == written
    assert first.manifest_hash == again.manifest_hash == open_dataset("courtside", rendered).manifest_hash


class TestBadInput:
    def refused(self, root, message, **options):
        with pytest.raises(ValueError, match=message):
            open_dataset("courtside", root, **options)

    def test_no_world(self, tmp_path):
        self.refused(tmp_path, r"^root: .* holds no world \(no world.json\); pass spec=")

    def test_another_world(self, world):
        self.refused(world, "^root: .* holds another world", spec=CourtsideSpec(seed=3))

    def test_a_missing_image(self, world):
        next((world / "data_reid" / "reid_training").iterdir()).unlink()
        self.refused(world, r"^root: .* holds \{.*8.*\} images where world.json says \{.*9.*\}; delete the world and")

    def test_a_missing_folder(self, world):
        shutil.rmtree(world / "data_reid" / "reid_val" / "gallery")
        self.refused(world, "^root: .* has no data_reid/reid_val/gallery/; it looks half extracted")

    @pytest.mark.parametrize("content", ["{", "[]", '{"version": 1}'])
    def test_a_broken_description(self, world, content):
        (world / "world.json").write_text(content)
        self.refused(world, "^root: .*world.json (is not JSON .*|lacks .*); delete the world and render it again")

    def test_truth_missing_or_of_other_images(self, world):
        lines = (world / "truth.csv").read_text().splitlines()
        (world / "truth.csv").write_text("\n".join(lines[:-1]))
        self.refused(world, "^root: .*truth.csv lists other images than there are")
        (world / "truth.csv").unlink()
        self.refused(world, r"^root: cannot read .*truth.csv \(.*No such file")

    def test_a_changed_image(self, world):
        path = next((world / "data_reid" / "reid_training").iterdir())
        path.write_bytes(path.read_bytes() + b"!")
        dataset = open_dataset("courtside", world)
        with pytest.raises(ValueError, match="^root: files in .* have changed since they were written"):
            dataset.manifest_hash  # noqa: B018
