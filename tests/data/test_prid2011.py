"""The real images are not at hand, so tiny trees of their layout stand in; the counts are patched where need be."""

import json
import os
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from reidlib.data import open_dataset, prid2011
from reidlib.data.prid2011 import COUNTS, JSON, MAT, read_layout

# Frames in cameras a and b of each person. 3, 7 and 8 have too few in one of them; from 201 on the two are strangers.
LENGTHS = {1: (27, 30), 2: (28, 27), 3: (26, 40), 7: (40, 21), 8: (20, 30), 9: (27, 27), 200: (29, 27)}
ALONE = {"a": {201: 30, 202: 30}, "b": {201: 28, 749: 27}}
SPLIT = [1, 2, 9, 200]
LS_SET = [[4, 1, 2, 3], [3, 2, 4, 1]]
TESTED = [{200, 1}, {9, 2}]  # LS_SET's first halves, counted off in SPLIT
TINY = dict(zip(COUNTS, (7, 4, 6), strict=True))


@pytest.fixture(autouse=True)
def tiny_counts(monkeypatch):
    monkeypatch.setattr(prid2011, "COUNTS", TINY)


def write(root, camera, person, numbers):
    folder = root / "multi_shot" / f"cam_{camera}" / f"person_{person:04d}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:04d}.png").write_bytes(f"{camera}{person} {number}".encode())


def in_words(tested, persons=SPLIT):
    splits = []
    for chosen in tested:
        names = {True: [], False: []}
        for person in persons:
            names[person in chosen].append(f"person_{person:04d}")
        splits.append({"train": names[False][::-1], "test": names[True][::-1], "num_train": 2, "num_test": 2})
    return splits


def build(root, ls_set=LS_SET, splits=None, inner="prid_2011"):
    for person, lengths in LENGTHS.items():
        for camera, length in zip("ab", lengths, strict=True):
            write(root / inner, camera, person, range(1, length + 1))
    for camera, persons in ALONE.items():
        for person, length in persons.items():
            write(root / inner, camera, person, range(1, length + 1))
    if ls_set is not None:
        savemat(root / MAT, {"ls_set": np.array(ls_set, np.uint8)})
    if splits is not None:
        (root / JSON).write_text(json.dumps(splits))
    return root


def test_the_published_counts():
    assert COUNTS == {
        "persons in both cameras": 200,
        "persons with 27 frames or more in both": 178,
        "persons with 21 frames or more in both": 183,
    }


def test_the_table(tmp_path):
    dataset = open_dataset("prid2011", build(tmp_path))
    assert dataset.edition == "split 0 of train_test_splits_prid.mat (by its counts)"
    assert dataset.sources == (MAT,)
    assert list(dataset.table.columns) == ["path", "person", "camera", "sequence", "frame", "split", "role"]
    train = dataset.rows("train", "train")
    assert train["person"].tolist() == [2] * 55 + [9] * 54
    assert train["camera"].tolist() == [1] * 28 + [2] * 27 + [1] * 27 + [2] * 27
    assert train["path"].iloc[28] == "prid_2011/multi_shot/cam_b/person_0002/0001.png"
    assert train["frame"].tolist()[:55] == [*range(28), *range(27)]
    query, gallery = dataset.rows("test", "query"), dataset.rows("test", "gallery")
    assert query["person"].tolist() == [1] * 27 + [200] * 29
    assert gallery["person"].tolist() == [1] * 30 + [200] * 27
    assert (set(query["camera"]), set(gallery["camera"])) == ({1}, {2})
    # 3, 7 and 8 have tracklets 4 to 9 and are in no split
    assert (query["sequence"].unique().tolist(), gallery["sequence"].unique().tolist()) == ([0, 12], [1, 13])
    assert train["sequence"].unique().tolist() == [2, 3, 10, 11]


@pytest.mark.parametrize("split", range(2))
@pytest.mark.parametrize("files", [(MAT,), (JSON,), (MAT, JSON)])
def test_either_file_of_splits_gives_the_same_table(tmp_path, split, files):
    build(tmp_path, LS_SET if MAT in files else None, in_words(TESTED) if JSON in files else None)
    dataset = open_dataset("prid2011", tmp_path, split=split)
    assert dataset.sources == files
    assert dataset.edition.startswith(f"split {split} of {' and '.join(files)}")
    table = dataset.table
    assert set(table.loc[table["split"] == "test", "person"]) == TESTED[split]
    assert set(table.loc[table["split"] == "train", "person"]) == set(SPLIT) - TESTED[split]
    build(tmp_path / "other")
    assert table.equals(open_dataset("prid2011", tmp_path / "other", split=split).table)


def test_the_order_of_folders_does_not_matter(tmp_path, monkeypatch):
    before = open_dataset("prid2011", build(tmp_path, splits=in_words(TESTED)))
    hashed, listdir, random = before.manifest_hash, os.listdir, np.random.default_rng(0)
    for _ in range(3):
        monkeypatch.setattr(os, "listdir", lambda folder: random.permutation(sorted(listdir(folder))).tolist())
        after = open_dataset("prid2011", tmp_path)
        assert after.table.equals(before.table)
        assert after.manifest_hash == hashed
    for name in (after.table["path"].iloc[-1], MAT, JSON):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b" ")
        assert open_dataset("prid2011", tmp_path).manifest_hash != hashed
        (tmp_path / name).write_bytes(content)


def test_frames_are_ordered_by_number_and_may_leave_gaps(tmp_path):
    folder = build(tmp_path) / "prid_2011/multi_shot/cam_a/person_0200"
    (folder / "0002.png").unlink()
    (folder / "10000.png").touch()
    frames = read_layout(tmp_path).set_index("path").filter(like="cam_a/person_0200", axis=0)["frame"]
    names = [*range(1, 30), 10000]
    names.remove(2)
    wanted = {f"prid_2011/multi_shot/cam_a/person_0200/{name:04d}.png": n for n, name in enumerate(names)}
    assert frames.to_dict() == wanted


def test_root_and_what_else_may_lie_there(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    root = build(tmp_path / "data" / "prid2011")
    (root / "prid_2011" / "single_shot").mkdir()
    (root / "prid_2011" / "readme.txt").touch()
    assert open_dataset("prid2011").root == root
    inner = open_dataset("prid2011", build(tmp_path / "inner", inner="."))
    assert inner.table["path"].iloc[0].startswith("multi_shot/cam_")
    table = open_dataset("prid2011").table
    assert inner.table.equals(table.assign(path=table["path"].str.removeprefix("prid_2011/")))


class TestBadInput:
    def refused(self, root, message, **options):
        with pytest.raises(ValueError, match=message):
            open_dataset("prid2011", root, **options)

    def test_missing_empty_or_packed(self, tmp_path):
        self.refused(tmp_path / "absent", "^root: there is no folder .*absent; unpack PRID 2011's archive there$")
        self.refused(tmp_path, "^root: .* holds no prid_2011/multi_shot/; unpack PRID 2011's archive there$")
        (tmp_path / "prid_2011.zip").touch()
        self.refused(tmp_path, "^root: .*prid_2011.zip is not unpacked; unpack it in ")

    def test_a_split_that_there_is_not(self, tmp_path):
        self.refused(build(tmp_path), "^split: wants a whole number from 0 to 1, got 2$", split=2)

    @pytest.mark.parametrize(
        "gone, message",
        [
            ("cam_b", "^root: there is no folder .*cam_b; it looks half extracted: unpack or render it again$"),
            ("cam_a/person_0003", r"has 1 persons in .*cam_b and not in .*cam_a \(person 3\); unpack the arch"),
            ("cam_?/person_0003", "6 persons in both cameras, not 7; 5 persons with 21 frames or more in both, not 6"),
            ("cam_?/person_0009/0005.png", ": 3 persons with 27 frames or more in both, not 4; unpack the archive ag"),
            ("cam_b/person_0007/0021.png", ": 5 persons with 21 frames or more in both, not 6; unpack the archive ag"),
        ],
    )
    def test_an_incomplete_copy_says_what_it_lacks(self, tmp_path, gone, message):
        for path in sorted((build(tmp_path) / "prid_2011/multi_shot").glob(gone)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.refused(tmp_path, f"^root: .*{message.removeprefix('^root: ')}")

    def test_empty_tracklets_and_odd_names(self, tmp_path):
        inner = build(tmp_path) / "prid_2011"
        write(inner, "a", 12, [])
        self.refused(tmp_path, "^root: .*cam_a/person_0012 holds no image; fill the folder or remove it$")
        (inner / "multi_shot/cam_a/person_0012").rename(inner / "multi_shot/cam_a/person_12")
        (inner / "multi_shot/cam_a/person_12/0001.png").touch()
        self.refused(tmp_path, r"^root: 1 of 258 images in .*cam_a are not named .*<frame>.png \(person_12/0001.png\)")

    def test_one_frame_twice(self, tmp_path):
        (build(tmp_path) / "prid_2011/multi_shot/cam_b/person_0001/12.png").touch()
        self.refused(tmp_path, "^table: 2 of 223 images share person, .* and frame with .*cam_b/person_0001/12.png")

    def test_no_splits_and_nobody_to_split(self, tmp_path, monkeypatch):
        build(tmp_path, ls_set=None)
        self.refused(tmp_path, f"^root: .* holds neither {MAT} nor {JSON}; take {MAT} from the archive of iLIDS-VID$")
        monkeypatch.setattr(prid2011, "SHORTEST", 41)
        with pytest.raises(ValueError, match="^root: .* has no person with 41 frames or more in both cameras"):
            read_layout(tmp_path)

    def test_splits_of_all_with_21_frames(self, tmp_path):
        why = r"the splits are of the 4 persons with 27 frames or more in both cameras \(6 have 21 or more\); take "
        build(tmp_path, [[1, 2, 3, 4, 5, 6]])
        self.refused(tmp_path, f"^root: .*{MAT} has a ls_set of 1 by 6, not of any number by 4; {why}")
        (tmp_path / MAT).unlink()
        (tmp_path / JSON).write_text(json.dumps(in_words(TESTED, [1, 2, 3, 7, 9, 200])))
        self.refused(tmp_path, f"^root: .*{JSON} does not have each of 4 persons once in split 0; {why}")

    @pytest.mark.parametrize("tested", [TESTED[::-1], TESTED[:1], [{200, 1}, {9, 1}]])
    def test_two_files_that_differ(self, tmp_path, tested):
        build(tmp_path, splits=in_words(tested))
        message = f"^root: {MAT} and {JSON} in .* are not the same splits; take {MAT} from .*, and remove {JSON}$"
        self.refused(tmp_path, message)

    @pytest.mark.parametrize(
        "content, message",
        [
            ("", "is not a list of"),
            ("[1]", "is not a list of"),
            ('{"train": [], "test": []}', "is not a list of"),
            ('[{"train": []}]', "is not a list of .*'test'"),
            ('[{"train": [[1]], "test": []}]', "is not a list of"),
            ("[" * 100000, "is not a list of"),
            ("[]", "does not have each of 4 persons once in any split"),
            (json.dumps([{"train": ["person_0001"], "test": []}]), "does not have each of 4 persons once in split 0"),
            (json.dumps([*in_words([{1}]), in_words([{1}])[0] | {"test": ["person_0001"] * 2}]), "once in split 1"),
            (json.dumps([in_words([{1}])[0] | {"test": ["person_0001", "person_0002"]}]), "in split 0"),
        ],
    )
    def test_a_list_of_names_that_is_none(self, tmp_path, content, message):
        build(tmp_path, ls_set=None)
        (tmp_path / JSON).write_text(content)
        self.refused(tmp_path, f"^root: .*{JSON} .*{message}.*; take {MAT} from the archive of iLIDS-VID in its place$")

    def test_a_world_is_read_but_not_passed_off_as_real_images(self, tmp_path):
        (build(tmp_path) / "world.json").write_text("{}")
        assert len(read_layout(tmp_path)) == 222
        self.refused(tmp_path, "^root: .* holds a rendered world and no PRID 2011 images; open it under its own name$")
