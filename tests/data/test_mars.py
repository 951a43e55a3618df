"""The real images are not at hand, so tiny trees of their layout stand in; the counts are patched where need be."""

import os

import numpy as np
import pytest
from PIL import Image
from scipy import sparse
from scipy.io import savemat

from reidlib.data import Dataset, load_images, mars, open_dataset
from reidlib.data.mars import COUNTS, PARTS, SOURCES, read_layout
from reidlib.data.matfile import read_integers
from reidlib.data.table import check_table
from reidlib.retrieval.metrics import Labels, evaluate

# Person, camera, tracklet of that person and camera, images; in the order of the rows.
TRAIN = [(1, 1, 1, 3), (1, 2, 1, 2), (3, 1, 1, 2)]
TEST = [(-1, 1, 1, 2), (-1, 3, 2, 1), (0, 1, 1, 2), (2, 1, 1, 11), (2, 1, 2, 1), (2, 3, 1, 2)]
TEST += [(4, 2, 1, 2), (4, 5, 1, 1)]
QUERIES = [4, 7, 8]  # rows of TEST, from 1: person 2 by camera 1, and both tracklets of person 4
TINY = dict(zip(COUNTS, (3, 7, 2, 3, 14, 2, 2, 3, 1, 2, 2, 3), strict=True))


@pytest.fixture(autouse=True)
def tiny_counts(monkeypatch):
    monkeypatch.setattr(mars, "COUNTS", TINY)


def names_of(person, camera, tracklet, images):
    person = "00-1" if person == -1 else f"{person:04d}"
    return [f"{person}C{camera}T{tracklet:04d}F{frame:03d}.jpg" for frame in range(1, images + 1)]


def rows_of(tracklets):
    rows, line = [], 1
    for person, camera, _, images in tracklets:
        rows.append((line, line + images - 1, person, camera))
        line += images
    return rows


def save(root, split, rows, variable=None):
    _, _, file, wanted = PARTS[split]
    savemat(root / file, {variable or wanted: np.array(rows, np.float64)})


def build(root, train=TRAIN, test=TEST, queries=QUERIES):
    (root / "info").mkdir(parents=True)
    for split, tracklets in (("train", train), ("test", test)):
        folder, listed, _, _ = PARTS[split]
        names = [name for tracklet in tracklets for name in names_of(*tracklet)]
        for name in names:
            (root / folder / name[:4]).mkdir(parents=True, exist_ok=True)
            (root / folder / name[:4] / name).write_bytes(name.encode())
        (root / listed).write_text("".join(f"{name}\n" for name in names))
        save(root, split, rows_of(tracklets))
    savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([queries])})
    return root


def test_the_published_counts():
    numbers = list(COUNTS.values())
    train, query, junk, distractor, other = numbers[0:2], numbers[3:5], numbers[6:8], numbers[8:10], numbers[10:12]
    tracklets, images = (sum(pair) for pair in zip(train, query, junk, distractor, other, strict=True))
    assert (tracklets, images) == (20478, 1191003)  # the paper's
    assert query[0] + distractor[0] + other[0] == 11310  # the two galleries
    assert distractor[0] + other[0] == 9330
    assert numbers[2] + numbers[5] == 1251  # 1261 in the paper


def test_the_table(tmp_path):
    dataset = open_dataset("mars", build(tmp_path))
    assert dataset.edition == "ECCV 2016 (by its counts)"
    assert dataset.sources == SOURCES
    assert list(dataset.table.columns) == ["path", "person", "camera", "sequence", "frame", "split", "role"]
    train = dataset.rows("train", "train")
    assert train["path"].tolist()[:4] == [
        "bbox_train/0001/0001C1T0001F001.jpg",
        "bbox_train/0001/0001C1T0001F002.jpg",
        "bbox_train/0001/0001C1T0001F003.jpg",
        "bbox_train/0001/0001C2T0001F001.jpg",
    ]
    assert train["person"].tolist() == [1, 1, 1, 1, 1, 3, 3]
    assert train["camera"].tolist() == [1, 1, 1, 2, 2, 1, 1]
    assert train["sequence"].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert train["frame"].tolist() == [0, 1, 2, 0, 1, 0, 1]
    query = dataset.rows("test", "query")
    assert query["sequence"].tolist() == [6] * 11 + [9, 9, 10]
    assert query["frame"].tolist() == [*range(11), 0, 1, 0]
    assert query["camera"].tolist() == [1] * 11 + [2, 2, 5]
    gallery = dataset.rows("test", "gallery")
    assert gallery["path"].tolist()[0] == "bbox_test/00-1/00-1C1T0001F001.jpg"
    assert gallery["person"].tolist() == [-1, -1, -1, 0, 0, 2, 2, 2]
    assert gallery["sequence"].tolist() == [3, 3, 4, 5, 5, 7, 8, 8]


def test_rows_and_lines_may_come_in_any_order(tmp_path):
    build(tmp_path)
    before = read_layout(tmp_path)
    lines = (tmp_path / "info/test_name.txt").read_text().split()
    lines[5:16] = lines[5:16][::-1]  # the images of the first query
    (tmp_path / "info/test_name.txt").write_bytes("\r\n".join(lines).encode())
    save(tmp_path, "train", [rows_of(TRAIN)[row] for row in (2, 0, 1)])
    after = read_layout(tmp_path)
    numbers = {0: 1, 1: 2, 2: 0}
    renumbered = before.assign(sequence=before["sequence"].map(lambda number: numbers.get(number, number)))
    assert after.set_index("path").sort_index().equals(renumbered.set_index("path").sort_index())


def test_a_tracklet_may_be_two_of_those_in_the_names(tmp_path):
    rows = rows_of(TEST)
    rows[3:5] = [(rows[3][0], rows[4][1], 2, 1)]
    save(build(tmp_path, queries=[4]), "test", rows)
    query = read_layout(tmp_path).query("role == 'query'")
    assert query["frame"].tolist() == [*range(12)]
    assert query["path"].tolist()[-2:] == ["bbox_test/0002/0002C1T0001F011.jpg", "bbox_test/0002/0002C1T0002F001.jpg"]


def test_the_order_of_folders_does_not_matter(tmp_path, monkeypatch):
    before = open_dataset("mars", build(tmp_path))
    hashed, listdir, random = before.manifest_hash, os.listdir, np.random.default_rng(0)
    for _ in range(3):
        monkeypatch.setattr(os, "listdir", lambda folder: random.permutation(sorted(listdir(folder))).tolist())
        after = open_dataset("mars", tmp_path)
        assert after.table.equals(before.table)
        assert after.manifest_hash == hashed
    for changed in (after.table["path"].iloc[-1], *SOURCES):
        content = (tmp_path / changed).read_bytes()
        (tmp_path / changed).write_bytes(content + b" ")
        assert Dataset("mars", tmp_path, before.table, "", SOURCES).manifest_hash != hashed
        (tmp_path / changed).write_bytes(content)


def test_root_and_what_else_may_lie_there(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    root = build(tmp_path / "data" / "mars")
    (root / "bbox_train.zip").touch()
    (root / "bbox_test" / "0000" / "Thumbs.db").touch()
    (root / "bbox_test" / "0000" / "0000C1T0009F001.jpg").touch()  # in no list, so in no tracklet
    (root / "info" / "README").touch()
    assert open_dataset("mars").root == root
    assert len(open_dataset("mars").table) == 29


def test_a_world_is_read_but_not_passed_off_as_real_images(tmp_path):
    (build(tmp_path) / "world.json").write_text("{}")
    check_table(read_layout(tmp_path))
    with pytest.raises(ValueError, match="^root: .* holds a rendered world and no MARS images; open it under its own"):
        open_dataset("mars", tmp_path)


def test_both_galleries_scored_by_hand(tmp_path, monkeypatch):
    """Grey levels stand for embeddings, a tracklet's is the mean of its images; all test tracklets are ranked.

    Query 2 by camera 1, grey 100. Official: 108 of its own camera and 105 junk are taken out; then 1: query 4 by camera
    2, grey 120, 2: query 4 by camera 5, grey 130, 3: distractor 141, 4: right 150. Trapezoid: (0/3 + 1/4) / 2 = 1/8.
    Without queries: 1: distractor, 2: right, so 1/2.
    Queries 4, grey 120 and 130, are each other's nearest, so 1; without the queries they have no match.
    """
    greys = {(-1, 1, 1): 105, (-1, 3, 2): 105, (0, 1, 1): 141, (2, 1, 1): 100, (2, 1, 2): 108, (2, 3, 1): 150,
             (4, 2, 1): 120, (4, 5, 1): 130, (1, 1, 1): 0, (1, 2, 1): 0, (3, 1, 1): 0}  # fmt: skip
    build(tmp_path)
    for tracklet in TRAIN + TEST:
        middle = (tracklet[3] - 1) / 2
        for frame, name in enumerate(names_of(*tracklet)):
            grey = int(greys[tracklet[:3]] + 2 * (frame - middle))
            path = tmp_path / ("bbox_train" if tracklet in TRAIN else "bbox_test") / name[:4] / name
            Image.new("L", (8, 16), max(grey, 0)).save(path)
    dataset = open_dataset("mars", tmp_path)
    rows = dataset.rows("test")
    images = load_images(dataset, rows, 2, 1, progress=False)[:, 0, 0, 0].double().numpy()
    tracklets = rows.assign(grey=images).groupby("sequence").agg(
        {"grey": "mean", "person": "first", "camera": "first", "role": "first"}
    )  # fmt: skip
    asks = tracklets["role"] == "query"
    distances = np.abs(tracklets["grey"][asks].to_numpy()[:, None] - tracklets["grey"].to_numpy()[None])
    query, gallery = (
        Labels(part["person"].to_numpy(), part["camera"].to_numpy(), part.index.to_numpy())
        for part in (tracklets[asks], tracklets)
    )
    official = evaluate(distances, query, gallery, "mars")
    assert official.average_precision == pytest.approx([1 / 8, 1, 1])
    assert official.skipped.tolist() == []
    common = evaluate(distances, query, gallery, "mars-9330")
    assert common.average_precision == pytest.approx([1 / 2, np.nan, np.nan], nan_ok=True)
    assert common.skipped.tolist() == [1, 2]


class TestBadInput:
    def refused(self, root, message):
        with pytest.raises(ValueError, match=message):
            open_dataset("mars", root)

    def test_missing_empty_or_packed(self, tmp_path):
        self.refused(tmp_path / "absent", "^root: there is no folder .*absent; unpack MARS's archive there$")
        self.refused(tmp_path, "^root: .* holds no bbox_train/; unpack MARS's archive there$")
        (tmp_path / "bbox_train.zip").touch()
        self.refused(tmp_path, "^root: .*bbox_train.zip is not unpacked; unpack it in ")

    @pytest.mark.parametrize("gone", ["bbox_train", "bbox_test", *SOURCES])
    def test_a_part_missing(self, tmp_path, gone):
        (build(tmp_path) / gone).rename(tmp_path / "elsewhere")
        message = "there is no file|cannot read" if gone in SOURCES else "has no bbox_"
        self.refused(tmp_path, f"^root: .*({message}).*(half extracted|take info/ from github.com)")
        self.refused(tmp_path, gone)

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"train": TRAIN[:2]}, "2 training tracklets, not 3; 5 training images, not 7; 1 training persons, not 2"),
            ({"queries": [4, 7]}, "2 query tracklets, not 3; 13 query images, not 14; 3 other gallery"),
            ({"test": TEST[1:], "queries": [3, 6, 7]}, "1 junk tracklets, not 2; 1 junk images, not 3"),
            ({"test": TEST[:2] + TEST[3:], "queries": [3, 6, 7]}, "0 distractor tracklets, not 1; 0 distractor images"),
            ({"test": [*TEST[:4], (2, 1, 2, 2), *TEST[5:]]}, "4 other gallery images, not 3"),
        ],
    )
    def test_an_incomplete_copy_says_what_it_lacks(self, tmp_path, changes, message):
        build(tmp_path, **changes)
        self.refused(tmp_path, f"^root: .* is not all of MARS: ({message}).*; unpack the archive again$")

    def test_missing_frames(self, tmp_path):
        build(tmp_path)
        for name in names_of(*TEST[3])[1:6]:
            (tmp_path / "bbox_test/0002" / name).unlink()
        self.refused(
            tmp_path,
            r"^root: 5 of 22 images that info/test_name.txt lists are not in .*bbox_test \(0002/0002C1T0001F002.jpg, "
            r".*, \.\.\.\); unpack the archive again$",
        )

    def test_a_missing_person(self, tmp_path):
        (build(tmp_path) / "bbox_test/0004").rename(tmp_path / "0004")
        self.refused(tmp_path, r"^root: 3 of 22 images .* are not in .*bbox_test \(0004/0004C2T0001F001.jpg, ")

    @pytest.mark.parametrize(
        "row, values, message",
        [
            (2, (6, 8, 3, 1), r"1 of 3 tracklets of .* reach beyond the 7 images listed \(row 3: 6 to 8\)"),
            (0, (0, 3, 1, 1), r"1 of 3 tracklets of .* reach beyond the 7 images listed \(row 1: 0 to 3\)"),
            (1, (5, 4, 1, 2), r"1 of 3 tracklets of .* are empty \(row 2: 5 to 4\)"),
            (1, (3, 5, 1, 2), r"1 of 3 tracklets of .* have images of another one \(row 2: 3 to 5\)"),
            (0, (1, 7, 1, 1), r"2 of 3 tracklets of .* have images of another one \(row 2: 4 to 5, row 3: 6 to 7\)"),
            (1, (4, 4, 1, 2), r"1 of 7 images listed are in no tracklet of .* \(0001C2T0001F002.jpg\)"),
            (1, (4, 5, 3, 2), r"says of 2 of 7 images another person or .*\(person 3, camera 2 of 0001C2T0"),
            (2, (6, 7, 3, 4), r"says of 2 of 7 images another person or .*\(person 3, camera 4 of 0003C1T0"),
        ],
    )
    def test_tracklets_that_do_not_fit_the_names(self, tmp_path, row, values, message):
        rows = rows_of(TRAIN)
        rows[row] = values
        save(build(tmp_path), "train", rows)
        self.refused(tmp_path, f"^root: .*{message}.*; take info/ from github.com/liangzheng06/MARS-evaluation again$")

    def test_rows_in_another_order_are_named_as_they_are(self, tmp_path):
        save(build(tmp_path), "train", [(6, 7, 3, 1), (1, 3, 1, 1), (3, 5, 1, 2)])
        self.refused(tmp_path, r"^root: 1 of 3 tracklets of .* have images of another one \(row 3: 3 to 5\); take")

    @pytest.mark.parametrize(
        "queries, message",
        [
            ([4, 9], "asks for tracklet 9 and there are 1 to 8"),
            ([0, 4], "asks for tracklet 0 and there are 1 to 8"),
            ([4, 7, 4], "has 1 of 3 queries twice"),
            ([1, 4, 3], r"2 of 3 queries of .* are junk or distractors, person -1 or 0 \(tracklet 1, tracklet 3\)"),
        ],
    )
    def test_queries_that_are_none(self, tmp_path, queries, message):
        self.refused(build(tmp_path, queries=queries), f"^root: .*{message}")

    @pytest.mark.parametrize("nobody", [(-1, 1, 1, 2), (0, 1, 1, 2)])
    def test_junk_and_distractors_to_train_on(self, tmp_path, nobody):
        self.refused(build(tmp_path, train=[*TRAIN, nobody]), "^root: 2 of 9 images .* are junk or distractors, pers")

    @pytest.mark.parametrize(
        "name", ["", "0001C1T0001F01.jpg", "0001C0T0001F001.jpg", "-001C1T0001F001.jpg", "٠٠٠١C1T0001F001.jpg",
                 "../1C1T0001F001.jpg", "0001C1T0001F001.png", "0001c1T0001F001.jpg"]
    )  # fmt: skip
    def test_odd_lines(self, tmp_path, name):
        path = build(tmp_path) / "info/train_name.txt"
        path.write_text("\n".join([name, *path.read_text(encoding="utf-8").split()[1:]]), encoding="utf-8")
        self.refused(tmp_path, rf"^root: 1 of 7 lines of .*train_name.txt are not <.* \(line 1: {name!r}\); take")

    @pytest.mark.parametrize("content, message", [(b"", "0 of 0 lines .*it is empty"), (b"\xff", "cannot read .*utf")])
    def test_lists_that_are_none(self, tmp_path, content, message):
        (build(tmp_path) / "info/test_name.txt").write_bytes(content)
        self.refused(tmp_path, f"^root: {message}")

    def test_one_image_twice(self, tmp_path):
        lines = (build(tmp_path) / "info/train_name.txt").read_text().split()
        (tmp_path / "info/train_name.txt").write_text("\n".join([lines[1], *lines[1:]]))
        self.refused(tmp_path, "^table: 1 of 29 images are listed twice: bbox_train/0001/0001C1T0001F002.jpg")


class TestMatFile:
    @pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
    @pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}])
    def test_numbers_of_any_kind(self, tmp_path, kind, options):
        savemat(tmp_path / "a.mat", {"other": [[7]], "x": np.array([[1, 2], [3, 4]], kind)}, **options)
        found = read_integers(tmp_path / "a.mat", "x", (None, 2), "unpack it again")
        assert found.dtype == np.int64
        assert found.tolist() == [[1, 2], [3, 4]]

    def test_a_column_is_read_where_a_row_is_wanted(self, tmp_path):
        savemat(tmp_path / "a.mat", {"x": [[1], [2], [3]]})
        assert read_integers(tmp_path / "a.mat", "x", (1, None), "").tolist() == [[1, 2, 3]]
        with pytest.raises(ValueError, match="has a x of 3 by 1, not of 3 by 2"):
            read_integers(tmp_path / "a.mat", "x", (3, 2), "")

    @pytest.mark.parametrize(
        "variables, message",
        [
            ({"y": [[1, 2]]}, "has no variable x"),
            ({"x": [[1, 2, 3]]}, "has a x of 1 by 3, not of any number by 2"),
            ({"x": np.zeros((0, 2))}, "has a x of 0 by 2, not of any number by 2"),
            ({"x": np.zeros((1, 2, 2))}, "has a x of 1 by 2 by 2, not of any number by 2"),
            ({"x": [[1, 2.5]]}, "has a x with other than whole numbers"),
            ({"x": [[1, np.nan]]}, "has a x with other than whole numbers"),
            ({"x": [[1, np.inf]]}, "has a x with other than whole numbers"),
            ({"x": [[1, 1e300]]}, "has a x with other than whole numbers"),
            ({"x": "12"}, "has a x of text, not of whole numbers"),
            ({"x": [[1, 2j]]}, "has a x of complex numbers, not of whole numbers"),
            ({"x": np.array([[1, "a"]], object)}, "has a x of cells, not of whole numbers"),
            ({"x": {"a": 1}}, "has a x of a structure, not of whole numbers"),
            ({"x": sparse.csc_matrix(np.eye(2))}, "has a x of a sparse matrix, not of whole numbers"),
        ],
    )
    def test_other_content(self, tmp_path, variables, message):
        savemat(tmp_path / "a.mat", variables)
        with pytest.raises(ValueError, match=f"^root: .*a.mat {message}; unpack it again$"):
            read_integers(tmp_path / "a.mat", "x", (None, 2), "unpack it again")

    def test_missing_damaged_and_too_new(self, tmp_path):
        path = tmp_path / "a.mat"
        with pytest.raises(ValueError, match="^root: there is no file .*a.mat; unpack it again$"):
            read_integers(path, "x", (None, 2), "unpack it again")
        savemat(path, {"x": np.arange(4000).reshape(-1, 2)}, do_compression=True)
        whole = path.read_bytes()
        for content in (b"", b"PK\3\4" * 50, whole[:100], whole[:-200], whole[:200] + bytes(60) + whole[260:]):
            path.write_bytes(content)
            with pytest.raises(ValueError, match="^root: .*a.mat cannot be read as a MATLAB file .*; unpack it again$"):
                read_integers(path, "x", (None, 2), "unpack it again")
        path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384) + b"\x89HDF\r\n\x1a\n")
        with pytest.raises(ValueError, match="^root: .*a.mat is of MATLAB 7.3, which is not read; save it with -v7 in"):
            read_integers(path, "x", (None, 2), "unpack it again")
