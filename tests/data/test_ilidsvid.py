"""The real images are not at hand, so tiny trees of their layout stand in; the counts are patched where need be."""

import os
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from reidlib.data import ilidsvid, open_dataset
from reidlib.data.ilidsvid import COUNTS, SEQUENCES, SPLITS, read_layout
from reidlib.retrieval.metrics import Labels, evaluate

PERSONS = (2, 10, 9, 100, 319, 5)  # with gaps, and not in the order of their numbers
LS_SET = [[6, 1, 3, 2, 4, 5], [1, 2, 3, 4, 5, 6], [5, 2, 6, 3, 1, 4]]
TESTED = [{319, 2, 9}, {2, 5, 9}, {100, 5, 319}]  # LS_SET's first halves, counted off by hand in 2 5 9 10 100 319
FRAMES = (317, 9999, 10000, 320)  # numbers with a gap; as text, 9999 without its zero would come last
TINY = dict(zip(COUNTS, (6, 12, 2, 4), strict=True))


@pytest.fixture(autouse=True)
def tiny_counts(monkeypatch):
    monkeypatch.setattr(ilidsvid, "COUNTS", TINY)


def write(root, camera, person, frames, name="cam{}_person{:03d}_{:05d}.png"):
    folder = root / SEQUENCES / f"cam{camera}" / f"person{person:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        path = folder / name.format(camera, person, frame)
        path.write_bytes(path.name.encode())


def build(root, ls_set=LS_SET):
    for person in PERSONS:
        for camera in (1, 2):
            write(root, camera, person, FRAMES[:2] if (camera, person) == (2, 9) else FRAMES)
    (root / SPLITS).parent.mkdir(parents=True)
    savemat(root / SPLITS, {"ls_set": np.array(ls_set, np.float64)})
    return root


def test_the_table(tmp_path):
    dataset = open_dataset("ilidsvid", build(tmp_path))
    assert dataset.edition == "split 0 (by its counts)"
    assert dataset.sources == ("train-test people splits/train_test_splits_ilidsvid.mat",)
    assert list(dataset.table.columns) == ["path", "person", "camera", "sequence", "frame", "split", "role"]
    query = dataset.rows("test", "query")
    assert query["path"].tolist()[4:8] == [
        "i-LIDS-VID/sequences/cam1/person009/cam1_person009_00317.png",
        "i-LIDS-VID/sequences/cam1/person009/cam1_person009_00320.png",
        "i-LIDS-VID/sequences/cam1/person009/cam1_person009_09999.png",
        "i-LIDS-VID/sequences/cam1/person009/cam1_person009_10000.png",
    ]
    assert query["person"].tolist() == [2] * 4 + [9] * 4 + [319] * 4
    assert query["sequence"].tolist() == [0] * 4 + [4] * 4 + [10] * 4
    assert query["frame"].tolist() == [0, 1, 2, 3] * 3
    gallery = dataset.rows("test", "gallery")
    assert (set(query["camera"]), set(gallery["camera"])) == ({1}, {2})
    assert gallery["person"].tolist() == [2] * 4 + [9] * 2 + [319] * 4
    assert gallery["sequence"].tolist() == [1] * 4 + [5] * 2 + [11] * 4
    train = dataset.rows("train", "train")
    assert train["person"].tolist() == [5] * 8 + [10] * 8 + [100] * 8
    assert train["camera"].tolist() == ([1] * 4 + [2] * 4) * 3


@pytest.mark.parametrize("split", range(3))
def test_the_first_half_of_a_row_is_tested(tmp_path, split):
    build(tmp_path)
    table = open_dataset("ilidsvid", tmp_path, split=split).table
    assert set(table.loc[table["split"] == "test", "person"]) == TESTED[split]
    assert set(table.loc[table["split"] == "train", "person"]) == set(PERSONS) - TESTED[split]
    numbers = ["path", "person", "camera", "sequence", "frame"]
    assert table[numbers].sort_values("path").to_numpy().tolist() == (
        open_dataset("ilidsvid", tmp_path).table[numbers].sort_values("path").to_numpy().tolist()
    )


def test_every_query_has_one_match(tmp_path):
    table = read_layout(build(tmp_path), split=1)
    tracklets = table[table["split"] == "test"].groupby("sequence").first()
    query, gallery = (
        Labels(part["person"].to_numpy(), part["camera"].to_numpy())
        for part in (tracklets[tracklets["role"] == role] for role in ("query", "gallery"))
    )
    found = evaluate(np.array([[0.0, 1, 2], [0, 1, 2], [0, 1, 2]]), query, gallery, "market1501")
    assert found.average_precision == pytest.approx([1, 1 / 2, 1 / 3])
    assert found.cmc == pytest.approx([1 / 3, 2 / 3, 1])


def test_the_order_of_folders_does_not_matter(tmp_path, monkeypatch):
    before = open_dataset("ilidsvid", build(tmp_path), split=2)
    hashed, listdir, random = before.manifest_hash, os.listdir, np.random.default_rng(0)
    for _ in range(3):
        monkeypatch.setattr(os, "listdir", lambda folder: random.permutation(sorted(listdir(folder))).tolist())
        after = open_dataset("ilidsvid", tmp_path, split=2)
        assert after.table.equals(before.table)
        assert after.manifest_hash == hashed
    for name in (after.table["path"].iloc[-1], SPLITS):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b" ")
        assert open_dataset("ilidsvid", tmp_path, split=2).manifest_hash != hashed
        (tmp_path / name).write_bytes(content)


def test_root_and_what_else_may_lie_there(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    root = build(tmp_path / "data" / "ilidsvid")
    (root / "iLIDS-VID.tar").touch()
    (root / SEQUENCES / "cam1" / "person002" / "Thumbs.db").touch()
    (root / SEQUENCES.replace("sequences", "images") / "cam1").mkdir(parents=True)
    savemat((root / SPLITS).with_name("train_test_splits_prid.mat"), {"ls_set": [[1]]})
    assert open_dataset("ilidsvid").root == root
    assert len(open_dataset("ilidsvid").table) == 46


class TestBadInput:
    def refused(self, root, message, **options):
        with pytest.raises(ValueError, match=message):
            open_dataset("ilidsvid", root, **options)

    def test_missing_empty_or_packed(self, tmp_path):
        self.refused(tmp_path / "absent", "^root: there is no folder .*absent; unpack iLIDS-VID's archive there$")
        self.refused(tmp_path, "^root: .* holds no i-LIDS-VID/sequences/; unpack iLIDS-VID's archive there$")
        (tmp_path / "iLIDS-VID.tar").touch()
        self.refused(tmp_path, "^root: .*iLIDS-VID.tar is not unpacked; unpack it in ")

    @pytest.mark.parametrize("split", [3, -1, 1.0, "1", None])
    def test_a_split_that_there_is_not(self, tmp_path, split):
        self.refused(build(tmp_path), f"^split: wants a whole number from 0 to 2, got {split!r}$", split=split)

    @pytest.mark.parametrize(
        "gone, message",
        [
            ("cam2", "^root: there is no folder .*cam2; it looks half extracted: unpack or render it again$"),
            ("cam1/person010", r"^root: .* has 1 persons in .*cam2 and not in .*cam1 \(person 10\); unpack the"),
            ("cam2/person010", r"^root: .* has 1 persons in .*cam1 and not in .*cam2 \(person 10\); unpack the"),
            ("cam[12]/person010", "^root: .* is not all of iLIDS-VID: 5 persons, not 6; 10 tracklets, not 12; unpack"),
            ("cam2/person009/*_00317.png", "^root: .* not all of iLIDS-VID: 1 frames in the shortest tracklet, not 2;"),
            ("cam[12]/*/*_00317.png", "tracklet, not 2; 3 frames in the longest, not 4; unpack the archive again$"),
        ],
    )
    def test_an_incomplete_copy_says_what_it_lacks(self, tmp_path, gone, message):
        for path in sorted((build(tmp_path) / SEQUENCES).glob(gone)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.refused(tmp_path, message)

    def test_an_empty_tracklet(self, tmp_path):
        write(build(tmp_path), 2, 20, [])
        self.refused(tmp_path, "^root: .*cam2/person020 holds no image; fill the folder or remove it$")

    @pytest.mark.parametrize(
        "name", ["cam1_person003_00007.png", "cam2_person002_00007.png", "00007.png", "cam1_person002.png",
                 "cam1_person002_00007.jpg", "cam1_person002_٣.png"]
    )  # fmt: skip
    def test_names_that_contradict_their_folders_or_are_others(self, tmp_path, name):
        write(build(tmp_path), 1, 2, [7], name)
        self.refused(
            tmp_path,
            r"^root: 1 of 25 images in .*cam1 are not named person<person>/cam1_person<the same>_<frame>.png "
            rf"\(person002/{name}\); move them out",
        )

    def test_one_frame_twice(self, tmp_path):
        write(build(tmp_path), 1, 5, [317], "cam{}_person{:03d}_{}.png")
        with pytest.raises(ValueError, match="^table: 2 of 47 images share person, .* and frame with .*cam1/person005"):
            read_layout(tmp_path)

    @pytest.mark.parametrize(
        "ls_set, message",
        [
            ([[1, 2, 3, 4, 5]], "has a ls_set of 1 by 5, not of any number by 6"),
            ([[1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5]], "does not number the persons from 1 to 6 once each in row 2 of"),
            ([[1, 2, 3, 4, 5, 5]], "does not number the persons from 1 to 6 once each in row 1 of ls_set"),
            ([[1, 2, 3, 4, 5, 319]], "does not number the persons from 1 to 6 once each in row 1 of ls_set"),
        ],
    )
    def test_splits_of_other_persons(self, tmp_path, ls_set, message):
        self.refused(build(tmp_path, ls_set), f"^root: .*train_test_splits_ilidsvid.mat {message}.*; unpack the ar")

    def test_no_splits(self, tmp_path):
        (build(tmp_path) / SPLITS).unlink()
        self.refused(tmp_path, "^root: there is no file .*train_test_splits_ilidsvid.mat; unpack the archive again$")

    def test_a_world_is_read_but_not_passed_off_as_real_images(self, tmp_path):
        (build(tmp_path) / "world.json").write_text("{}")
        assert len(read_layout(tmp_path)) == 46
        self.refused(tmp_path, "^root: .* holds a rendered world and no iLIDS-VID images; open it under its own name$")
