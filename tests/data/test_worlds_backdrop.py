"""Backdrops: where the person's own parts lie, images are as they were; everywhere else as the knob says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from reidlib.data import load_images, open_dataset
from reidlib.data.table import count_table
from reidlib.data.worlds import CourtsideSpec, compute_shot, courtside, plan, read_world, render_image, write_courtside
from reidlib.data.worlds import layout as at
from reidlib.data.worlds.film import render
from reidlib.data.worlds.glyphs import distance_fields, word_codes
from reidlib.data.worlds.motion import sample
from reidlib.data.worlds.plan import DETECTOR, generator
from reidlib.data.worlds.surface import hit
from reidlib.data.worlds.write import encode

# Four shots of two people, in two arenas. The camera moves, so no two frames have one background.
SPEC = CourtsideSpec(height=32, width=16, train_ids=8, val_ids=4, test_ids=0, train_images=0, val_gallery=0,
                     test_gallery=0, people_per_shot=2, frames_per_sequence=4, frame_interval=0.5, occlusion=1.0,
                     noise=0.0, blur=0.0, background_persistence=0.0, seed=8)
BACKDROPS = ("kept", "removed", "swapped")
IMAGES = [(person, frame) for person in range(8) for frame in (0, 3)]


def samples(backdrop, person, frame):
    """Samples (64, 32, 3) of a train image before the camera's part, and the visible fraction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(courtside, "develop", lambda image, *rest: image)
        return render_image(replace(SPEC, backdrop=backdrop), "train", person, frame)


def window(person, frame):
    """Shot, slot and camera of a train image, and its view: left and top edge, width and height of a sample."""
    index, slot = divmod(person, SPEC.people_per_shot)
    _, boxes, _, camera, _ = courtside.compute_frame(SPEC, "train", index, frame)
    random = generator(SPEC, "train", DETECTOR, index, slot, frame)
    left, top, width, height = courtside._detect(SPEC, boxes[slot], random)
    return index, slot, camera, np.array([left, top, width / 32, height / 64])


def silhouette(person, frame, *, others=False):
    """(64, 32) bool: samples whose ray meets a part of the person (of somebody else), whatever is in front of it."""
    index, slot, camera, (left, top, du, dv) = window(person, frame)
    parts = courtside.compute_frame(SPEC, "train", index, frame)[0]
    parts = np.delete(parts, slot, axis=0).reshape(-1, at.PART_SIZE) if others else parts[slot]
    parts = parts[parts[:, at.MATERIAL] != at.NOTHING]
    met = np.zeros((64, 32), bool)
    for row, column in np.ndindex(64, 32):
        u, v = left + (column + 0.5) * du, top - (row + 0.5) * dv
        ray = tuple(camera[3] + u * camera[1] + v * camera[2])
        met[row, column] = any(hit(part, camera, ray) < 1e29 for part in parts)
    return met


def test_only_the_person_and_what_hides_it_stay():
    hidden = 0
    for person, frame in IMAGES:
        mask = silhouette(person, frame)
        (kept, visible), (removed, same), (swapped, also) = (samples(name, person, frame) for name in BACKDROPS)
        assert visible == same == also
        assert np.array_equal(removed[mask], kept[mask]) and np.array_equal(swapped[mask], kept[mask])
        assert len(np.unique(removed[~mask], axis=0)) == 1
        assert (swapped[~mask] != kept[~mask]).any(axis=1).mean() > 0.99
        if visible < 0.9:                                              # who hides is kept in front of the person alone
            hidden += (silhouette(person, frame, others=True) & ~mask).sum() > 50
    assert hidden >= 3


def test_a_removed_backdrop_has_one_colour_in_the_image():
    for person, frame in IMAGES:
        pixels = silhouette(person, frame).reshape(32, 2, 16, 2).any(axis=(1, 3))
        outside = ~maximum_filter(pixels, 3)                           # the lens is soft over three pixels
        image, _ = render_image(replace(SPEC, backdrop="removed"), "train", person, frame)
        colours = np.unique(image[outside], axis=0)
        assert outside.sum() > 30 and len(colours) == 1
        assert (colours == 128).all()                                  # whatever the shot's exposure


def test_a_swapped_backdrop_is_the_empty_arena_of_another_shot():
    drawn = []
    for person, frame in IMAGES:
        index, _, _, view = window(person, frame)
        outside, image = ~silhouette(person, frame), samples("swapped", person, frame)[0]
        found = []
        for other, instant in np.ndindex(30, 4):
            shot = compute_shot(SPEC, "train", other)
            camera = sample(shot.cameras, instant * SPEC.frame_interval)
            empty = render(np.zeros((0, at.PART_SIZE)), 0, shot.looks, camera, view, (64, 32), shot.light, shot.arena,
                           shot.words, word_codes(), distance_fields(), np.zeros((0, 4)))[0]
            if np.array_equal(empty[outside], image[outside]):
                found.append((other, instant))
        assert len(found) == 1 and found[0][0] != index
        drawn += found
    assert len({shot for shot, _ in drawn}) > 6 and {instant for _, instant in drawn} == {0, 1, 2, 3}
    drawn = np.array(drawn).reshape(4, 2, 2, 2)                        # shots, people, frames, (other shot, its frame)
    assert (drawn[:, :, 0] != drawn[:, :, 1]).any(-1).sum() > 4        # of 8: anew for every frame
    assert (drawn[:, 0] != drawn[:, 1]).any(-1).sum() > 4              # and for every person


def test_the_key_of_a_kept_backdrop_is_older_than_the_knob():
    assert CourtsideSpec(backdrop="kept").key == CourtsideSpec().key and "backdrop" not in CourtsideSpec().to_json()
    assert len({CourtsideSpec(backdrop=backdrop).key for backdrop in BACKDROPS}) == 3
    for backdrop in BACKDROPS:
        spec = replace(SPEC, backdrop=backdrop)
        assert CourtsideSpec(**json.loads(spec.to_json())) == spec


@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_a_world_without_test_people_is_written_and_read(tmp_path, backdrop):
    spec = replace(SPEC, backdrop=backdrop, train_ids=1, val_ids=20, people_per_shot=10, frames_per_sequence=2)
    dataset = open_dataset("courtside", tmp_path / "world", spec=spec, progress=False)
    assert count_table(dataset.table)["images"].to_dict() == {
        ("train", "train"): 2, ("val", "gallery"): 20, ("val", "query"): 20}
    assert load_images(dataset, dataset.table, 32, 16, progress=False).shape == (42, 3, 32, 16)
    row = dataset.rows("val", "gallery").iloc[13]
    image, visible = render_image(spec, "val", row.person, row.frame)
    assert (dataset.root / row.path).read_bytes() == encode(spec, image)
    assert row.visible == pytest.approx(visible, abs=1e-4)
    assert CourtsideSpec(**read_world(dataset.root)["spec"]) == spec
    again = open_dataset("courtside", dataset.root, spec=spec, progress=False)
    assert again.manifest_hash == dataset.manifest_hash
    another = "removed" if backdrop == "kept" else "kept"
    with pytest.raises(ValueError, match=rf"another world \(backdrop '{backdrop}' instead of '{another}'\); delete"):
        write_courtside(replace(spec, backdrop=another), dataset.root, progress=False)


@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_people_of_a_split_do_not_depend_on_the_other_splits(backdrop):
    def val(**ids):
        courtside.compute_shot.cache_clear()
        courtside.compute_frame.cache_clear()
        courtside._empty_arena.cache_clear()
        spec = CourtsideSpec(val_ids=20, train_images=0, val_gallery=0, test_gallery=0, backdrop=backdrop, **ids)
        table = plan(spec)
        table = table[table.split == "val"].reset_index(drop=True)
        rows = table.iloc[[0, 7, 19, 150, 399]]
        return table, [render_image(spec, "val", row.true_person, row.frame) for row in rows.itertuples()]

    table, images = val(train_ids=1, test_ids=0)
    same_table, same_images = val(train_ids=160, test_ids=200)
    assert table.equals(same_table) and len(table) == 400
    for (image, visible), (same, also) in zip(images, same_images):
        assert image.tobytes() == same.tobytes() and visible == also


@pytest.mark.parametrize(("knobs", "message"), [
    ({"backdrop": "blurred"}, "backdrop: wants 'kept', 'removed' or 'swapped', got 'blurred'$"),
    ({"backdrop": 1}, "backdrop: wants str, got 1$")])
def test_bad_backdrops(knobs, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(SPEC, **knobs)
