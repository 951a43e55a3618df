"""Crosswalk in the layouts of MARS, iLIDS-VID and PRID 2011: planned, rendered, read back by the real sets' loaders."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import loadmat

from reidlib.data import load_images, open_dataset
from reidlib.data.worlds import freeze, frozen_spec, read_world
from reidlib.data.worlds.crosswalk import CrosswalkSpec, plan, render_image, tracklets, write_crosswalk

SMALL = CrosswalkSpec(height=32, width=16, train_ids=3, test_ids=3, frames_per_tracklet=6, seed=5)
MARS = dataclasses.replace(SMALL, layout="mars", cameras=3, test_ids=2, frames_per_tracklet=4, distractors=5, junk=3,
                           label_noise=0.2)
ILIDS = dataclasses.replace(SMALL, layout="ilidsvid", cameras=2)
PRID = dataclasses.replace(ILIDS, layout="prid2011", train_ids=2, test_ids=2, frames_per_tracklet=29,
                           frame_interval=0.25)
SPECS = {spec.layout: spec for spec in (MARS, ILIDS, PRID)}
TWO = [ILIDS, PRID]
BESIDE = {
    "mars": ["info/query_IDX.mat", "info/test_name.txt", "info/tracks_test_info.mat", "info/tracks_train_info.mat",
             "info/train_name.txt"],
    "ilidsvid": ["train-test people splits/train_test_splits_ilidsvid.mat"],
    "prid2011": ["train_test_splits_prid.mat"],
}  # fmt: skip
NAMES = {                                   # as the real files are called: person, camera, tracklet, frame
    "mars": r"bbox_(?:train|test)/(00-1|\d{4})/\1C(\d)T(\d{4})F(\d{3})\.jpg",
    "ilidsvid": r"i-LIDS-VID/sequences/cam([12])/person(\d{3})/cam\1_person\2_(\d{5})\.png",
    "prid2011": r"prid_2011/multi_shot/cam_([ab])/person_(\d{4})/(\d{4})\.png",
}  # fmt: skip
TRACKLET = ["split", "role", "person", "kind", "pool", "member", "camera", "tracklet"]


def lengths(table):
    """Number of frames of each tracklet of a plan."""
    return table.groupby(TRACKLET).size()


@pytest.fixture(scope="module", params=SPECS)
def rendered(request, tmp_path_factory):
    spec = SPECS[request.param]
    return spec, write_crosswalk(spec, tmp_path_factory.mktemp("worlds") / spec.layout, progress=False)


@pytest.fixture
def world(rendered, tmp_path):
    spec, root = rendered
    return spec, shutil.copytree(root, tmp_path / "world")


class TestOnDisk:
    def test_it_is_read_back_as_planned(self, rendered):
        spec, root = rendered
        dataset, planned = open_dataset("crosswalk", root), plan(spec).set_index("path")
        table = dataset.table.set_index("path")
        assert set(table.index) == set(planned.index)
        planned = planned.loc[table.index]
        for name in ("split", "role", "person", "true_person", "camera", "frame"):
            assert table[name].tolist() == planned[name].tolist(), name
        numbered = planned[TRACKLET].assign(sequence=table["sequence"]).drop_duplicates()
        assert numbered["sequence"].is_unique and not numbered[TRACKLET].duplicated().any()
        assert sorted(numbered["sequence"]) == list(range(len(lengths(plan(spec)))))
        truth = pd.read_csv(root / "truth.csv").set_index("path").loc[table.index]
        assert (truth["tracklet"] == planned["tracklet"]).all() and (truth["kind"] == planned["kind"]).all()
        assert truth["time"].to_numpy() == pytest.approx(table["frame"] * spec.frame_interval, abs=1e-4)
        assert table["visible"].equals(truth["visible"])
        assert dataset.manifest_hash == json.loads((root / "world.json").read_text())["manifest_hash"]
        assert sorted(dataset.sources) == sorted(["truth.csv", *BESIDE[spec.layout]])
        split = "" if spec.layout == "mars" else ", split 0"
        assert dataset.edition == f"version 1, spec {spec.key}{split}"

    def test_names_are_those_of_the_real_files(self, rendered):
        spec, root = rendered
        found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        beside = {"truth.csv", "world.json", *BESIDE[spec.layout]}
        assert beside <= found
        assert found - beside == set(plan(spec)["path"])
        counts = {}
        for path in sorted(found - beside):
            *tracklet, frame = re.fullmatch(NAMES[spec.layout], path).groups()
            counts[*tracklet] = counts.get((*tracklet,), 0) + 1
            assert int(frame) == counts[*tracklet]          # 1, 2, 3, ... in each tracklet
        assert len(counts) == len(lengths(plan(spec)))

    def test_images_and_visible_fractions_are_the_rendered_ones(self, rendered):
        spec, root = rendered
        table, dataset = plan(spec).set_index("path"), open_dataset("crosswalk", root)
        for row in dataset.table.iloc[:: len(table) // 7].itertuples():
            which = table.loc[row.path]
            image, visible = render_image(spec, which.pool, which.member, which.camera, which.tracklet, which.frame,
                                          kind=which.kind)
            assert row.visible == pytest.approx(visible, abs=1e-4)
            written = np.array(Image.open(root / row.path), float)
            if spec.layout == "mars":
                assert np.abs(written - image).mean() < 8       # JPEG
            else:
                assert np.array_equal(written, image)
        assert load_images(dataset, dataset.table, 32, 16, progress=False).shape == (len(table), 3, 32, 16)

    def test_the_same_spec_gives_the_same_bytes(self, rendered, tmp_path):
        spec, root = rendered
        write_crosswalk(spec, tmp_path / "again", progress=False, threads=1)
        files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        assert files == sorted(p.relative_to(tmp_path / "again") for p in tmp_path.rglob("*") if p.is_file())
        for path in files:
            content = (root / path).read_bytes()
            assert content == (tmp_path / "again" / path).read_bytes()
            assert b"Created on" not in content                 # the date in a MATLAB file's header
        written = (root / "world.json").stat().st_mtime_ns
        assert write_crosswalk(spec, root, progress=False) == root
        assert (root / "world.json").stat().st_mtime_ns == written

    def test_the_order_of_folders_does_not_matter(self, rendered, monkeypatch):
        _, root = rendered
        before, listdir, random = open_dataset("crosswalk", root), os.listdir, np.random.default_rng(0)
        monkeypatch.setattr(os, "listdir", lambda folder: random.permutation(sorted(listdir(folder))).tolist())
        for _ in range(3):
            after = open_dataset("crosswalk", root)
            assert after.table.equals(before.table) and after.manifest_hash == before.manifest_hash

    def test_it_is_no_real_data_set(self, rendered):
        spec, root = rendered
        with pytest.raises(ValueError, match="^root: .* holds a rendered world and no "):
            open_dataset(spec.layout, root)

    def test_missing_and_changed_files(self, world):
        spec, root = world
        for name in BESIDE[spec.layout]:
            content = (root / name).read_bytes()
            (root / name).write_bytes(content + b"\n")
            with pytest.raises(ValueError, match="^root: .*(have changed since they were written|are not <person>C)"):
                open_dataset("crosswalk", root).manifest_hash  # noqa: B018
            (root / name).write_bytes(content)
        longest = lengths(plan(spec)).idxmax()
        last = plan(spec).set_index(TRACKLET).loc[[longest]].path.iloc[-1]
        (root / last).unlink()
        with pytest.raises(ValueError, match="^root: .*(not in|where world.json says)"):
            open_dataset("crosswalk", root)

    def test_another_world(self, rendered):
        spec, root = rendered
        with pytest.raises(ValueError, match=r"^root: .* another world \(noise 3.0 instead of 1.0\)"):
            open_dataset("crosswalk", root, spec=dataclasses.replace(spec, noise=1.0))
        with pytest.raises(ValueError, match=rf"^root: .* layout '{spec.layout}' instead of 'market1501'"):
            open_dataset("crosswalk", root, spec=SMALL)

    def test_a_split_that_there_is_not(self, rendered):
        spec, root = rendered
        wants = "a world in the layout 'mars' has one split, 0" if spec == MARS else "wants a whole number from 0 to 9"
        with pytest.raises(ValueError, match=f"^split: {wants}, got 10$"):
            open_dataset("crosswalk", root, split=10)


def test_worlds_of_tracklets_are_frozen_and_known_to_be_whole(world, tmp_path):
    spec, root = world
    file = tmp_path / "frozen.json"
    assert freeze(spec, root, "crosswalk-tiny", file=file) == read_world(root, "crosswalk")["manifest_hash"]
    assert frozen_spec("crosswalk-tiny", file=file) == spec
    with pytest.raises(ValueError, match="name: wants courtside-... or crosswalk-... as the world is"):
        freeze(spec, root, "courtside-x", file=file)
    next(path for path in sorted(root.rglob("*")) if path.suffix in (".png", ".jpg")).unlink()
    with pytest.raises(ValueError, match="images or lacks truth.csv"):
        read_world(root, "crosswalk")


@pytest.mark.parametrize("rendered", ["ilidsvid", "prid2011"], indirect=True)
def test_ten_splits_into_halves(rendered):
    spec, root = rendered
    persons = spec.train_ids + spec.test_ids
    rows = loadmat(root / BESIDE[spec.layout][0])["ls_set"]
    assert rows.shape == (10, persons) and len({frozenset(row[: persons // 2]) for row in rows}) > 1
    same = ["path", "person", "camera", "sequence", "frame", "visible"]
    first = open_dataset("crosswalk", root)
    images = first.table.sort_values("path")[same].to_numpy().tolist()
    for split, row in enumerate(rows):
        dataset = open_dataset("crosswalk", root, spec=spec, split=split)
        train, query, gallery = (dataset.table[dataset.table["role"] == role] for role in ("train", "query", "gallery"))
        assert set(query["person"]) == set(gallery["person"]) == set(row[: persons // 2])
        assert set(train["person"]) == set(row[persons // 2 :]) == set(range(1, persons + 1)) - set(query["person"])
        assert (set(query["camera"]), set(gallery["camera"]), set(train["camera"])) == ({1}, {2}, {1, 2})
        assert train.groupby("sequence")["frame"].count().size == 2 * spec.train_ids
        assert dataset.table.sort_values("path")[same].to_numpy().tolist() == images
        assert dataset.manifest_hash == first.manifest_hash and dataset.edition.endswith(f", split {split}")


def test_queries_junk_and_distractors_of_mars():
    spec = dataclasses.replace(MARS, train_ids=62, test_ids=63, frames_per_tracklet=3, distractors=-1, junk=-1)
    table = plan(spec)
    each = lengths(table).reset_index(name="frames")
    query, gallery = (each[each["role"] == role] for role in ("query", "gallery"))
    seen = tracklets(spec, "test")
    assert set(zip(query["person"], query["camera"])) == set(zip(seen["person"], seen["camera"]))
    assert not query.duplicated(["person", "camera"]).any() and len(query) == spec.sights("test")
    assert len(query) + (gallery["person"] > 0).sum() == len(seen)
    distractors, junk = gallery[gallery["person"] == 0], gallery[gallery["person"] == -1]
    assert (len(distractors), len(junk)) == (spec.images("distractors"), spec.images("junk"))
    assert set(distractors["kind"]) == {"person", "nobody"} and distractors["member"].is_unique
    assert set(junk["kind"]) == {"part"} and not junk.duplicated(["member", "camera", "tracklet"]).any()
    fewer = plan(dataclasses.replace(spec, distractors=20))
    assert set(fewer[fewer["person"] == 0]["path"]) <= set(table[table["person"] == 0]["path"])


def test_the_proportions_of_mars():
    full = CrosswalkSpec(layout="mars", train_ids=625, test_ids=626)
    assert (full.sights("test"), full.images("distractors"), full.images("junk")) == (1980, 3248, 870)
    per_sight = tracklets(full, "test").groupby(["person", "camera"]).size()
    assert per_sight.mean() == pytest.approx((1980 + 6082) / 1980, rel=0.05)
    assert per_sight.groupby("person").size().between(2, 6).all()


@pytest.mark.parametrize("frames", [8, 40, 96])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_tracklet_has_a_length_of_its_own(spec, frames):
    frames += 24 * (spec == PRID)
    persons = {"train_ids": 60, "test_ids": 60, "frames_per_tracklet": frames, "frame_interval": 0.05}
    table = plan(dataclasses.replace(spec, **persons))
    found = lengths(table)
    shortest = max(-(-frames // 8), 27 if spec == PRID else 2)
    assert (found.min(), found.max()) == (shortest, frames)
    assert found.median() == pytest.approx(np.sqrt(shortest * frames), rel=0.2)         # uniform in its logarithm
    first = table.sort_values("frame").groupby(TRACKLET)["frame"]
    assert (first.min() == 0).all() and (first.max() == found - 1).all()
    fewer = lengths(plan(dataclasses.replace(spec, **persons | {"train_ids": 30, "test_ids": 30}, label_noise=0.0)))
    found = lengths(plan(dataclasses.replace(spec, **persons, label_noise=0.0)))
    same = ["kind", "pool", "member", "camera", "tracklet"]
    both = fewer.reset_index(same, name="n").merge(found.reset_index(same, name="m"), on=same)
    assert len(both) >= 120 and (both["n"] == both["m"]).all()                          # whatever the world's size


def test_persons_of_two_cameras_are_numbered_from_one_and_seen_once_by_each():
    for spec in TWO:
        table = plan(dataclasses.replace(spec, train_ids=20, test_ids=20))
        seen = table[["person", "camera", "tracklet", "kind"]].drop_duplicates()
        assert sorted(zip(seen["person"], seen["camera"])) == [(p, c) for p in range(1, 41) for c in (1, 2)]
        assert set(seen["tracklet"]) == {0} and set(seen["kind"]) == {"person"}
        assert (table["person"] == table["true_person"]).all() and (table["person"] == table["member"]).all()
        assert set(plan(spec)["path"]) < set(table["path"])


def test_label_noise_swaps_whole_tracklets():
    spec = dataclasses.replace(MARS, train_ids=60, label_noise=0.3)
    noisy, clean = plan(spec), plan(dataclasses.replace(spec, label_noise=0.0))
    each = noisy[noisy["split"] == "train"].drop_duplicates(TRACKLET)
    wrong = (each["person"] != each["true_person"]).sum()
    assert abs(wrong - 0.3 * len(each)) <= 1 and noisy["path"].is_unique
    per_person = [t[t["split"] == "train"].drop_duplicates(TRACKLET).groupby("person").size() for t in (noisy, clean)]
    assert per_person[0].equals(per_person[1])
    assert noisy[noisy["split"] == "test"].reset_index(drop=True).equals(
        clean[clean["split"] == "test"].reset_index(drop=True))
    names = [re.fullmatch(NAMES["mars"], path) for path in noisy["path"]]
    assert [-1 if name[1] == "00-1" else int(name[1]) for name in names] == noisy["person"].tolist()


def test_identity_imbalance_makes_the_tracklets_of_some_persons_long():
    even = dataclasses.replace(MARS, train_ids=80, frames_per_tracklet=64, frame_interval=0.1, label_noise=0.0)
    found = [lengths(plan(dataclasses.replace(even, identity_imbalance=imbalance))) for imbalance in (0.0, 0.5, 1.0)]
    assert found[0]["test"].equals(found[1]["test"]) and found[0]["test"].equals(found[2]["test"])
    spreads = [each["train"].groupby("person").mean().std() for each in found]
    assert spreads[0] < spreads[1] < spreads[2] and spreads[2] > 1.5 * spreads[0]


@pytest.mark.parametrize(("knob", "value"), [("occlusion", 1.0), ("blur", 0.1), ("noise", 20.0), ("seed", 6),
                                             ("clothes_similarity", 1.0), ("colour_shift", 1.0),
                                             ("viewpoint_change", 0.0), ("background_persistence", 0.0)])
def test_knobs_change_the_images(knob, value, tmp_path):
    # Seen from the side: who walks straight towards a camera is not blurred.
    tiny = dataclasses.replace(ILIDS, train_ids=2, test_ids=2, occlusion=0.0, viewpoint_change=0.7)
    datasets = [open_dataset("crosswalk", tmp_path / str(number), spec=spec, progress=False)
                for number, spec in enumerate([tiny, dataclasses.replace(tiny, **{knob: value})])]
    rows = [dataset.table.sort_values("path") for dataset in datasets]
    if knob != "seed":                                          # who is seen for how long is the same
        assert rows[0]["path"].tolist() == rows[1]["path"].tolist()
        images = [load_images(d, r, 32, 16, progress=False).float() for d, r in zip(datasets, rows)]
        assert (images[0] - images[1]).abs().mean() > 1
    assert datasets[0].manifest_hash != datasets[1].manifest_hash
    if knob == "occlusion":
        assert rows[1]["visible"].mean() < rows[0]["visible"].mean() - 0.05


@pytest.mark.parametrize(("spec", "field", "value", "message"), [
    (MARS, "layout", "market", "'market' is none of market1501, mars, ilidsvid, prid2011"),
    (MARS, "train_images", 50, "wants -1 in the layout 'mars', got 50"),
    (MARS, "gallery_images", 50, "wants -1 in the layout 'mars', got 50"),
    (MARS, "frames_per_tracklet", 1000, r"wants a value in \[2, 999\], got 1000"),
    (MARS, "test_ids", 0, r"wants a value in \[1, 4000\], got 0"),
    (MARS, "distractors", 10_000, r"wants a value in \[-1, 9999\], got 10000"),
    (MARS, "junk", 7, r"wants a value in \[-1, 5\], got 7"),
    (ILIDS, "cameras", 3, "wants 2 in the layout 'ilidsvid', got 3"),
    (PRID, "cameras", 6, "wants 2 in the layout 'prid2011', got 6"),
    (ILIDS, "test_ids", 4, "wants 3 in the layout 'ilidsvid', got 4"),
    (ILIDS, "train_ids", 500, r"wants a value in \[1, 499\], got 500"),
    (PRID, "train_ids", 101, r"wants a value in \[1, 100\], got 101"),
    (PRID, "frames_per_tracklet", 26, r"wants a value in \[27, 1000\], got 26"),
    (ILIDS, "frame_interval", 2.1, r"wants a value in \[0.001, 2.0\], got 2.1"),
    (ILIDS, "label_noise", 0.1, "wants 0.0 in the layout 'ilidsvid', got 0.1"),
    (PRID, "identity_imbalance", 0.5, "wants 0.0 in the layout 'prid2011', got 0.5"),
    (PRID, "jpeg_quality", 50, "wants 90 in the layout 'prid2011', got 50"),
    (ILIDS, "distractors", 0, "wants -1 in the layout 'ilidsvid', got 0"),
    (ILIDS, "junk", 1, "wants -1 in the layout 'ilidsvid', got 1"),
    (ILIDS, "gallery_images", 6, "wants -1 in the layout 'ilidsvid', got 6")])
def test_bad_values_name_the_field(spec, field, value, message):
    with pytest.raises(ValueError, match=f"^{field}: {message}$"):
        dataclasses.replace(spec, **{field: value})


def test_the_key_knows_the_layout_and_market_worlds_keep_theirs():
    market = CrosswalkSpec()
    assert market.key == frozen_spec("crosswalk-1").key == "9f41848406bf2be9" and "layout" not in market.to_json()
    assert len({spec.key for spec in [SMALL, *SPECS.values()]}) == 4
    for spec in SPECS.values():
        assert CrosswalkSpec(**json.loads(spec.to_json())) == spec
