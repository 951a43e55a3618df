"""The real images are not at hand, so tiny trees of their layout stand in; the counts are patched where need be."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reidlib.data import load_images, market1501, open_dataset
from reidlib.data.market1501 import COUNTS, FOLDERS, parse_name, read_layout
from reidlib.data.table import count_table, unmatched_queries
from reidlib.retrieval.metrics import Labels, evaluate

TRAIN = ("0002_c1s1_000451_03", "0002_c1s1_000451_01", "0002_c2s1_000301_02", "0007_c3s3_077419_03")
QUERY = ("0001_c1s1_001051_00", "0003_c4s6_015641_00")
TRUE = ("0001_c1s1_001051_02", "0001_c2s1_000301_01", "0003_c2s1_000301_11")
DISTRACTORS = ("0000_c1s1_000151_01", "0000_c1s1_000151_02")
JUNK = ("-1_c1s1_000401_03", "-1_c1s1_000401_04", "-1_c6s4_002377_01")
TINY = dict(zip(COUNTS, (4, 2, 2, 2, 3, 2, 2, 3), strict=True))
MARKERS = ("crosswalk.json", "world.json")


@pytest.fixture(autouse=True)
def tiny_counts(monkeypatch):
    monkeypatch.setattr(market1501, "COUNTS", TINY)


def write(root, folder, names, suffix="jpg"):
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / folder / f"{name}.{suffix}").write_bytes(f"{folder} {name}".encode())


def build(root):
    write(root, "bounding_box_train", TRAIN)
    write(root, "query", QUERY)
    write(root, "bounding_box_test", TRUE + DISTRACTORS + JUNK)
    return root


def test_the_published_counts():
    boxes, train, train_persons, persons = 32668, 12936, 751, 1501      # the paper and the readme in the archive
    images_of_persons, distractors, junk = list(COUNTS.values())[4], *list(COUNTS.values())[6:]
    assert list(COUNTS.values())[:4] == [train, train_persons, 3368, persons - train_persons]
    assert images_of_persons + distractors + junk == boxes - train == 19732
    assert images_of_persons + distractors == 15913


def test_the_table(tmp_path):
    dataset = open_dataset("market1501", build(tmp_path))
    table = dataset.table
    assert dataset.edition == "v15.09.15 (by its counts)"
    assert list(table.columns) == ["path", "person", "camera", "sequence", "frame", "split", "role", "detection"]
    assert table["detection"].dtype == np.int64
    train = dataset.rows("train", "train")
    assert train["path"].tolist() == [f"bounding_box_train/{TRAIN[n]}.jpg" for n in (2, 1, 0, 3)]
    assert train["person"].tolist() == [2, 2, 2, 7]
    assert train["camera"].tolist() == [2, 1, 1, 3]
    assert train["sequence"].tolist() == [1, 1, 1, 3]
    assert train["frame"].tolist() == [301, 451, 451, 77419]
    assert train["detection"].tolist() == [2, 1, 3, 3]
    assert dataset.rows("test", "query")["person"].tolist() == [1, 3]
    assert set(table["split"]) == {"train", "test"}


def test_junk_and_distractors_stay_in_the_gallery(tmp_path):
    dataset = open_dataset("market1501", build(tmp_path))
    gallery = dataset.rows("test", "gallery")
    assert gallery["person"].tolist() == [-1, -1, -1, 0, 0, 1, 1, 3]
    assert gallery["camera"].tolist() == [1, 1, 6, 1, 1, 2, 1, 2]
    assert gallery["frame"].tolist() == [401, 401, 2377, 151, 151, 301, 1051, 301]
    assert len(unmatched_queries(dataset.table)) == 0
    assert count_table(dataset.table).loc[("test", "gallery"), "images"] == 8


def test_the_order_of_folders_does_not_matter(tmp_path, monkeypatch):
    before = open_dataset("market1501", build(tmp_path))
    hashed, listdir, random = before.manifest_hash, os.listdir, np.random.default_rng(0)
    for _ in range(3):
        monkeypatch.setattr(os, "listdir", lambda folder: random.permutation(sorted(listdir(folder))).tolist())
        after = open_dataset("market1501", tmp_path)
        assert after.table.equals(before.table)
        assert after.manifest_hash == hashed
    path = tmp_path / after.table["path"].iloc[-1]
    path.write_bytes(path.read_bytes() + b"!")
    assert open_dataset("market1501", tmp_path).manifest_hash != hashed


def test_what_the_archive_and_file_managers_leave_is_passed_over(tmp_path):
    plain = open_dataset("market1501", build(tmp_path / "plain"))
    other = build(tmp_path / "ünïcode 数据")
    for folder in FOLDERS.values():
        for name in ("Thumbs.db", ".DS_Store", "._0001_c1s1_001051_00.jpg"):
            (other / folder / name).touch()
    write(other, "gt_bbox", TRAIN)
    write(other, "gt_query", ["0001_c1s1_001051_00_good"], "mat")
    (other / "readme.txt").touch()
    assert open_dataset("market1501", other).table.equals(plain.table)
    assert open_dataset("market1501", other).manifest_hash == plain.manifest_hash


def test_root_may_be_where_the_archive_was_unpacked(tmp_path, monkeypatch):
    inner = build(tmp_path / "data" / "market1501" / "Market-1501-v15.09.15")
    (inner.parent / "Market-1501-v15.09.15.zip").touch()
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    for dataset in (open_dataset("market1501"), open_dataset("market1501", inner.parent)):
        assert dataset.root == inner
        assert dataset.table.equals(open_dataset("market1501", inner).table)


def test_worlds_of_any_size_and_with_some_of_the_folders_are_read(tmp_path):
    write(tmp_path, "query", QUERY[:1], "jpeg")
    write(tmp_path, "bounding_box_test", TRUE[:2] + JUNK[:1], "JPEG")
    table = read_layout(tmp_path, {key: folder for key, folder in FOLDERS.items() if key[0] == "test"})
    assert table["person"].tolist() == [-1, 1, 1, 1]
    assert table["role"].tolist() == ["gallery"] * 3 + ["query"]
    assert (table["split"] == "test").all()


NUMBER = st.tuples(st.integers(0, 10**9), st.integers(1, 12))


@given(st.one_of(st.just((-1, 2)), NUMBER), NUMBER, NUMBER, NUMBER, NUMBER, st.sampled_from(["jpg", "jpeg", "JPG"]))
def test_names_read_back_whatever_their_width(person, camera, sequence, frame, detection, suffix):
    numbers = (person, camera, sequence, frame, detection)
    written = [f"{number:0{width}d}" for number, width in numbers]
    name = "{}_c{}s{}_{}_{}.{}".format(*written, suffix)
    assert parse_name(name) == tuple(number for number, _ in numbers)


@pytest.mark.parametrize(
    "name",
    [
        "0002_c1s1_000451.jpg",
        "0002_c1_000451_03.jpg",
        "0002_1_1_000451_03.jpg",
        "-2_c1s1_000451_03.jpg",
        "0002_c-1s1_000451_03.jpg",
        "0002_c1s1_000451_03.png",
        "0002_c1s1_000451_03.jpg.jpg",
        "0002_C1S1_000451_03.jpg",
        " 0002_c1s1_000451_03.jpg",
        "0002_c1s1_000451_03.jpg\n",
        "٠٠٠٢_c1s1_000451_03.jpg",
        "０００２_c1s1_000451_03.jpg",
        f"{10**18}_c1s1_000451_03.jpg",
        "sub/0002_c1s1_000451_03.jpg",
    ],
)
def test_other_names_are_refused_by_name(name):
    with pytest.raises(ValueError, match="^name: wants <person>_c<camera>s<sequence>_<frame>_<detection>.jpg, got '"):
        parse_name(name)


class TestBadInput:
    def refused(self, root, message):
        with pytest.raises(ValueError, match=message):
            open_dataset("market1501", root)

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "absent", "^root: there is no folder .*absent; unpack Market-1501's archive there")

    def test_empty(self, tmp_path):
        self.refused(tmp_path, "^root: .* holds no bounding_box_train/; unpack Market-1501's archive there")

    def test_archive_not_unpacked(self, tmp_path):
        (tmp_path / "market.zip").touch()
        self.refused(tmp_path, "^root: .*market.zip is not unpacked; run `unzip market.zip` in ")

    @pytest.mark.parametrize("gone", FOLDERS.values())
    def test_folder_missing_or_empty(self, tmp_path, gone):
        shutil.rmtree(build(tmp_path) / gone)
        self.refused(tmp_path, f"^root: .* has no {gone}/; it looks half extracted: unpack or render it again")
        (tmp_path / gone).mkdir()
        self.refused(tmp_path, f"^root: .*{gone} holds no image")

    @pytest.mark.parametrize("marker", MARKERS)
    def test_a_world_is_not_passed_off_as_real_images(self, tmp_path, marker):
        (build(tmp_path) / marker).write_text("{}")
        self.refused(tmp_path, "^root: .* holds a rendered world .*; open it as 'crosswalk'")

    @pytest.mark.parametrize(
        "gone, message",
        [
            (["bounding_box_train/0002_c1s1_000451_03"], "3 images in bounding_box_train, not 4"),
            (
                ["bounding_box_train/0007_c3s3_077419_03"],
                "3 images in bounding_box_train, not 4; 1 persons in bounding_box_train, not 2",
            ),
            (["query/0003_c4s6_015641_00"], "1 images in query, not 2; 1 persons in query, not 2"),
            (["bounding_box_test/0001_c2s1_000301_01"], "2 images of persons in bounding_box_test, not 3"),
            (["bounding_box_test/0000_c1s1_000151_02"], r"1 distractors \(person 0\), not 2"),
            ([f"bounding_box_test/{name}" for name in JUNK], r"0 junk images \(person -1\), not 3"),
        ],
    )
    def test_an_incomplete_copy_says_what_it_lacks(self, tmp_path, gone, message):
        build(tmp_path)
        for name in gone:
            (tmp_path / f"{name}.jpg").unlink()
        self.refused(tmp_path, f"^root: .* is not all of Market-1501: {message}; unpack the archive again$")

    def test_one_image_too_many(self, tmp_path):
        write(build(tmp_path), "query", ["0003_c5s3_067012_00"])
        self.refused(tmp_path, "is not all of Market-1501: 3 images in query, not 2; unpack the archive again$")

    def test_odd_names(self, tmp_path):
        write(build(tmp_path), "query", ["0003_c5s3"])
        write(tmp_path, "query/sub", ["0003_c5s3_067012_00"])
        self.refused(tmp_path, r"^root: 2 of 4 images in .*query are not named .* \(0003_c5s3.jpg, sub/0003_c5s3_06701")

    @pytest.mark.parametrize("folder", ["bounding_box_train", "query"])
    @pytest.mark.parametrize("name", ["-1_c1s1_000401_03", "0000_c1s1_000151_01"])
    def test_junk_and_distractors_outside_the_gallery(self, tmp_path, folder, name):
        write(build(tmp_path), folder, [name])
        self.refused(tmp_path, rf"^root: 1 of \d images in .*{folder} are junk or distractors, .* \({name}.jpg\); only")

    def test_one_box_under_two_widths(self, tmp_path):
        write(build(tmp_path), "bounding_box_train", ["02_c1s1_451_3"])
        self.refused(
            tmp_path,
            "2 of 15 images share person, camera, sequence, frame and detection with another.*: "
            "bounding_box_train/02_c1s1_451_3.jpg, bounding_box_train/0002_c1s1_000451_03.jpg",
        )


def test_scored_by_hand(tmp_path, monkeypatch):
    """Grey levels stand for embeddings; gallery images from near to far, and their rank where they have one.

    Query 1, grey 100, camera 1: 110 of its own camera, 120 junk; then 1: 130 distractor, 2: 140 right, 3: 150 person 3,
    4: 160 right, 5: 170 right; 190 junk.           AP = (1/2 + 2/4 + 3/5) / 3, INP = 3/5
    Query 3, grey 200, camera 4: 190 junk; then 1: 170 person 1, though by this camera, 2: 160 person 1, 3: 150 right,
    and nobody of its person after that.            AP = 1/3, INP = 1/3
    """
    greys = {
        "bounding_box_train/0002_c1s1_000451_03": 0,
        "query/0001_c1s1_000001_00": 100,
        "query/0003_c4s1_000001_00": 200,
        "bounding_box_test/0001_c1s1_000002_01": 110,
        "bounding_box_test/-1_c2s1_000003_01": 120,
        "bounding_box_test/-1_c4s1_000003_01": 190,
        "bounding_box_test/0000_c2s1_000004_01": 130,
        "bounding_box_test/0001_c2s1_000005_01": 140,
        "bounding_box_test/0003_c3s1_000006_01": 150,
        "bounding_box_test/0001_c3s1_000007_02": 160,
        "bounding_box_test/0001_c4s1_000008_01": 170,
    }
    for path, grey in greys.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 16), grey).save(tmp_path / f"{path}.jpg")
    monkeypatch.setattr(market1501, "COUNTS", dict(zip(COUNTS, (1, 1, 2, 2, 5, 2, 1, 2), strict=True)))
    dataset = open_dataset("market1501", tmp_path)
    features, labels = [], []
    for role in ("query", "gallery"):
        rows = dataset.rows("test", role)
        features.append(load_images(dataset, rows, 2, 1, progress=False)[:, 0, 0, 0].double())
        labels.append(Labels(rows["person"].to_numpy(), rows["camera"].to_numpy()))
    found = evaluate((features[0][:, None] - features[1][None, :]).abs(), *labels, "market1501")
    assert found.average_precision == pytest.approx([(1 / 2 + 2 / 4 + 3 / 5) / 3, 1 / 3])
    assert found.cmc[:3] == pytest.approx([0, 1 / 2, 1])
    assert found.mINP == pytest.approx((3 / 5 + 1 / 3) / 2)
