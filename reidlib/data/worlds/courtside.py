"""Shots of the Courtside world: who plays, how everybody moves, where the camera is; and the image of one person."""

import dataclasses
import functools

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds import people
from reidlib.data.worlds.body import pose, project
from reidlib.data.worlds.film import SAMPLES, develop, render
from reidlib.data.worlds.glyphs import distance_fields, word_codes
from reidlib.data.worlds.knobs import detected
from reidlib.data.worlds.motion import STEP, sample, trajectories, wander
from reidlib.data.worlds.plan import BACKDROP, DETECTOR, GAME, PERSON, SHOT, generator, place
from reidlib.data.worlds.props import basket_look, baskets
from reidlib.data.worlds.spec import SHOTS_PER_GAME, CourtsideSpec

EXTRAS = 2                                  # people on court who are never targets: one more player, one more referee
_GREY = 128.0                               # of a removed backdrop, in grey levels of the image
_POOL = 30                                  # shots whose arenas are lent to others: whether or not the split has them


@dataclasses.dataclass(frozen=True)
class Shot:
    """One shot, computed but not rendered. N people, T steps of motion.STEP seconds.

    looks (N + 1, LOOK_SIZE), the last row for the baskets, states (T, N, STATE_SIZE), cameras (T, 4, 3), gains (T, 3),
    light (LIGHT_SIZE,), arena (ARENA_SIZE,), words (8,), softness: lens blur, see film.develop.
    """

    split: str
    index: int
    looks: np.ndarray
    states: np.ndarray
    cameras: np.ndarray
    gains: np.ndarray
    light: np.ndarray
    arena: np.ndarray
    words: np.ndarray
    softness: float


@functools.lru_cache(maxsize=4)
def compute_shot(spec: CourtsideSpec, split: str, index: int) -> Shot:
    """Everything about one shot of a split, without rendering. Depends on seed, split, index and knobs only."""
    game_index, within = divmod(index, SHOTS_PER_GAME)
    game_random = generator(spec, split, GAME, game_index)
    game = people.game(game_random, spec)
    stripes = people.referee_kit(game_random)
    roles, teams = _line_up(spec.people_per_shot)
    sheet = within * (spec.people_per_shot // 2 + 2)
    looks, taken = [], [sheet, sheet]
    for slot, (role, team) in enumerate(zip(roles, teams)):
        random = generator(spec, split, PERSON, index, slot)
        if role:
            looks.append(people.look(random, kit=stripes, number=None))
        else:
            looks.append(people.look(random, kit=game["kits"][team], number=int(game["numbers"][team, taken[team]])))
            taken[team] += 1
    looks = np.stack([*looks, basket_look(game["arena"])])
    random = generator(spec, split, SHOT, index)
    duration = spec.frame_interval * (spec.longest_sequence(split) - 1) + 2 * STEP
    states, play = trajectories(random, spec, roles=roles, teams=teams, duration=duration)
    looks[random.choice(np.flatnonzero(roles == 0)), at.HOLDS_BALL] = 1.0
    times = np.arange(len(states)) * STEP
    cameras = _cameras(random, spec, play, times)
    exposure = random.uniform(0.95, 1.18) * np.exp(random.normal(0.0, 0.035, 3))
    flicker = 1.0 + 0.02 * wander(random, 1, times)[0]
    tilt = np.append(random.uniform(-0.5, 0.5), -random.uniform(0.2, 0.9))           # towards the camera's side
    direction = np.append(tilt, 1.1) / np.sqrt((tilt**2).sum() + 1.1**2)
    ambient = random.uniform(0.58, 0.72)
    light = np.concatenate([direction, [ambient, 1.22 - ambient]])
    return Shot(split, index, looks, states, cameras, flicker[:, None] * exposure, light, game["arena"], game["words"],
                random.uniform(0.02, 0.12))


def _line_up(targets):
    """Role (0 player, 1 referee) and team of every slot: two teams in turn, every tenth target a referee."""
    slots = np.arange(targets + EXTRAS)
    roles = ((slots % 10 == 9) & (slots < targets)) | (slots == targets + 1)
    return roles.astype(int), slots % 2


def _cameras(random, spec, play, times):
    """Position, right, up and forward of the camera over time: (T, 4, 3)."""
    loose = 1.0 - spec.background_persistence
    travel, height, pan_x, pan_y = wander(random, 4, times, tau=(1.5, 4.0))
    start = np.array([14.0 + random.uniform(-4, 4), -random.uniform(7, 13), random.uniform(2.0, 5.4)])
    position = np.tile(start, (len(times), 1))
    position[:, 0] += 5.0 * loose * (travel - travel[0])
    position[:, 2] += 0.3 * loose * (height - height[0])
    look_at = play[0] + np.stack([pan_x, 0.3 * pan_y], axis=1) * 2.0 * loose + loose * (play - play[0])
    forward = np.column_stack([look_at, np.full(len(times), 1.0)]) - position
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([position, right, np.cross(right, forward), forward], axis=1)


@functools.lru_cache(maxsize=64)
def compute_frame(spec: CourtsideSpec, split: str, index: int, frame: int):
    """Posed scene: parts (N, PARTS_PER_PERSON, PART_SIZE), boxes (N, 4), baskets (M, PART_SIZE), camera, shadows."""
    shot = compute_shot(spec, split, index)
    time = frame * spec.frame_interval
    camera = sample(shot.cameras, time)
    states = sample(shot.states, time)
    count = states.shape[0]
    parts, boxes = np.zeros((count * at.PARTS_PER_PERSON, at.PART_SIZE)), np.zeros((count, 4))
    pose(shot.looks[:count], states, camera, parts, boxes)
    props = baskets(count).copy()
    project(props, camera)
    parts = parts.reshape(count, at.PARTS_PER_PERSON, at.PART_SIZE)
    feet = parts[:, [14, 19]]                                                        # (N, 2, PART_SIZE)
    shadows = np.zeros((count, 3, 4))
    shadows[:, 0, :2], shadows[:, 0, 2:] = states[:, [at.X, at.Y]], (0.42, 0.26)
    shadows[:, 1:, :2] = (feet[:, :, at.END0:at.END0 + 2] + feet[:, :, at.END1:at.END1 + 2]) / 2
    lift = np.minimum(feet[:, :, at.END0 + 2], feet[:, :, at.END1 + 2])
    shadows[:, 1:, 2], shadows[:, 1:, 3] = 0.15, 0.62 * np.exp(-np.maximum(lift - 0.045, 0) / 0.1)
    return parts, boxes, props, camera, shadows.reshape(-1, 4)


def _detect(spec, box, random):
    """Detector's window around the true box: left, top, width, height on the image plane."""
    u, v, height, width = detected(spec, box, random, slimmest=0.44)
    return u - width / 2, v + height / 2, width, height


def _streak(spec, shot, time, slot, pitch):
    """Horizontal blur in samples: the target's image velocity over the shutter time."""
    before, after = (max(time - STEP, 0.0), time + STEP)
    u = []
    for instant in (before, after):
        camera, state = sample(shot.cameras, instant), sample(shot.states, instant)[slot]
        offset = np.array([state[at.X], state[at.Y], 1.0]) - camera[0]
        u.append(offset @ camera[1] / (offset @ camera[3]))
    return abs(u[1] - u[0]) / (after - before) * spec.blur / pitch


@functools.lru_cache(maxsize=1024)
def _empty_arena(spec, split, index):
    """What a shot shows without people: cameras (longest sequence, 4, 3) of all frames, light, arena, words."""
    shot = compute_shot(spec, split, index)
    cameras = [sample(shot.cameras, frame * spec.frame_interval) for frame in range(spec.longest_sequence(split))]
    return np.stack(cameras), shot.light, shot.arena, shot.words


def _backdrop(spec, shot, slot, frame, view, size, gain):
    """What takes the place of the background of one image: samples (3,) of one grey or (rows, columns, 3)."""
    if spec.backdrop == "removed":
        return _GREY / gain                 # the exposure, which tells shots apart, shall not show
    random = generator(spec, shot.split, BACKDROP, shot.index, slot, frame)
    other = int(random.integers(_POOL - 1))
    cameras, light, arena, words = _empty_arena(spec, shot.split, other + (other >= shot.index))
    camera = cameras[random.integers(len(cameras))]
    return render(np.empty((0, at.PART_SIZE)), 0, shot.looks, camera, view, size, light, arena, words, word_codes(),
                  distance_fields(), np.empty((0, 4)))[0]


def render_image(spec: CourtsideSpec, split: str, person: int, frame: int) -> tuple[np.ndarray, float]:
    """One image of the world: (height, width, 3) uint8, exactly as written before JPEG, and the visible fraction.

    split: "train", "val" or "test"; person: the true person (label of the clean world); frame: 0 .. frames - 1, also
    frames that the written world leaves out. The visible fraction in [0, 1] is the target's visible share of the
    samples that it would cover alone in a window without edges.
    Raises ValueError when there is no such person or frame.
    """
    index, slot = place(spec, split, person)
    if not 0 <= frame < spec.longest_sequence(split):
        raise ValueError(f"frame: wants 0 to {spec.longest_sequence(split) - 1}, got {frame}")
    shot = compute_shot(spec, split, index)
    parts, boxes, props, camera, shadows = compute_frame(spec, split, index, frame)
    random = generator(spec, split, DETECTOR, index, slot, frame)
    left, top, width, height = _detect(spec, boxes[slot], random)
    gain = sample(shot.gains, frame * spec.frame_interval) * (1.0 + random.normal(0.0, 0.01))
    seed = int(random.integers(0, 2**62))
    view = np.array([left, top, width / (SAMPLES * spec.width), height / (SAMPLES * spec.height)])
    near = ((boxes[:, 0] < left + width) & (boxes[:, 1] > left) & (boxes[:, 2] < top) & (boxes[:, 3] > top - height))
    near[slot] = False
    chosen = np.concatenate([parts[slot], parts[near].reshape(-1, at.PART_SIZE), props])
    size = SAMPLES * spec.height, SAMPLES * spec.width
    samples, mask, visible, alone = render(chosen, at.PARTS_PER_PERSON, shot.looks, camera, view, size, shot.light,
                                           shot.arena, shot.words, word_codes(), distance_fields(), shadows)
    if spec.backdrop != "kept":
        samples = np.where(mask[..., None], samples, _backdrop(spec, shot, slot, frame, view, size, gain))
    streak = _streak(spec, shot, frame * spec.frame_interval, slot, view[at.DU])
    image = develop(samples, (spec.height, spec.width), streak, shot.softness, gain, spec.noise, seed)
    return image, visible / max(alone, 1)


def render_frame(spec: CourtsideSpec, split: str, shot: int, frame: int, *, height: int = 540,
                 width: int = 960) -> np.ndarray:
    """Wide broadcast view of a shot at a frame: (height, width, 3) uint8. The same scene that the crops are cut from.

    Raises ValueError when split has no such shot or frame.
    """
    shots = spec.shots(split)
    if not 0 <= shot < shots:
        raise ValueError(f"shot: {split} has shots 0 to {shots - 1}, got {shot}")
    if not 0 <= frame < spec.longest_sequence(split):
        raise ValueError(f"frame: wants 0 to {spec.longest_sequence(split) - 1}, got {frame}")
    scene = compute_shot(spec, split, shot)
    parts, boxes, props, camera, shadows = compute_frame(spec, split, shot, frame)
    u0, u1 = min(boxes[:, 0].min(), -0.35), max(boxes[:, 1].max(), 0.35)
    span = 1.06 * (u1 - u0)
    pitch = span / (SAMPLES * width)
    top = (boxes[:, 2].min() + boxes[:, 3].max()) / 2 + 0.5 * pitch * SAMPLES * height
    view = np.array([(u0 + u1 - span) / 2, top, pitch, pitch])
    everything = np.concatenate([parts.reshape(-1, at.PART_SIZE), props])
    samples = render(everything, 0, scene.looks, camera, view, (SAMPLES * height, SAMPLES * width), scene.light,
                     scene.arena, scene.words, word_codes(), distance_fields(), shadows)[0]
    gain = sample(scene.gains, frame * spec.frame_interval)
    return develop(samples, (height, width), 1.0, 0.03, gain, spec.noise / 2, frame)
