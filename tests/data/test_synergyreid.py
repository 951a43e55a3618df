"""The real images are not at hand, so tiny trees of its layout stand in; the counts are patched where need be."""

import hashlib
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlib.data import open_dataset, synergyreid
from reidlib.data.synergyreid import EDITIONS, parse_name

COUNTS = {
    ("train", "train"): (2, 5),
    ("val", "query"): (2, 2),
    ("val", "gallery"): (2, 3),
    ("test", "query"): (0, 2),
    ("test", "gallery"): (0, 3),
}
TRAIN = ("0_0_00", "0_0_01", "0_0_02", "12_3_00", "12_3_07")
QUERY, GALLERY = ("020_4_00", "021_4_00"), ("020_4_01", "021_4_19", "021_4_2")
HIDDEN_QUERY, HIDDEN_GALLERY = ("7", "10"), ("8", "9", "100")


class TinyEdition(synergyreid.Edition):
    counts = COUNTS


@pytest.fixture(autouse=True)
def tiny_editions(monkeypatch):
    """The known editions with a few images each; 2023 has one more in the test gallery."""
    tiny = [TinyEdition(known.year, md5(known.year.encode()), known.layout, 0, 0) for known in EDITIONS]
    tiny[2] = type("Later", (TinyEdition,), {"counts": COUNTS | {("test", "gallery"): (0, 4)}})(
        "2023", md5(b"2023"), "reid_challenge", 0, 0
    )
    monkeypatch.setattr(synergyreid, "EDITIONS", tuple(tiny))


def md5(content):
    return hashlib.md5(content).hexdigest()


def build(root, val="reid_val", test="reid_test", **more):
    places = {
        "reid_training": TRAIN,
        f"{val}/query": QUERY,
        f"{val}/gallery": GALLERY,
        f"{test}/query": HIDDEN_QUERY,
        f"{test}/gallery": HIDDEN_GALLERY + more.get("more", ()),
    }
    for place, names in places.items():
        folder = root / "data_reid" / place
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.jpeg").write_bytes(place.encode() + name.encode())
    return root


def test_the_published_editions():
    assert [known.year for known in EDITIONS] == ["2021", "2022", "2023"]
    assert EDITIONS[0].counts == {
        ("train", "train"): (436, 8569),
        ("val", "query"): (50, 50),
        ("val", "gallery"): (50, 910),
        ("test", "query"): (0, 468),
        ("test", "gallery"): (0, 8703),
    }
    assert EDITIONS[2].counts[("test", "gallery")] == (0, 9505)
    assert all(len(known.md5) == 32 for known in EDITIONS)


def test_the_table(tmp_path):
    table = open_dataset("synergyreid", build(tmp_path)).table
    train = table[table["split"] == "train"]
    assert train["path"].tolist() == [f"reid_training/{name}.jpeg" for name in TRAIN]
    assert train["person"].tolist() == [0, 0, 0, 12, 12]
    assert train["sequence"].tolist() == [0, 0, 0, 3, 3]
    assert train["frame"].tolist() == [0, 1, 2, 0, 7]
    gallery = table[(table["split"] == "val") & (table["role"] == "gallery")]
    assert gallery["path"].tolist() == [f"reid_val/gallery/{name}.jpeg" for name in ("020_4_01", "021_4_2", "021_4_19")]
    assert gallery["person"].tolist() == [20, 21, 21]
    assert set(gallery["camera"]) == {1}
    assert set(table.loc[table["role"] != "gallery", "camera"]) == {0}


def test_the_hidden_split_has_no_labels_and_is_sorted_by_its_numbers(tmp_path):
    table = open_dataset("synergyreid", build(tmp_path)).table
    test = table[table["split"] == "test"]
    assert test["path"].tolist() == [f"reid_test/gallery/{n}.jpeg" for n in (8, 9, 100)] + [
        f"reid_test/query/{n}.jpeg" for n in (7, 10)
    ]
    assert (test[["person", "sequence", "frame"]] == -1).all(axis=None)
    assert test["camera"].tolist() == [1, 1, 1, 0, 0]


def test_root_may_be_data_reid_itself_and_gives_the_same(tmp_path):
    outer = open_dataset("synergyreid", build(tmp_path))
    inner = open_dataset("synergyreid", tmp_path / "data_reid")
    assert outer.root == inner.root == tmp_path / "data_reid"
    assert outer.table.equals(inner.table)
    assert outer.manifest_hash == inner.manifest_hash


def test_without_a_root_it_is_found_in_its_documented_place(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", str(tmp_path))
    build(tmp_path / "data" / "synergyreid")
    assert len(open_dataset("synergyreid").table) == 15


def test_editions_are_told_by_folders_counts_and_archive(tmp_path):
    by_counts = open_dataset("synergyreid", build(tmp_path / "a"))
    assert by_counts.edition == "2021 (by its counts; no archive to check)"
    renamed = build(tmp_path / "b", val="reid_test", test="reid_challenge")
    assert open_dataset("synergyreid", renamed).edition.startswith("2022 ")
    assert open_dataset("synergyreid", renamed).rows("val", "query")["path"].str.startswith("reid_test/query/").all()
    later = build(tmp_path / "c", val="reid_test", test="reid_challenge", more=("101",))
    (later / "synergyreid_data.zip").write_bytes(b"2023")
    assert open_dataset("synergyreid", later).edition == "2023 (by its counts and its archive's MD5)"


@given(*[st.tuples(st.integers(0, 10**9), st.integers(1, 12))] * 3, st.sampled_from(["jpeg", "jpg", "JPEG"]))
def test_names_read_back_whatever_their_width(person, sequence, frame, suffix):
    name = "_".join(f"{number:0{width}d}" for number, width in (person, sequence, frame)) + "." + suffix
    assert parse_name(name) == (person[0], sequence[0], frame[0])


@given(st.text(max_size=20))
def test_other_names_are_refused_by_name(name):
    pieces = name.rpartition(".")[0].split("_")
    digits = [bool(piece) and set(piece) <= set("0123456789") for piece in pieces]
    if len(pieces) == 3 and all(digits):
        return
    with pytest.raises(ValueError, match="^name: wants <person>_<sequence>_<frame>.jpeg"):
        parse_name(name)


class TestBadInput:
    def refused(self, root, message):
        with pytest.raises(ValueError, match=message):
            open_dataset("synergyreid", root)

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "absent", "^root: there is no folder .*absent; unpack SynergyReID's archive there")

    def test_empty(self, tmp_path):
        self.refused(tmp_path, "^root: .* holds no data_reid/; unpack SynergyReID's archive there")

    def test_archive_not_unpacked(self, tmp_path):
        (tmp_path / "data_reid.zip").write_bytes(b"2021")
        self.refused(tmp_path, "^root: .*data_reid.zip is not unpacked; run `unzip data_reid.zip` in ")

    @pytest.mark.parametrize("gone", ["reid_training", "reid_val/gallery", "reid_test/query", "reid_test"])
    def test_folder_missing(self, tmp_path, gone):
        shutil.rmtree(build(tmp_path) / "data_reid" / gone)
        self.refused(tmp_path, f"^root: .*data_reid has no {gone}.*; it looks half extracted")

    def test_neither_layout(self, tmp_path):
        shutil.rmtree(build(tmp_path) / "data_reid" / "reid_val")
        self.refused(tmp_path, r"^root: .* has neither reid_val/ \(2021\) nor reid_challenge/ \(2022, 2023\)")

    def test_folder_empty(self, tmp_path):
        folder = build(tmp_path) / "data_reid" / "reid_val" / "gallery"
        shutil.rmtree(folder)
        folder.mkdir()
        self.refused(tmp_path, "^root: .*reid_val/gallery holds no image")

    def test_image_missing(self, tmp_path):
        (build(tmp_path) / "data_reid" / "reid_training" / "0_0_01.jpeg").unlink()
        self.refused(
            tmp_path,
            "^root: .*data_reid has .*train 4 of 2 persons.* which is no edition known "
            r"\(2021 has .*train 5 of 2 persons.*\); if images are missing it is half extracted",
        )

    def test_archive_of_no_edition(self, tmp_path):
        (build(tmp_path) / "data_reid.zip").write_bytes(b"half a download")
        self.refused(
            tmp_path,
            f"^root: .* holds the images of the 2021 edition, whose archive has MD5 {md5(b'2021')}; "
            rf"found data_reid.zip with MD5 {md5(b'half a download')} \(no edition known\); download the archive again",
        )

    def test_archive_of_another_edition(self, tmp_path):
        (build(tmp_path) / "data_reid.zip").write_bytes(b"2022")
        self.refused(tmp_path, r"images of the 2021 edition.* \(the 2022 edition\)")

    def test_odd_names(self, tmp_path):
        (build(tmp_path) / "data_reid" / "reid_training" / "person_1.jpeg").touch()
        self.refused(tmp_path, r"^root: 1 of 6 images in .*reid_training are not named .* \(person_1.jpeg\)")

    def test_a_test_split_with_labels_here_and_there(self, tmp_path):
        (build(tmp_path) / "data_reid" / "reid_test" / "query" / "3_1_00.jpeg").touch()
        self.refused(tmp_path, r"^root: 5 of 6 images in .*reid_test are not named .* \(10.jpeg, 7.jpeg, 100.jpeg, ")

    def test_one_image_under_two_widths(self, tmp_path):
        (build(tmp_path) / "data_reid" / "reid_training" / "00_0_001.jpeg").touch()
        self.refused(tmp_path, "share person, .* and frame .*: reid_training/0_0_01.jpeg, reid_training/00_0_001")

    def test_a_world_is_not_passed_off_as_real_images(self, tmp_path):
        (build(tmp_path) / "world.json").write_text("{}")
        for root in (tmp_path, tmp_path / "data_reid"):
            self.refused(root, "^root: .* holds a rendered world .*; open it as 'courtside'")


def test_the_fixture_differs_from_the_published_editions_in_its_counts_only():
    assert replace(EDITIONS[0], md5="x").counts == EDITIONS[0].counts
