"""Rays, people and paths against slow oracles: a round cone is the union of the spheres between its two ends."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.data.worlds import CourtsideSpec, compute_shot, render_image
from reidlib.data.worlds import layout as at
from reidlib.data.worlds.court import line_distance
from reidlib.data.worlds.courtside import _detect, compute_frame
from reidlib.data.worlds.glyphs import distance_fields
from reidlib.data.worlds.motion import wander
from reidlib.data.worlds.plan import DETECTOR, generator
from reidlib.data.worlds.solids import put
from reidlib.data.worlds.surface import hit, local, surface

SPEC = CourtsideSpec(height=32, width=16, train_ids=20, val_ids=2, test_ids=2, train_images=0, val_gallery=0,
                     test_gallery=0, frames_per_sequence=6, occlusion=0.9)


def spheres_hit(part, origin, directions, count=200):
    """Depth (n,) at which rays enter the union of count spheres along a part's axis; inf where they miss.

    origin (3,), directions (n, 3). The open hem of shorts: a ray that enters beyond the end of the cone misses.
    """
    to_local = part[at.INVERSE:at.INVERSE + 9].reshape(3, 3)
    o = to_local @ (origin - part[at.ORIGIN:at.ORIGIN + 3])
    d = directions @ to_local.T                                                             # (n, 3)
    share = np.linspace(0, 1, count)
    radius = part[at.R0] + share * (part[at.R1] - part[at.R0])
    offset = o - np.stack([0 * share, 0 * share, share * part[at.LENGTH]], axis=1)          # (count, 3)
    a = (d**2).sum(1)[:, None]
    b = d @ offset.T                                                                        # (n, count)
    disc = b**2 - a * ((offset**2).sum(1) - radius**2)
    t = np.where(disc > 0, (-b - np.sqrt(np.maximum(disc, 0))) / a, np.inf)
    t = np.where(t > 0, t, np.inf).min(axis=1)
    if part[at.MATERIAL] == at.SHORTS_LEG:
        end = part[at.LENGTH] + part[at.R1] * (part[at.R0] - part[at.R1]) / part[at.LENGTH]
        z = np.where(np.isfinite(t), o[2] + t * d[:, 2], 0)
        t = np.where(z > end, np.inf, t)
    return t


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_hit_is_the_union_of_spheres(seed):
    random = np.random.default_rng(seed)
    part, camera = np.zeros(at.PART_SIZE), np.zeros((4, 3))
    start, end = random.normal(0, 0.3, (2, 3)) + [0, 8, 0]
    length = np.linalg.norm(end - start)
    radius = random.uniform(0.05, 0.3)
    scale = tuple(random.uniform(0.6, 1.4, 3))
    other = np.clip(radius + random.uniform(-0.8, 0.8) * length / scale[2], 0.02, 0.5)
    put(part, tuple(start), tuple(end), tuple(random.normal(size=3)), scale, radius, other, float(at.THIGH), 0.0, 0.0)
    directions = np.stack([random.uniform(-0.15, 0.15, 300), np.ones(300), random.uniform(-0.15, 0.15, 300)], axis=1)
    found = np.array([hit(part, camera, tuple(d)) for d in directions])
    wanted = spheres_hit(part, camera[0], directions, 4000)
    same = np.isfinite(wanted) == (found < 1e29)
    assert same.mean() > 0.99                                          # grazing rays may pass between two spheres
    both = np.isfinite(wanted) & (found < 1e29)
    assert np.quantile(np.abs(found - wanted)[both], 0.99) < 2e-3 if both.any() else True


@pytest.mark.parametrize(("person", "frame"), [(0, 0), (3, 2), (6, 4), (8, 5), (11, 1), (15, 3)])
def test_visible_fraction_is_that_of_the_slow_renderer(person, frame):
    image, visible = render_image(SPEC, "train", person, frame)
    index, slot = divmod(person, SPEC.people_per_shot)
    parts, boxes, props, camera, _ = compute_frame(SPEC, "train", index, frame)
    window = _detect(SPEC, boxes[slot], generator(SPEC, "train", DETECTOR, index, slot, frame))
    left, top, width, height = window
    du, dv = width / 32, height / 64                                   # two samples a pixel
    columns, rows = np.meshgrid(np.arange(-40, 72), np.arange(-40, 104))
    u, v = left + (columns.ravel() + 0.5) * du, top - (rows.ravel() + 0.5) * dv
    rays = camera[3] + u[:, None] * camera[1] + v[:, None] * camera[2]

    def depth(chosen):
        best = np.full(len(rays), np.inf)
        for part in chosen:
            if part[at.MATERIAL] != at.NOTHING:
                reach = 1.5 * (part[at.BOX + 1] - part[at.BOX]) + 1e-9          # only rays anywhere near the part
                near = np.abs(u - (part[at.BOX] + part[at.BOX + 1]) / 2) < reach
                best[near] = np.minimum(best[near], spheres_hit(part, camera[0], rays[near]))
        return best

    body = parts[slot][parts[slot][:, at.MATERIAL] != at.SPHERE]
    target, others = depth(body), depth(np.concatenate([*parts[:slot], *parts[slot + 1:], props,
                                                        parts[slot][parts[slot][:, at.MATERIAL] == at.SPHERE]]))
    inside = (columns.ravel() >= 0) & (columns.ravel() < 32) & (rows.ravel() >= 0) & (rows.ravel() < 64)
    alone = np.isfinite(target)
    assert not alone.reshape(144, 112)[[0, -1]].any()                  # the oracle's window holds the whole target
    assert visible == pytest.approx((alone & inside & (target < others)).sum() / alone.sum(), abs=0.02)
    assert 0 <= visible <= 1 and image.shape == (32, 16, 3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_wander_is_smooth_centred_and_of_unit_variance(seed):
    times = np.arange(0, 2000, 0.2)
    paths = wander(np.random.default_rng(seed), 32, times)
    assert np.abs(paths.mean(axis=1)).max() < 0.02
    assert paths.var(axis=1).mean() == pytest.approx(1.0, abs=0.1)     # two like frequencies may beat for longer
    # Six sinusoids of at most 1 rad/s and unit variance in all: no faster than the sum of their amplitudes.
    assert np.abs(np.diff(paths, axis=1)).max() / 0.2 <= np.sqrt(12) + 1e-9


def test_everybody_always_has_a_foot_on_the_floor():
    heights, lifts = [], []
    for frame in range(SPEC.frames_per_sequence):
        parts, *_ = compute_frame(SPEC, "train", 0, frame)
        feet = parts[:, [14, 19]]
        assert (feet[..., at.MATERIAL] == at.FOOT).all()
        heel, toe = feet[..., at.END0 + 2] - feet[..., at.REACH0], feet[..., at.END1 + 2] - feet[..., at.REACH1]
        bottom = np.minimum(heel, toe)
        heights.append(bottom.min(axis=1))                             # the lower foot of everybody
        lifts.append(bottom)
    assert np.abs(np.array(heights)).max() < 0.03                      # m
    assert np.array(lifts).max() > 0.05                               # and swinging feet are lifted


def test_longer_sequences_continue_shorter_ones():
    longer = dataclasses.replace(SPEC, frames_per_sequence=12)
    short, long = compute_shot(SPEC, "train", 1), compute_shot(longer, "train", 1)
    assert np.array_equal(short.states[:-1], long.states[:len(short.states) - 1])
    assert np.array_equal(short.looks, long.looks)
    assert np.array_equal(short.cameras[:-1], long.cameras[:len(short.cameras) - 1])


def test_numbers_are_unique_within_a_team_of_a_game():
    for team in (0, 1):
        numbers = []
        for index in range(3):                                         # one game
            looks = compute_shot(CourtsideSpec(), "train", index).looks[:-1]
            players = looks[(np.arange(len(looks)) % 2 == team) & (looks[:, at.REFEREE] == 0)]
            numbers += [tuple(row) for row in players[:, [at.DIGIT_ONE, at.DIGIT_TWO]]]
        assert len(numbers) == len(set(numbers)) >= 12


@pytest.mark.parametrize(("x", "y", "distance"), [
    (14.0, 3.0, 0.0), (5.0, 0.0, 0.0), (28.0, 9.0, 0.0),               # centre line, sideline, end line
    (14.0 + 1.8, 7.5, 0.0), (5.8, 6.0, 0.0), (22.2, 9.0, 0.0),         # centre circle, both free-throw lines
    (3.0, 7.5 + 2.45, 0.0), (1.575 + 1.25, 7.5, 0.0),                  # side of the key, no-charge semicircle
    (1.575 + 6.75, 7.5, 0.0), (2.0, 0.9, 0.0), (28 - 1.575 - 6.75, 7.5, 0.0),                  # three-point lines
    (10.0, 2.0, 2.0), (12.0, 7.5, 0.2), (7.0, 0.5, 0.5), (-1.0, 5.0, 1.0)])
def test_lines_are_where_fiba_wants_them(x, y, distance):
    assert line_distance(x, y)[0] == pytest.approx(distance, abs=2e-3)


def test_a_number_is_seen_from_front_and_back_and_not_from_the_side():
    look, part = compute_shot(CourtsideSpec(), "train", 0).looks[0].copy(), np.zeros(at.PART_SIZE)
    look[at.DIGIT_ONE], look[at.DIGIT_TWO] = 8, 8
    for column, colour in ((at.JERSEY, 0.0), (at.TRIM, 0.0), (at.OUTLINE, 0.0), (at.SKIN, 0.0), (at.NUMBER, 255.0)):
        look[column:column + 3] = colour
    put(part, (0.0, 0.0, 1.2), (0.0, 0.0, 1.56), (1.0, 0.0, 0.0), (0.2, 0.12, 0.085), 0.85, 1.0, float(at.CHEST), 0.0,
        0.0)

    def seen_from(x, y):
        camera = np.zeros((4, 3))
        camera[0] = x, y, 1.4
        across = np.array([-y, x]) / np.hypot(x, y)
        bright = 0
        for u in np.linspace(-0.25, 0.25, 60):
            for z in np.linspace(1.2, 1.6, 40):
                d = np.array([across[0] * u - x, across[1] * u - y, z - 1.4])
                t = hit(part, camera, tuple(d))
                if t < 1e29:
                    q = local(part, tuple(camera[0] + t * d))
                    bright += surface(part, look, distance_fields(), q, 0.005)[0] > 128
        return bright

    front, back, left, right = seen_from(0, 10), seen_from(0, -10), seen_from(-10, 0), seen_from(10, 0)
    assert front > 200 and back > front                                # numbers are larger on the back
    assert max(left, right) < 0.25 * (front + back)                    # both, foreshortened to slivers
