"""Rendered pedestrians: what is visible, how they walk, how cameras differ, and that every knob does what it says."""

from dataclasses import replace

import numpy as np
import pytest
from test_worlds_geometry import spheres_hit

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import CrosswalkSpec, compute_tracklet, render_image, scene
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.crosswalk.cameras import cameras
from reidlib.data.worlds.crosswalk.draws import DETECTOR, generator
from reidlib.data.worlds.crosswalk.walk import state

SPEC = CrosswalkSpec(height=32, width=16, train_ids=30, test_ids=30, noise=0.0, seed=4)
CAMERAS = range(1, 7)


def sheet(frames=(2,), persons=range(2, 26, 2), split="test", **knobs):
    """Images (persons, cameras, frames, 32, 16, 3) and visible fractions (persons, cameras, frames)."""
    spec = replace(SPEC, **knobs)
    found = [[[render_image(spec, split, p, c, 0, f) for f in frames] for c in CAMERAS] for p in persons]
    return (np.array([[[image for image, _ in row] for row in rows] for rows in found], float),
            np.array([[[seen for _, seen in row] for row in rows] for rows in found]))


def rank1(**knobs):
    """Share of images whose nearest image of another camera shows the same person, by mean colours of two halves."""
    images, _ = sheet(frames=(1, 4), **knobs)                           # (P, C, F, H, W, 3)
    upper, lower = images[..., 5:15, 5:11, :].mean((3, 4)), images[..., 16:28, 5:11, :].mean((3, 4))
    features = np.concatenate([upper, lower], axis=-1)
    persons, places, _ = np.indices(features.shape[:3])
    features, persons, places = features.reshape(-1, 6), persons.ravel(), places.ravel()
    distance = ((features[:, None] - features) ** 2).sum(-1)
    distance[places[:, None] == places] = np.inf
    return (persons[distance.argmin(1)] == persons).mean()


@pytest.mark.parametrize(("person", "camera", "frame"), [(2, 1, 3), (4, 2, 5), (8, 3, 1), (12, 5, 6)])
def test_visible_fraction_is_that_of_a_brute_force_count(person, camera, frame):
    spec = replace(SPEC, occlusion=1.0)
    _, visible = render_image(spec, "test", person, camera, 0, frame)
    tracklet = compute_tracklet(spec, "test", person, camera, 0)
    parts, boxes, _ = scene._pose(tracklet, frame * spec.frame_interval)
    random = generator(spec, DETECTOR, "test", person, camera, 0, frame, False)
    left, top, width, height = scene._detect(spec, boxes[0], random, part=False)
    view = tracklet.camera.view
    columns, rows = np.meshgrid(np.arange(-20, 84), np.arange(-30, 158))                    # 64 x 128 samples
    u, v = left + (columns.ravel() + 0.5) * width / 64, top - (rows.ravel() + 0.5) * height / 128
    rays = view[3] + u[:, None] * view[1] + v[:, None] * view[2]

    def depth(chosen):
        best = np.full(len(rays), np.inf)
        for part in chosen[chosen[:, at.MATERIAL] != at.NOTHING]:
            reach = part[at.BOX + 1] - part[at.BOX], part[at.BOX + 3] - part[at.BOX + 2]
            near = np.abs(u - (part[at.BOX] + part[at.BOX + 1]) / 2) < reach[0]             # twice the box that it has
            near &= np.abs(v - (part[at.BOX + 2] + part[at.BOX + 3]) / 2) < reach[1]
            best[near] = np.minimum(best[near], spheres_hit(part, view[0], rays[near], 100))
        return best

    target = depth(parts[0])
    others = depth(np.concatenate([parts[1:].reshape(-1, at.PART_SIZE), tracklet.things]))
    inside = (columns.ravel() >= 0) & (columns.ravel() < 64) & (rows.ravel() >= 0) & (rows.ravel() < 128)
    alone = np.isfinite(target)
    assert not alone.reshape(188, 104)[[0, -1]].any()                  # the oracle's window holds the whole person
    assert visible == pytest.approx((alone & inside & (target < others)).sum() / alone.sum(), abs=0.03)


def test_people_walk_smoothly_and_plant_their_feet():
    times, step = np.arange(0.0, 10.0, 0.02), 0.02
    slips = []
    for person, camera in ((2, 1), (6, 4), (10, 6)):
        tracklet = compute_tracklet(SPEC, "test", person, camera, 0)
        states = np.array([state(tracklet.walks[0], time) for time in times])
        place = states[:, [at.X, at.Y]]
        velocity = np.diff(place, axis=0) / step
        assert np.abs(np.diff(velocity, axis=0)).max() / step < 4.0    # m / s^2
        speed = np.linalg.norm(velocity, axis=1)
        assert speed.min() > 0.5 and speed.max() < 2.4
        heading = np.column_stack([np.cos(states[:-1, at.HEADING]), np.sin(states[:-1, at.HEADING])])
        assert (heading * velocity).sum(1) == pytest.approx(speed, rel=0.02)
        strides = np.hypot(states[:-1, at.VX], states[:-1, at.VY]) / speed      # one share all the time
        assert strides == pytest.approx(np.full(len(strides), strides.mean()), rel=0.05)
        assert np.abs(np.diff(np.unwrap(states[:, at.HEADING]))).max() / step < 2.0             # rad / s
        for time in times[:100:10]:                                    # the lower foot stays where it is
            feet = [scene._pose(tracklet, t)[0][0, [13, 18]] for t in (time, time + step)]
            ankles = np.array([foot[:, at.END1:at.END1 + 3] for foot in feet])
            slips.append(np.linalg.norm(np.diff(ankles[..., :2], axis=0)[0], axis=1)[ankles[0, :, 2].argmin()] / step)
    assert np.median(slips) < 0.35                                     # m / s; they walk at 1.3


def test_nobody_walks_into_the_camera():
    nearest = min(state(compute_tracklet(SPEC, split, person, camera, again).walks[0], 10.0)[at.Y]
                  for split, person in (("test", 2), ("test", 4), ("train", 1), ("train", 3), ("other", 0))
                  for camera in CAMERAS for again in range(3))
    assert nearest > 3.0


def test_longer_tracklets_and_other_intervals_show_the_same_walk():
    longer = replace(SPEC, frames_per_tracklet=50, frame_interval=0.2)
    for person, frame in ((2, 1), (4, 7)):
        image, seen = render_image(SPEC, "test", person, 2, 0, frame)
        again, also = render_image(replace(SPEC, frames_per_tracklet=10), "test", person, 2, 0, frame)
        assert np.array_equal(image, again) and seen == also
        one, two = (compute_tracklet(spec, "test", person, 2, 0).walks[0] for spec in (SPEC, longer))
        assert np.array_equal(state(one, 1.0 * frame), state(two, 0.2 * 5 * frame))
    jitter = {"detector_jitter": 0.0, "frames_per_tracklet": 9}
    change = [np.abs(np.diff(sheet(range(4), (2, 4, 6), frame_interval=interval, **jitter)[0], axis=2)).mean()
              for interval in (0.04, 0.2, 1.0)]
    assert change[0] < 0.6 * change[1] and change[1] < change[2]


def test_people_look_the_same_before_all_cameras_and_cameras_differ():
    looks = [compute_tracklet(SPEC, "test", 2, camera, again).looks[0] for camera in CAMERAS for again in range(2)]
    assert all(np.array_equal(looks[0], look) for look in looks)
    images, _ = sheet(persons=range(2, 42, 2))
    brightness = images[:, :, 0].mean((0, 2, 3, 4))                     # (cameras,)
    warmth = (images[..., 0] - images[..., 2])[:, :, 0].mean((0, 2, 3))
    assert np.ptp(brightness) > 15 and np.ptp(warmth) > 15
    assert len({camera.focal for camera in cameras(SPEC)}) == 6
    turned = replace(SPEC, viewpoint_change=1.0)
    headings = [state(compute_tracklet(turned, "test", p, c, 0).walks[0], 3.0)[at.HEADING]
                for c in CAMERAS for p in range(2, 42, 2)]
    sides = np.median(np.sin(headings).reshape(6, 20), axis=1)          # -1: most are seen from the front, 1: the back
    assert sides.min() < -0.5 and sides.max() > 0.5


def test_clothes_follow_their_similarity():
    def spread(similarity):
        looks = np.array([scene.appearance(replace(SPEC, clothes_similarity=similarity), "test", p)
                          for p in range(2, 62, 2)])
        return looks[:, [*range(at.JERSEY, at.JERSEY + 3), *range(at.SHORTS, at.SHORTS + 3)]].std(axis=0).mean(), looks

    (none, apart), (half, _), (full, alike) = map(spread, (0.0, 0.5, 1.0))
    assert none > half > full == pytest.approx(0.0, abs=1e-9)
    assert len(set(apart[:, cw.PRINT])) > 4 and set(alike[:, cw.PRINT]) == {cw.PLAIN}
    assert np.array_equal(apart[:, cw.BAG], alike[:, cw.BAG]) and len(set(apart[:, cw.BAG])) == 4


def test_cameras_follow_colour_shift_and_viewpoint_change():
    same, apart = cameras(replace(SPEC, colour_shift=0.0)), cameras(replace(SPEC, colour_shift=1.0))
    assert len({tuple(camera.response) for camera in same}) == 1 and tuple(same[0].response) == (1, 1, 1, 1, 1, 0)
    assert np.std([camera.response for camera in apart], axis=0).min() > 0.03
    ahead, around = cameras(replace(SPEC, viewpoint_change=0.0)), cameras(replace(SPEC, viewpoint_change=1.0))
    assert {camera.lane for camera in ahead} == {-0.5 * np.pi}          # everybody walks towards the camera
    assert sorted(np.diff(sorted(camera.lane for camera in around)))[0] > 0.3


def test_more_occlusion_hides_more():
    means = [sheet(frames=(1, 3, 5), occlusion=occlusion)[1].mean() for occlusion in (0.0, 0.5, 1.0)]
    assert means[0] > means[1] + 0.03 and means[1] > means[2] + 0.03


def test_places_persist_or_not():
    def places(value):
        spec = replace(SPEC, background_persistence=value)
        return len({compute_tracklet(spec, "test", p, 1, 0).place.tobytes() for p in range(2, 42, 2)})

    assert places(1.0) == 1 and places(0.0) == 20 and 1 < places(0.5) < 20


def test_a_bad_detection_misses_most_of_the_person_and_a_false_one_all():
    good, bad = [], []
    for person in range(2, 26, 2):
        for camera in (1, 4):
            which = (replace(SPEC, occlusion=0.0), "test", person, camera, 0, 3)
            good.append(render_image(*which)[1])
            image, seen = render_image(*which, kind="part")
            bad.append(seen)
            empty, none = render_image(*which, kind="nobody")
            assert none == 0.0 and image.shape == empty.shape == (32, 16, 3)
            assert not np.array_equal(empty, render_image(*which)[0])
    assert np.mean(good) > 0.9 and np.max(bad) < 0.8 and np.mean(bad) < 0.5


def test_imaging_knobs_change_the_image_and_not_the_scene():
    # Who walks straight towards a camera is not blurred.
    plain = replace(SPEC, detector_jitter=0.0, blur=0.0, viewpoint_change=0.7)
    for knob, value in (("noise", 8.0), ("blur", 0.15), ("detector_jitter", 0.1)):
        changed = replace(plain, **{knob: value})
        for camera in CAMERAS:
            image, seen = render_image(plain, "test", 4, camera, 0, 2)
            other, also = render_image(changed, "test", 4, camera, 0, 2)
            assert knob == "blur" or not np.array_equal(image, other)
            assert knob == "detector_jitter" or seen == also
    sharp, blurred = (sheet(blur=blur, viewpoint_change=0.7, persons=(4,))[0] for blur in (0.0, 0.15))
    assert not np.array_equal(sharp, blurred)


@pytest.mark.parametrize(("knob", "easy", "hard"), [
    ("colour_shift", 0.0, 1.0), ("viewpoint_change", 0.0, 1.0), ("clothes_similarity", 0.0, 1.0),
    ("occlusion", 0.0, 1.0), ("detector_jitter", 0.0, 0.25)])
def test_knobs_move_difficulty(knob, easy, hard):
    mild = {"colour_shift": 0.1, "viewpoint_change": 0.2, "clothes_similarity": 0.0, "occlusion": 0.0,
            "detector_jitter": 0.0, "persons": range(2, 34, 2)}
    assert rank1(**mild | {knob: easy}) > rank1(**mild | {knob: hard}) + 0.05


@pytest.mark.parametrize(("request_", "message"), [
    (("test", 3, 1, 0, 0), r"person: test holds 2, 4, ..., 60, got 3"),
    (("train", 61, 1, 0, 0), r"person: train holds 1, 3, ..., 59, got 61"),
    (("other", -1, 1, 0, 0), r"person: wants a number from 0, got -1"),
    (("val", 2, 1, 0, 0), r"split: 'val' is none of train, test"),
    (("test", 2, 0, 0, 0), r"camera: wants 1 to 6, got 0"), (("test", 2, 1, 3, 0), r"tracklet: wants 0 to 2, got 3"),
    (("test", 2, 1, 0, 8), r"frame: wants 0 to 7, got 8")])
def test_bad_requests(request_, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        render_image(SPEC, *request_)
    with pytest.raises(ValueError, match="^kind: 'people' is none of person, part, nobody$"):
        render_image(SPEC, "test", 2, 1, 0, 0, kind="people")
