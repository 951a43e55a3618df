"""Rendered worlds: the same bytes whatever the order, threads or size; knobs that do what they say."""

import dataclasses
import io
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reidlib.data.worlds import (
    CourtsideSpec,
    courtside,
    freeze,
    frozen_manifest,
    frozen_spec,
    hash_files,
    plan,
    read_world,
    render_frame,
    render_image,
    write,
    write_courtside,
)
from reidlib.data.worlds import layout as at

TINY = CourtsideSpec(height=64, width=32, train_ids=12, val_ids=4, test_ids=3, train_images=0, val_gallery=13,
                     test_gallery=0, frames_per_sequence=5, label_noise=0.2, seed=3)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_courtside(TINY, tmp_path_factory.mktemp("worlds") / "tiny", progress=False)


def small(**knobs):
    sizes = {"height": 64, "width": 32, "train_ids": 40, "train_images": 0, "frames_per_sequence": 8}
    return CourtsideSpec(**(sizes | {"val_gallery": 0, "test_gallery": 0, "noise": 0.0} | knobs))


def test_the_world_holds_the_plan_and_its_truth(world):
    table, truth = plan(TINY), pd.read_csv(world / "truth.csv")
    assert sorted(path.relative_to(world).as_posix() for path in world.rglob("*.jpeg")) == sorted(table.path)
    who = ["path", "person", "true_person", "shot", "frame"]
    assert list(truth.columns) == [*who, "time", "visible", "heading", "x", "y"]
    assert truth[who].to_numpy().tolist() == table[who].to_numpy().tolist()
    assert truth.visible.between(0, 1).all() and truth.heading.abs().le(3.1416).all()
    assert truth.time.to_numpy() == pytest.approx(truth.frame * TINY.frame_interval, abs=1e-4)
    noisy = truth[truth.path.str.contains("training")]
    assert (noisy.person != noisy.true_person).mean() == pytest.approx(0.2, abs=0.02)
    described = read_world(world)
    assert described["manifest_hash"] == hash_files(world)
    assert described["counts"] == {"train": {"train": 60}, "val": {"gallery": 13, "query": 4},
                                   "test": {"gallery": 12, "query": 3}}


def test_the_bytes_do_not_depend_on_threads_or_on_what_was_rendered_before(world, tmp_path):
    courtside.compute_frame.cache_clear()
    courtside.compute_shot.cache_clear()
    again = write_courtside(TINY, tmp_path / "again", progress=False, threads=1)
    assert (again / "world.json").read_bytes() == (world / "world.json").read_bytes()
    assert hash_files(again) == hash_files(world)


def test_one_image_alone_is_the_written_one(world):
    table, truth = plan(TINY), pd.read_csv(world / "truth.csv")
    for i in (0, 17, 44, len(table) - 1):
        row = table.iloc[i]
        image, visible = render_image(TINY, row.split, row.true_person, row.frame)
        assert image.shape == (64, 32, 3) and image.dtype == np.uint8
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=TINY.jpeg_quality)
        assert buffer.getvalue() == (world / row.path).read_bytes()
        assert truth.visible[i] == pytest.approx(visible, abs=1e-4)


def test_a_smaller_world_is_a_prefix(world, tmp_path):
    fewer = dataclasses.replace(TINY, train_ids=6, val_ids=4, test_ids=2, label_noise=0.0)
    part = write_courtside(fewer, tmp_path / "part", progress=False)
    visible = pd.read_csv(world / "truth.csv").set_index("path").visible
    for row in pd.read_csv(part / "truth.csv").itertuples():
        if "training" not in row.path:                                 # labels of train are noisy in the larger one
            assert (part / row.path).read_bytes() == (world / row.path).read_bytes()
            assert visible[row.path] == row.visible
    for person, frame in ((0, 0), (5, 4)):
        image, _ = render_image(fewer, "train", person, frame)
        assert np.array_equal(image, render_image(TINY, "train", person, frame)[0])


def test_seeds_differ():
    one, two = (render_image(small(seed=seed), "train", 0, 0)[0] for seed in (1, 2))
    assert not np.array_equal(one, two)


def test_more_occlusion_hides_more():
    means = [np.mean([render_image(small(occlusion=occlusion), "train", person, frame)[1]
                      for person in range(40) for frame in (0, 4, 7)]) for occlusion in (0.0, 0.5, 1.0)]
    assert means[0] > means[1] + 0.03 and means[1] > means[2] + 0.03


def test_shorter_intervals_bring_frames_nearer():
    def change(interval):
        spec = small(frame_interval=interval)
        images = [[render_image(spec, "train", person, frame)[0] for frame in range(3)] for person in range(12)]
        return np.abs(np.diff(np.array(images, float), axis=1)).mean()

    near, usual, far = change(0.05), change(0.5), change(3.0)
    assert near < 0.8 * usual and usual < far


def test_viewpoint_camera_and_kits_follow_their_knobs():
    def shots(**knobs):
        return [courtside.compute_shot(small(**knobs), "train", index) for index in range(4)]

    def turning(value):
        return np.mean([shot.states[..., at.HEADING].std(axis=0).mean() for shot in shots(viewpoint_change=value)])

    def travelling(value):
        return np.mean([np.ptp(shot.cameras[:, 0, 0]) for shot in shots(background_persistence=value)])

    def kits(value):
        looks = np.concatenate([shot.looks[:10] for shot in shots(kit_similarity=value)])
        return looks[looks[:, at.REFEREE] == 0, at.JERSEY:at.JERSEY + 3].std(axis=0).mean()

    assert turning(0.0) == pytest.approx(0.0, abs=1e-9) and turning(1.0) > 1.5 * turning(0.4) > 0
    assert travelling(1.0) == 0.0 and travelling(0.0) > 1.5 * travelling(0.6) > 0
    assert kits(1.0) == pytest.approx(0.0, abs=1e-9) and kits(0.0) > 1.5 * kits(0.5) > 0


def test_imaging_knobs_change_the_image_and_not_the_scene():
    plain = small(detector_jitter=0.0, blur=0.0)
    for knob, value in (("noise", 8.0), ("blur", 0.1), ("detector_jitter", 0.1)):
        changed = dataclasses.replace(plain, **{knob: value})
        for person in range(5):
            image, visible = render_image(plain, "train", person, 0)
            other, seen = render_image(changed, "train", person, 0)
            assert not np.array_equal(image, other)
            assert knob == "detector_jitter" or seen == visible


def test_the_wide_view_and_bad_requests():
    frame = render_frame(TINY, "val", 0, 2, height=54, width=96)
    assert frame.shape == (54, 96, 3) and frame.std() > 10
    with pytest.raises(ValueError, match=r"^person: val holds 10000 to 10003, got 4$"):
        render_image(TINY, "val", 4, 0)
    with pytest.raises(ValueError, match=r"^frame: wants 0 to 4, got 5$"):
        render_image(TINY, "val", 10000, 5)
    with pytest.raises(ValueError, match=r"^shot: train has shots 0 to 1, got 2$"):
        render_frame(TINY, "train", 2, 0)
    with pytest.raises(ValueError, match=r"^split: 'valid' is none of"):
        render_image(TINY, "valid", 0, 0)


def test_a_complete_world_is_kept_and_anything_else_is_reported(world, tmp_path):
    before = (world / "world.json").stat().st_mtime_ns
    assert write_courtside(TINY, world, progress=False) == world
    assert (world / "world.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"^root: .* holds another world \(seed 3 instead of 4\); delete"):
        write_courtside(dataclasses.replace(TINY, seed=4), world, progress=False)
    half = tmp_path / "half"
    shutil.copytree(world, half)
    next((half / "data_reid" / "reid_training").iterdir()).unlink()
    with pytest.raises(ValueError, match=r"^root: .* holds 91 of 92 images"):
        write_courtside(TINY, half, progress=False)
    (half / "world.json").unlink()
    with pytest.raises(ValueError, match=r"^root: .* no complete Courtside world"):
        write_courtside(TINY, half, progress=False)


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_courtside(TINY, tmp_path / "world", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_freezing(world, tmp_path):
    file = tmp_path / "frozen.json"
    assert frozen_manifest(TINY, file=file) is None
    found = freeze(TINY, world, "courtside-tiny", file=file)
    assert frozen_manifest(TINY, file=file) == found == read_world(world)["manifest_hash"]
    assert frozen_spec("courtside-tiny", file=file) == TINY
    assert freeze(TINY, world, "courtside-tiny", file=file) == found             # once more changes nothing
    assert frozen_manifest(CourtsideSpec(seed=9), file=file) is None
    with pytest.raises(ValueError, match=r"^name: 'courtside-tiny' is frozen already"):
        freeze(TINY, world, "courtside-other", file=file)
    with pytest.raises(ValueError, match=r"^name: no world is frozen as 'large'; frozen: courtside-tiny$"):
        frozen_spec("large", file=file)
    with pytest.raises(ValueError, match=r"^root: .* holds the world"):
        freeze(CourtsideSpec(), world, "courtside-default", file=file)
    changed = tmp_path / "changed"
    shutil.copytree(world, changed)
    with open(changed / "truth.csv", "a", encoding="utf-8") as lines:
        lines.write("one more line\n")
    with pytest.raises(ValueError, match=r"have changed since they were written"):
        freeze(TINY, changed, "courtside-tiny", file=file)
