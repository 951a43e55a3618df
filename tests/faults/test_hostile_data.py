"""Loaders on broken and hostile folders, names, images and lists: a table, or one sentence that names the file."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import time
import unicodedata
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from reidlib.data import load_images, open_dataset
from reidlib.data.images import decode_image
from reidlib.data.listing import list_images
from reidlib.data.market1501 import read_layout as read_market1501
from reidlib.data.mars import read_layout as read_mars
from reidlib.data.matfile import read_integers
from reidlib.data.prid2011 import read_layout as read_prid2011
from reidlib.data.synergyreid import read_layout as read_synergyreid
from reidlib.data.worlds import CourtsideSpec
from reidlib.data.worlds.crosswalk import CrosswalkSpec, write_crosswalk

quietly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COURTSIDE = CourtsideSpec(
    train_ids=2, val_ids=2, test_ids=0, train_images=6, val_gallery=4, test_gallery=0, frames_per_sequence=3,
    people_per_shot=2, height=32, width=16,
)  # fmt: skip


def one_sentence(error: ValueError) -> str:
    text = str(error)
    assert text and "\n" not in text and len(text) < 2000, text
    return text


def encoded(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it skips
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp", "ppm"])
def test_broken_images_decode_or_are_refused(tmp_path, kind):
    whole, draw, refused = encoded(kind), random.Random(kind), 0
    path = tmp_path / f"x.{kind}"
    for number in range(150):
        broken = bytearray(whole)
        if number % 2:
            broken = broken[: draw.randrange(len(broken))]
        else:
            for _ in range(draw.choice([1, 2, 20])):
                broken[draw.randrange(min(len(broken), draw.choice([60, len(broken)])))] = draw.randrange(256)
        path.write_bytes(broken)
        try:
            assert decode_image(path, 8, 4).shape == (8, 4, 3)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 50


def bomb(side: int) -> bytes:
    """A few hundred bytes that would be side x side pixels."""
    buffer = io.BytesIO()
    Image.new("1", (side, 8)).save(buffer, "png")
    data = bytearray(buffer.getvalue())
    data[20:24] = side.to_bytes(4, "big")  # the height in IHDR
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 40_000, 2**31 - 1])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(side) if side < 2**31 - 1 else bomb(1000)[:16] + side.to_bytes(4, "big") * 2 + b"\x08" * 50)
    before = time.process_time()
    with pytest.raises(ValueError, match=r"bomb.png \("):
        decode_image(path, 8, 8)
    assert time.process_time() - before < 5  # seconds; decoding 100 million pixels is what must not happen


NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@quietly
@given(names=st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_any_names_are_listed_or_refused(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / f"{name}.png").touch()
    try:
        found = list_images(folder)
    except ValueError as error:
        assert str(folder) in str(error)
        return
    assert sorted(found) == found and set(found) <= set(os.listdir(folder))
    assert {name for name in os.listdir(folder) if not name.startswith(".")} == set(found)


@quietly
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), person=NAMES)
def test_one_s_own_folder_of_any_names(tmp_path_factory, names, person):
    root = tmp_path_factory.mktemp("own")
    for split in ("train", "test"):
        for name in ("a", *names):
            (root / split / person).mkdir(parents=True, exist_ok=True)
            (root / split / person / f"{name}.jpg").touch()
    try:
        table = open_dataset("folder", root).table
    except ValueError as error:
        one_sentence(error)
        return
    assert set(table["path"]) <= {path.relative_to(root).as_posix() for path in root.rglob("*.jpg")}
    assert table["person"].nunique() == 1 and not table["path"].duplicated().any()


def test_two_spellings_of_one_letter_are_one_person(tmp_path):
    """A Mac writes e and an accent where others write é."""
    for form in ("NFC", "NFD"):
        for split in ("train", "test"):
            folder = tmp_path / split / unicodedata.normalize(form, "Zoé")
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(2):
                (folder / f"{form}{number}.png").touch()
    assert open_dataset("folder", tmp_path).table["person"].tolist() == [0] * 8


def test_names_that_differ_in_case_only_are_two_images(tmp_path):
    for split in ("train", "test"):
        for name in ("a.jpg", "A.jpg", "a.JPG"):
            (tmp_path / split / "p").mkdir(parents=True, exist_ok=True)
            (tmp_path / split / "p" / name).touch()
    table = open_dataset("folder", tmp_path).table
    assert len(table) == 6 and not table["path"].duplicated().any()


def test_the_same_name_twice_in_a_data_set_is_refused(tmp_path):
    folder = tmp_path / "reid_training"
    for name in ("1_2_3.jpeg", "01_2_3.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    with pytest.raises(ValueError, match="2 of 2 images share person.*keep one of each"):
        read_synergyreid(tmp_path, {"train": "reid_training"})


def test_links_in_a_circle_and_deep_folders_and_pipes(tmp_path):
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "a.jpg").touch()
    (tmp_path / "loop" / "again").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="is a link back to"):
        list_images(tmp_path / "loop")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "x.jpg").symlink_to("x.jpg")
    with pytest.raises(ValueError, match=r"are not images \(x.jpg\)"):
        list_images(tmp_path / "self")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "y.jpg")
    with pytest.raises(ValueError, match=r"are not images \(y.jpg\)"):
        list_images(tmp_path / "pipe")
    deep = tmp_path / "deep"
    deep.mkdir()
    here = os.getcwd()
    os.chdir(deep)
    try:
        for _ in range(300):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    with pytest.raises(ValueError, match="^root: folders in .* are nested deeper than 100"):
        list_images(deep)
    shutil.rmtree(deep, ignore_errors=True)


def test_a_million_names_are_listed(tmp_path, monkeypatch):
    """A folder that says it holds a million images; making them would take the test longer than listing them."""
    (tmp_path / "0.jpg").touch()
    names = [f"{n}.jpg" for n in range(1_000_000)]
    monkeypatch.setattr(os, "listdir", lambda folder: names)
    kind = os.stat(tmp_path / "0.jpg")
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **k: kind if str(path).endswith(".jpg") else real(path, **k))
    assert list_images(tmp_path) == sorted(names)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((0, 4)),
        np.ones((3, 5)),
        np.ones((2, 2, 4)),
        np.array([[1.5, 2, 3, 4]]),
        np.array([[np.nan, 2, 3, 4]]),
        np.array([[np.inf, 2, 3, 4]]),
        np.array([[1e30, 2, 3, 4]]),
        np.array([["a", "b", "c", "d"]]),
        np.array([[1 + 2j, 2, 3, 4]]),
        np.array([[{}, 2, 3, 4]], dtype=object),
        {"field": np.ones((1, 4))},
        np.array([[True, False, True, True]]),
    ],
    ids=range(12),
)
def test_matrices_of_other_kinds_are_refused(tmp_path, value):
    savemat(tmp_path / "x.mat", {"tracks": value})
    if isinstance(value, np.ndarray) and value.dtype == bool:
        assert read_integers(tmp_path / "x.mat", "tracks", (None, 4), "unpack again").tolist() == [[1, 0, 1, 1]]
        return
    with pytest.raises(ValueError, match=r"x.mat (has a tracks (of|with)|cannot be read).*unpack again"):
        read_integers(tmp_path / "x.mat", "tracks", (None, 4), "unpack again")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("packed", [False, True])
def test_broken_matrices_are_read_as_they_were_or_refused(tmp_path, packed):
    path = tmp_path / "x.mat"
    savemat(path, {"tracks": np.arange(1, 41).reshape(10, 4)}, do_compression=packed)
    whole, draw, refused = path.read_bytes(), random.Random(1), 0
    for number in range(600):
        broken = bytearray(whole)
        if number % 2:
            broken = broken[: draw.randrange(len(broken))]
        else:
            broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        try:
            assert read_integers(path, "tracks", (None, 4), "unpack again").shape[1] == 4
        except ValueError as error:
            assert "x.mat" in str(error) and "unpack again" in str(error)
            refused += 1
    assert refused > 100


@pytest.fixture(scope="module")
def tracklets(tmp_path_factory):
    """Small worlds in the layouts of MARS, PRID 2011 and Market-1501."""
    home = tmp_path_factory.mktemp("tracklets")
    sizes = {"train_ids": 2, "test_ids": 2, "frames_per_tracklet": 4, "frame_interval": 0.16, "height": 32, "width": 16}
    write_crosswalk(CrosswalkSpec(layout="mars", **sizes), home / "mars", progress=False, threads=1)
    sizes |= {"cameras": 2, "frames_per_tracklet": 30, "frame_interval": 0.16}
    write_crosswalk(CrosswalkSpec(layout="prid2011", **sizes), home / "prid2011", progress=False, threads=1)
    return home


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("layout", "read", "file"),
    [
        ("mars", read_mars, "info/train_name.txt"),
        ("mars", read_mars, "info/tracks_train_info.mat"),
        ("mars", read_mars, "info/query_IDX.mat"),
        ("prid2011", read_prid2011, "train_test_splits_prid.mat"),
    ],
)
def test_broken_lists_of_tracklets(tmp_path, tracklets, layout, read, file):
    root = shutil.copytree(tracklets / layout, tmp_path / "root")
    whole, draw, refused = (root / file).read_bytes(), random.Random(file), 0
    persons = set(read(root)["person"])
    for _ in range(40):
        broken = bytearray(whole)
        for _ in range(draw.choice([1, 1, 30])):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        (root / file).write_bytes(broken[: draw.choice([len(broken), draw.randrange(len(broken))])])
        try:
            assert set(read(root)["person"]) <= persons
        except ValueError as error:
            assert one_sentence(error).startswith(("root: ", "table: "))
            refused += 1
    assert refused > 10


@quietly
@given(value=st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)
       | st.dictionaries(st.sampled_from(["train", "test", "x"]), x, max_size=3), max_leaves=8))  # fmt: skip
def test_any_json_for_splits(tracklets, tmp_path_factory, value):
    root = tracklets / "prid2011"
    path = root / "splits_prid2011.json"
    try:
        path.write_text(json.dumps(value))
        with pytest.raises(ValueError, match="splits_prid2011.json"):
            read_prid2011(root)
    finally:
        path.unlink()


@pytest.fixture(scope="module")
def courtside(tmp_path_factory):
    root = tmp_path_factory.mktemp("courtside") / "world"
    open_dataset("courtside", root, spec=COURTSIDE, progress=False)
    return root


def test_any_changed_byte_of_a_world_is_found(tmp_path, courtside):
    """Images and truth by the manifest hash that keys every run; world.json by what it says of them."""
    wanted = open_dataset("courtside", courtside).manifest_hash
    draw, found = random.Random(0), 0
    files = [path.relative_to(courtside) for path in sorted(courtside.rglob("*")) if path.is_file()]
    for number in range(120):
        root = shutil.copytree(courtside, tmp_path / "copy", dirs_exist_ok=True)
        path = root / files[number % len(files)]
        data = bytearray(path.read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        try:
            dataset = open_dataset("courtside", root)
            same = dataset.manifest_hash == wanted
        except ValueError as error:
            assert str(root) in one_sentence(error)
            found += 1
            continue
        assert same and path.name == "world.json", path  # a word of it that nothing depends on
    assert found > 100


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"world": "courtside"}', "\udcff"], ids=range(6))
def test_a_broken_world_json(tmp_path, courtside, text):
    root = shutil.copytree(courtside, tmp_path / "copy")
    (root / "world.json").write_bytes(text.encode(errors="surrogateescape"))
    for spec in ({}, {"spec": COURTSIDE}):
        with pytest.raises(ValueError, match="^root: .*(again|another one|pass spec)") as caught:
            open_dataset("courtside", root, **spec)
        one_sentence(caught.value)


def test_folders_of_no_images(tmp_path):
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="bounding_box_train holds no image"):
        read_market1501(tmp_path)
    for name in ("synergyreid", "market1501", "mars", "ilidsvid", "prid2011", "folder"):
        with pytest.raises(ValueError, match="^root: ") as caught:
            open_dataset(name, tmp_path / "nowhere")
        one_sentence(caught.value)


def test_an_image_that_went_away_is_named(tmp_path, courtside):
    root = shutil.copytree(courtside, tmp_path / "copy")
    dataset = open_dataset("courtside", root)
    (root / dataset.table["path"][0]).unlink()
    with pytest.raises(ValueError, match="rows: 1 of .*No such file"):
        load_images(dataset, dataset.table, 32, 16, progress=False)
    with pytest.raises(ValueError, match="root: cannot read"):
        dataset.manifest_hash  # noqa: B018
