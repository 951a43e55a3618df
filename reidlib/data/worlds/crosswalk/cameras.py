"""The cameras: where they stand, from which side they see people, and how they render light and colour."""

import dataclasses
import functools

import numpy as np

from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.crosswalk.draws import CAMERAS, generator, strata
from reidlib.data.worlds.crosswalk.spec import CrosswalkSpec


@dataclasses.dataclass(frozen=True)
class Camera:
    """One camera.

    view (4, 3): position, right, up, forward; it looks along +y of the ground. focus (2,): where people pass, m;
    lane: direction in rad in which most of them walk there; focal: of the image plane's unit, in heights of the world's
    images; response (RESPONSE_SIZE,), light (LIGHT_SIZE,), softness: see film.develop.
    """

    view: np.ndarray
    focus: np.ndarray
    lane: float
    focal: float
    response: np.ndarray
    light: np.ndarray
    softness: float


@functools.lru_cache(maxsize=8)
def cameras(spec: CrosswalkSpec) -> tuple[Camera, ...]:
    """All cameras of a world, the same for every split; colour_shift and viewpoint_change scale their differences."""
    random, count = generator(spec, CAMERAS), spec.cameras
    side, tilt, far, fine = (strata(random, count) for _ in range(4))
    warm, tint, bright, curve, vivid, haze, sun = (strata(random, count) for _ in range(7))
    azimuth, softness = random.uniform(0, 2 * np.pi, count), random.uniform(0.02, 0.12, count)
    shift, change = spec.colour_shift, spec.viewpoint_change
    found = []
    for k in range(count):
        distance = 22.0 + 4.0 * far[k]
        elevation = np.radians(13.0 + 8.0 * change * tilt[k])
        position = np.array([0.0, 0.0, 0.9 + distance * np.tan(elevation)])
        forward = np.array([0.0, distance, 0.9]) - position
        forward /= np.linalg.norm(forward)
        right = np.array([1.0, 0.0, 0.0])
        response = np.zeros(cw.RESPONSE_SIZE)
        gain = 0.30 * warm[k] * np.array([1.0, 0.1, -1.0]) + 0.10 * tint[k] * np.array([-0.5, 1.0, -0.5])
        response[cw.GAIN:cw.GAIN + 3] = np.exp(shift * (gain + 0.30 * bright[k]))
        response[cw.GAMMA] = np.exp(0.45 * shift * curve[k])
        response[cw.SATURATION] = 1.0 + shift * (0.62 * vivid[k] - 0.14)
        response[cw.VEIL] = shift * 0.13 * (haze[k] + 1.0)
        height = 0.95 + 0.15 * sun[k]
        direction = np.array([np.cos(azimuth[k]), np.sin(azimuth[k]), height])
        direction /= np.linalg.norm(direction)
        ambient = 0.70 - 0.26 * shift * sun[k]
        light = np.array([*direction, ambient, 1.40 - ambient])
        found.append(Camera(np.stack([position, right, np.cross(right, forward), forward]), np.array([0.0, distance]),
                            -0.5 * np.pi + np.pi * change * side[k], (0.8 + 0.4 * fine[k]) * distance / 1.8, response,
                            light, softness[k]))
    return tuple(found)
