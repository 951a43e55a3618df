import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reidlib.data import open_dataset
from reidlib.data.folder import PERSON_FOLDERS
from reidlib.data.table import count_table, unmatched_queries

VEHICLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "vehicle-reid" / "images"
VEHICLE_PATTERN = r"(?P<person>\w+_\d+)_cam(?P<camera>\d+)"


def write(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 3), (number, 0, 0)).save(path)


def roles(table):
    return dict(zip(table["path"], table["role"], strict=True))


def test_person_folders_with_the_first_image_as_query(tmp_path):
    write(tmp_path, "train/bo/2.png", "train/bo/1.png", "train/al/x.jpg", "train/al/deep/y.jpg")
    write(tmp_path, "test/cy/b.png", "test/cy/a.png", "test/cy/c.png", "test/bo/1.png", "test/bo/2.png")
    table = open_dataset("folder", tmp_path).table
    assert table.to_dict("list") == {
        "path": ["test/bo/2.png", "test/cy/b.png", "test/cy/c.png", "test/bo/1.png", "test/cy/a.png"]
        + ["train/al/deep/y.jpg", "train/al/x.jpg", "train/bo/1.png", "train/bo/2.png"],
        "person": [1, 2, 2, 1, 2, 0, 0, 1, 1],
        "camera": [1, 1, 1, 0, 0, 0, 0, 0, 0],
        "sequence": [0] * 9,
        "frame": [1, 1, 2, 0, 0, 0, 1, 0, 1],
        "split": ["test"] * 5 + ["train"] * 4,
        "role": ["gallery"] * 3 + ["query"] * 2 + ["train"] * 4,
    }


def test_a_pattern_reads_person_camera_sequence_and_frame(tmp_path):
    pattern = r"(?P<person>[a-z]+)/c(?P<camera>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)"
    write(tmp_path, "test/bo/c2s1_010.png", "test/bo/c2s1_9.png", "test/bo/c10s0_0.png", "test/al/c3s0_0.png")
    table = open_dataset("folder", tmp_path, pattern=pattern).table.set_index("path")
    assert table.loc["test/bo/c2s1_010.png"].tolist() == [1, 2, 1, 10, "test", "query"]
    assert table.loc["test/bo/c10s0_0.png"].tolist() == [1, 10, 0, 0, "test", "gallery"]   # camera 2 comes before 10
    assert roles(table.reset_index())["test/al/c3s0_0.png"] == "query"
    assert list(unmatched_queries(table.reset_index())["path"]) == ["test/al/c3s0_0.png"]


def test_cameras_that_are_no_numbers_are_numbered_by_sorted_order(tmp_path):
    write(tmp_path, "test/1_west.png", "test/1_east.png", "test/1_north.png")
    table = open_dataset("folder", tmp_path, pattern=r"(?P<person>\d+)_(?P<camera>.+)").table.set_index("path")
    assert table["camera"].to_dict() == {"test/1_east.png": 0, "test/1_north.png": 1, "test/1_west.png": 2}
    assert table.loc["test/1_east.png", "role"] == "query"


@pytest.mark.parametrize("prefix", ["", "test/"])
def test_query_and_gallery_folders_give_the_roles(tmp_path, prefix):
    write(tmp_path, f"{prefix}query/al/2.png", f"{prefix}gallery/al/1.png", f"{prefix}gallery/bo/1.png")
    table = open_dataset("folder", tmp_path).table
    assert table["role"].tolist() == ["gallery", "gallery", "query"]
    assert table["camera"].tolist() == [1, 1, 0]
    assert set(table["split"]) == {"test"}


def test_val_is_read_like_test(tmp_path):
    write(tmp_path, "val/al/1.png", "val/al/2.png", "test/bo/1.png", "test/bo/2.png")
    dataset = open_dataset("folder", tmp_path)
    assert dataset.rows("val", "query")["path"].tolist() == ["val/al/1.png"]
    assert dataset.rows("test", "query")["path"].tolist() == ["test/bo/1.png"]


def test_the_order_of_listings_changes_neither_table_nor_hash(tmp_path, monkeypatch):
    write(tmp_path, *(f"{split}/{person}/{n}.png" for split in ("train", "test") for person in "abc" for n in range(3)))
    plain = open_dataset("folder", tmp_path)
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listdir(folder), key=lambda name: hash((name, "x"))))
    shuffled = open_dataset("folder", tmp_path)
    assert shuffled.table.equals(plain.table)
    assert shuffled.manifest_hash == plain.manifest_hash


def test_one_name_in_two_unicode_forms_is_one_person(tmp_path):
    composed, decomposed = unicodedata.normalize("NFC", "zoë"), unicodedata.normalize("NFD", "zoë")
    write(tmp_path, f"train/{composed}/1.png", f"test/{decomposed}/2.png", f"test/{decomposed}/3.png")
    assert open_dataset("folder", tmp_path, allow_single=True).table["person"].tolist() == [0, 0, 0]


@given(
    person=st.from_regex(r"[a-z]{1,8}_\d{1,6}", fullmatch=True),
    camera=st.integers(0, 10**6),
)
def test_the_vehicle_pattern_reads_back_what_was_written(person, camera):
    match = re.fullmatch(VEHICLE_PATTERN, f"{person}_cam{camera:03d}")
    assert (match["person"], int(match["camera"])) == (person, camera)


@given(
    person=st.text(st.characters(exclude_characters="/\n", codec="utf-8"), min_size=1),
    rest=st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1),
)
def test_the_default_pattern_takes_the_first_folder_for_the_person(person, rest):
    match = re.fullmatch(PERSON_FOLDERS, f"{person}/{rest}")
    assert match["person"] == person


class TestBadInput:
    def test_no_root(self):
        with pytest.raises(ValueError, match="^root: 'folder' wants the folder that holds the images"):
            open_dataset("folder")

    def test_missing_root(self, tmp_path):
        with pytest.raises(ValueError, match="^root: there is no folder .*absent"):
            open_dataset("folder", tmp_path / "absent")

    def test_no_known_folder(self, tmp_path):
        write(tmp_path, "al/1.png")
        with pytest.raises(ValueError, match="^root: .* holds neither train/ nor val/ nor test/"):
            open_dataset("folder", tmp_path)

    def test_query_without_gallery(self, tmp_path):
        write(tmp_path, "query/al/1.png")
        with pytest.raises(ValueError, match="^root: .* holds query/ alone; evaluation wants query/ and gallery/"):
            open_dataset("folder", tmp_path)

    def test_empty_gallery_folder(self, tmp_path):
        write(tmp_path, "query/al/1.png")
        (tmp_path / "gallery").mkdir()
        with pytest.raises(ValueError, match="^root: .*gallery holds no image"):
            open_dataset("folder", tmp_path)

    def test_gallery_left_empty_because_every_person_has_one_image(self, tmp_path):
        write(tmp_path, "test/al/1.png", "test/bo/1.png")
        with pytest.raises(ValueError, match="^table: the gallery of split test is empty"):
            open_dataset("folder", tmp_path)

    def test_test_beside_query(self, tmp_path):
        write(tmp_path, "query/al/1.png", "gallery/al/2.png", "test/al/3.png")
        with pytest.raises(ValueError, match="^root: .* holds test/ and query/"):
            open_dataset("folder", tmp_path)

    def test_an_identity_with_one_training_image(self, tmp_path):
        write(tmp_path, "train/al/1.png", "train/al/2.png", "train/bo/1.png")
        with pytest.raises(ValueError, match=r"^root: 1 of 2 training identities .* \(train/bo/1.png\)"):
            open_dataset("folder", tmp_path)
        assert count_table(open_dataset("folder", tmp_path, allow_single=True).table)["singles"].tolist() == [1]

    def test_names_that_do_not_match(self, tmp_path):
        write(tmp_path, *(f"train/{name}.png" for name in ("1_1", "1_2", "a", "b", "c", "d")))
        message = r"^pattern: 4 of 6 images in .*train do not match .* \(a.png, b.png, c.png, ...\); change the pattern"
        with pytest.raises(ValueError, match=message):
            open_dataset("folder", tmp_path, pattern=r"(?P<person>\d+)_(?P<frame>\d+)")

    def test_a_group_that_takes_no_part_is_no_match(self, tmp_path):
        write(tmp_path, "train/1_c1.png", "train/1.png")
        with pytest.raises(ValueError, match=r"^pattern: 1 of 2 images .* \(1.png\)"):
            open_dataset("folder", tmp_path, pattern=r"(?P<person>\d+)(_c(?P<camera>\d+))?")

    def test_images_that_share_all_their_numbers(self, tmp_path):
        write(tmp_path, "train/1_1.png", "train/1_01.jpg")
        with pytest.raises(ValueError, match="share person, .* and frame .*: train/1_1.png, train/1_01.jpg"):
            open_dataset("folder", tmp_path, pattern=r"(?P<person>\d+)_(?P<frame>\d+)")

    @pytest.mark.parametrize(
        "pattern, message",
        [
            (r"(?P<person>\d+", "is not a regular expression"),
            (r"(\d+)", "wants a group .* it has no named group"),
            (r"(?P<camera>\d+)", "wants a group .* it has camera"),
            (r"(?P<person>\d+)(?P<cam>\d+)", "it has cam, person"),
        ],
    )
    def test_a_pattern_that_is_none(self, tmp_path, pattern, message):
        write(tmp_path, "train/1.png")
        with pytest.raises(ValueError, match=f"^pattern: .*{message}"):
            open_dataset("folder", tmp_path, pattern=pattern)

    def test_other_files(self, tmp_path):
        write(tmp_path, "train/al/1.png", "train/al/2.png")
        (tmp_path / "train" / "labels.csv").touch()
        with pytest.raises(ValueError, match=r"^root: 1 files below .*train are not images \(labels.csv\)"):
            open_dataset("folder", tmp_path)


@pytest.mark.skipif(not VEHICLES.is_dir(), reason="the vehicle images are not beside this checkout")
def test_the_vehicle_set():
    dataset = open_dataset("folder", VEHICLES, pattern=VEHICLE_PATTERN)
    counts = count_table(dataset.table)
    assert counts["persons"].to_dict() == {("test", "gallery"): 60, ("test", "query"): 60, ("train", "train"): 507}
    assert counts["images"].to_dict() == {("test", "gallery"): 60, ("test", "query"): 60, ("train", "train"): 1014}
    assert len(unmatched_queries(dataset.table)) == 0
    assert dataset.table["person"].nunique() == 567
    assert set(dataset.rows("test", "query")["camera"]) == {1}
    assert set(dataset.rows("test", "gallery")["camera"]) == {2}
    assert len(dataset.manifest_hash) == 64
