"""One tracklet: who walks past which camera, and the image of one of its frames."""

import dataclasses
import functools

import numpy as np
from PIL import Image

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.body import project
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.crosswalk.cameras import Camera, cameras
from reidlib.data.worlds.crosswalk.clothing import dress
from reidlib.data.worlds.crosswalk.draws import DETECTOR, PASSER, PERSON, WALK, generator
from reidlib.data.worlds.crosswalk.people import look
from reidlib.data.worlds.crosswalk.photo import photograph
from reidlib.data.worlds.crosswalk.places import place
from reidlib.data.worlds.crosswalk.plan import check_request
from reidlib.data.worlds.crosswalk.spec import CrosswalkSpec
from reidlib.data.worlds.crosswalk.walk import Walk, pace, passers, state, walk
from reidlib.data.worlds.film import SAMPLES, develop
from reidlib.data.worlds.knobs import detected

_PASSERS = 4                                # people who may pass in front of one tracklet's person
_INSTANT = 1 / 120                          # s, half the time over which image velocities are measured


@dataclasses.dataclass(frozen=True)
class Tracklet:
    """One person before one camera once, computed but not rendered. N people, the tracklet's own first.

    looks (N + 1, LOOK_SIZE), the last row for the things of the place, walks: N of them, place (PLACE_SIZE,), things
    (M, PART_SIZE), gain (3,): exposure and light of the hour.
    """

    camera: Camera
    looks: np.ndarray
    walks: tuple[Walk, ...]
    place: np.ndarray
    things: np.ndarray
    gain: np.ndarray


@functools.lru_cache(maxsize=2048)
def appearance(spec: CrosswalkSpec, split: str, person: int) -> np.ndarray:
    """The look (LOOK_SIZE,) of a person of a split, the same before every camera."""
    return look(generator(spec, PERSON, split, person), spec)


@functools.lru_cache(maxsize=64)
def compute_tracklet(spec: CrosswalkSpec, split: str, person: int, camera: int, tracklet: int) -> Tracklet:
    """Everything about one tracklet, without rendering; camera is 1..cameras. See render_image."""
    here = cameras(spec)[camera - 1]
    random = generator(spec, WALK, split, person, camera, tracklet)
    change = spec.viewpoint_change
    direction = here.lane + random.normal(0.0, 0.05 + 0.10 * change)
    if random.random() < 0.3 * change:                                  # some walk the other way
        direction += np.pi
    ahead = np.array([np.cos(direction), np.sin(direction)])
    lateral = np.clip(random.normal(0.0, 0.4), -0.8, 0.8)
    velocity = pace(random) * ahead
    start = here.focus + lateral * np.array([ahead[1], -ahead[0]]) - velocity * random.uniform(2.0, 6.0)
    target = walk(random, start, velocity)
    elsewhere = random.random() >= spec.background_persistence
    gain = np.exp(random.normal(0.0, 0.05) + random.normal(0.0, 0.015, 3))
    which = generator(spec, WALK, split, person, camera, tracklet, 0).integers(0, 2**31, 2) if elsewhere else ()
    row, things, colours = place(spec, camera - 1, tuple(int(i) for i in which))
    random = generator(spec, PASSER, split, person, camera, tracklet)
    others = passers(random, target, here.view[0, :2], spec.occlusion, count=_PASSERS,
                     room=min(row[cw.WALL] - 0.8, 5.0))
    looks = [appearance(spec, split, person), *(look(random, spec) for _ in others), colours]
    things = things.copy()
    things[:, at.PERSON] = len(others) + 1
    project(things, here.view)
    return Tracklet(here, np.stack(looks), (target, *others), row, things, gain)


def _pose(scene, time):
    """Parts (N, PARTS_PER_PERSON, PART_SIZE), boxes (N, 4) and shadows (N, 9, 4) at a time in s."""
    states = np.stack([state(one, time) for one in scene.walks])
    parts = np.zeros((len(states) * cw.PARTS_PER_PERSON, at.PART_SIZE))
    boxes = np.zeros((len(states), 4))
    dress(scene.looks, states, scene.camera.view, parts, boxes)
    parts = parts.reshape(len(states), cw.PARTS_PER_PERSON, at.PART_SIZE)
    light = scene.camera.light
    shadows = np.zeros((len(states), 9, 4))
    shadows[:, 0, :2], shadows[:, 0, 2:] = states[:, [at.X, at.Y]], (0.42, 0.22)
    feet = parts[:, [14, 19]]
    shadows[:, 1:3, :2] = (feet[:, :, at.END0:at.END0 + 2] + feet[:, :, at.END1:at.END1 + 2]) / 2
    shadows[:, 1:3, 2:] = (0.15, 0.55)
    heights = np.linspace(0.25, 1.65, 6)                                # m: what of a body casts these six spots
    cast = -light[:2] / light[2] * heights[:, None]
    shadows[:, 3:, :2] = states[:, None, [at.X, at.Y]] + cast
    shadows[:, 3:, 2] = (0.17, 0.2, 0.22, 0.24, 0.24, 0.16)
    shadows[:, 3:, 3] = 0.75 * light[at.DIFFUSE] / (light[at.AMBIENT] + light[at.DIFFUSE])
    return parts, boxes, shadows


def _detect(spec, box, random, *, part):
    """Detector's window around the true box: left, top, width, height on the image plane. part: a bad detection."""
    u, v, height, width = detected(spec, box, random, slimmest=0.40)
    if part:
        kind, side, amount = random.integers(3), random.choice([-1.0, 1.0]), random.uniform()
        if kind == 0:                                                   # beside the person
            u += side * (0.55 + 0.3 * amount) * width
        elif kind == 1:                                                 # above or below
            v += side * (0.45 + 0.25 * amount) * height
        else:                                                           # around a part of the person
            v += side * 0.25 * height
            height, width = (0.38 + 0.15 * amount) * height, (0.5 + 0.15 * amount) * width
    return u - width / 2, v + height / 2, width, height


def _streak(scene, time):
    """The target's horizontal velocity on the image plane, per second."""
    u = []
    for instant in (time - _INSTANT, time + _INSTANT):
        now = state(scene.walks[0], instant)
        offset = np.array([now[at.X], now[at.Y], 1.0]) - scene.camera.view[0]
        u.append(offset @ scene.camera.view[1] / (offset @ scene.camera.view[3]))
    return abs(u[1] - u[0]) / (2 * _INSTANT)


def render_image(spec: CrosswalkSpec, split: str, person: int, camera: int, tracklet: int, frame: int, *,
                 kind: str = "person") -> tuple[np.ndarray, float]:
    """One image of the world: (height, width, 3) uint8, as it is before JPEG or PNG, and the visible fraction.

    split: "train", "test" or "other" (those behind the distractors, numbered from 0); person: the true person (label
    of the clean world); camera: 1..cameras; tracklet: 0..most_tracklets - 1; frame: 0..frames_per_tracklet - 1, at
    frame times frame_interval seconds. Any combination can be rendered, whether the plan has it or not.
    kind: "person": a detection of the person; "part": a bad one, that misses most of it; "nobody": a false one, where
    the person would be and is not.
    The visible fraction in [0, 1] is the person's visible share of the samples that it would cover alone in a window
    without edges; 0 of nobody.
    Raises ValueError when there is no such person, camera, tracklet, frame or kind.
    """
    check_request(spec, split, person, camera, tracklet, frame, kind)
    scene = compute_tracklet(spec, split, person, camera, tracklet)
    time = frame * spec.frame_interval
    parts, boxes, shadows = _pose(scene, time)
    random = generator(spec, DETECTOR, split, person, camera, tracklet, frame, kind == "part")
    left, top, width, height = _detect(spec, boxes[0], random, part=kind == "part")
    gain = scene.gain * (1.0 + random.normal(0.0, 0.01))
    seed = int(random.integers(0, 2**62))
    # The sensor's pixels: fewer for those who are far away. The image is enlarged from them.
    rows = int(np.clip(round(scene.camera.focal * spec.height * height), spec.height // 4, spec.height))
    columns = max(round(rows * spec.width / spec.height), 4)
    size = SAMPLES * rows, SAMPLES * columns
    view = np.array([left, top, width / size[1], height / size[0]])
    gone, counted = (1, 0) if kind == "nobody" else (0, cw.PARTS_PER_PERSON)
    chosen = np.concatenate([parts[gone:].reshape(-1, at.PART_SIZE), scene.things])
    camera = scene.camera
    samples, visible, alone = photograph(chosen, counted, scene.looks, camera.view, view, size, camera.light,
                                         scene.place, camera.response, shadows[gone:].reshape(-1, 4))
    streak = _streak(scene, time) * spec.blur / view[at.DU]
    image = develop(samples, (rows, columns), streak, scene.camera.softness, gain, spec.noise, seed)
    if rows != spec.height:
        image = np.asarray(Image.fromarray(image).resize((spec.width, spec.height), Image.Resampling.BICUBIC))
    return image, visible / max(alone, 1)
