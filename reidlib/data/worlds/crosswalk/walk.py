"""How pedestrians walk: along a line at their own pace, swaying a little, as closed functions of time.

No grid and no history: a position depends on its own time alone, so longer tracklets continue shorter ones.
"""

import dataclasses

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.motion import sigmoid, waves

_SIGNALS = 6                                # along, aside, head, left arm, right arm, shoulders
_DAWDLE, _SWAY = 0.16, 0.10                 # m, how far people get ahead and aside of an even walk
_GAIT = 0.72                                # they stride as players at this share of their speed: body.py bends knees


@dataclasses.dataclass(frozen=True)
class Walk:
    """One person's walk.

    start (2,): position in m at time 0 but for dawdling and swaying; velocity (2,) in m/s; habit (6,): stride phase at
    time 0, then standard normal numbers; signals: what motion.waves gives for 6 signals.
    """

    start: np.ndarray
    velocity: np.ndarray
    habit: np.ndarray
    signals: tuple[np.ndarray, np.ndarray, np.ndarray]


def walk(random, start, velocity):
    """A Walk through start (2,) at time 0 with the mean velocity (2,), with habits of its own."""
    habit = np.concatenate([random.uniform(0, 1, 1), random.normal(0.0, 1.0, 5)])
    return Walk(np.asarray(start, float), np.asarray(velocity, float), habit, waves(random, _SIGNALS, tau=(0.9, 3.0)))


def pace(random):
    """A person's usual speed in m/s."""
    return np.clip(random.normal(1.3, 0.16), 0.9, 1.75)


def state(walk: Walk, time: float) -> np.ndarray:
    """Where and how the walker is at a time in s, any: (STATE_SIZE,) float64."""
    frequency, phase, weight = walk.signals
    angle = frequency * time + phase
    signal = (weight * np.sin(angle)).sum(axis=(1, 2))
    rate = (weight * frequency * np.cos(angle)).sum(axis=(1, 2))
    usual = np.sqrt((walk.velocity**2).sum())
    ahead = walk.velocity / usual
    aside = np.array([ahead[1], -ahead[0]])
    place = walk.start + walk.velocity * time + _DAWDLE * signal[0] * ahead + _SWAY * signal[1] * aside
    velocity = walk.velocity + _DAWDLE * rate[0] * ahead + _SWAY * rate[1] * aside
    stride = 0.75 + 0.5 * _GAIT * usual                                 # m per cycle of two steps, as body.py has it
    phone = float(walk.habit[5] > 1.3)
    state = np.zeros(at.STATE_SIZE)
    state[at.X], state[at.Y] = place
    state[at.VX], state[at.VY] = _GAIT * velocity
    state[at.HEADING] = np.arctan2(velocity[1], velocity[0])
    state[at.PHASE] = walk.habit[0] + (usual * time + _DAWDLE * signal[0]) / stride
    state[at.CROUCH] = -0.04                                           # upright, knees all but straight
    state[at.LEAN] = 0.045 + 0.02 * walk.habit[1] + 0.01 * signal[5]
    state[at.TWIST] = 0.10
    state[at.HEAD_YAW] = 0.22 * signal[2] + 0.1 * walk.habit[2]
    state[at.STANCE] = np.clip(0.085 + 0.012 * walk.habit[3], 0.06, 0.12)
    state[at.ABDUCT_LEFT] = state[at.ABDUCT_RIGHT] = 0.10 + 0.03 * abs(walk.habit[4])
    state[at.ELBOW_LEFT] = 0.25 + 0.08 * walk.habit[4] + 0.5 * sigmoid(3.0 * (signal[3] - 1.4))
    state[at.ELBOW_RIGHT] = 0.25 + 0.08 * walk.habit[4] + 1.5 * phone + 0.5 * sigmoid(3.0 * (signal[4] - 1.4))
    state[at.RAISE_RIGHT] = 0.45 * phone
    return state


def passers(random, target: Walk, camera, occlusion, *, count, room):
    """Walks of other people around a target: a companion, people who pass in front, one behind.

    random: numpy Generator; camera (2,): where the camera stands; occlusion: 0..1, the share of the count people in
    front, and of companions, who are there; room: m to the side where the one behind may walk. Who is there at a lower
    occlusion is there at a higher one too.
    """
    speed = np.sqrt((target.velocity**2).sum())
    around = []
    beside = random.uniform(0.55, 0.72) * random.choice([-1.0, 1.0])
    here, numbers = random.random(count + 2), random.uniform(-1.0, 1.0, (count, 3))
    together = walk(random, target.start, target.velocity)
    towards = camera - target.start
    towards /= np.sqrt((towards**2).sum())
    if here[0] < 0.7 * occlusion:                                       # walks along, half a step nearer to the camera
        aside = np.array([target.velocity[1], -target.velocity[0]]) / speed
        offset = beside * aside
        offset *= 1.0 if offset @ towards > 0 or abs(aside @ towards) < 0.4 else -1.0
        along = target.velocity / speed * np.sign(target.velocity @ towards)
        around.append(dataclasses.replace(together, start=target.start + offset + 0.35 * along))
    for i in range(count):
        person = walk(random, target.start, target.velocity)
        meeting = 5.0 + 5.0 * numbers[i, 0]                             # s, when this one is in front of the target
        spot = target.start + target.velocity * meeting
        towards = camera - spot
        towards /= np.sqrt((towards**2).sum())
        across = np.array([towards[1], -towards[0]])
        drift = target.velocity @ across                                # passes against the target's own way
        way = -np.sign(drift) if abs(drift) > 0.3 else np.sign(numbers[i, 1])
        velocity = target.velocity + across * way * (1.25 + 0.45 * numbers[i, 2])
        spot = spot + towards * (1.35 + 0.5 * numbers[i, 1])
        if here[1 + i] < occlusion:
            around.append(dataclasses.replace(person, start=spot - velocity * meeting, velocity=velocity))
    behind = walk(random, target.start, target.velocity)
    back, ahead, way = random.uniform(0.0, 1.0), random.uniform(-3.0, 9.0), random.choice([-1.0, 1.0])
    if here[-1] < 0.5:                                                  # walks beside the target's line, further off
        aside = np.array([target.velocity[1], -target.velocity[0]]) / speed
        aside *= -1.0 if aside @ towards > 0 else 1.0
        spot = target.start + aside * (0.9 + back * (room - 0.9)) + ahead / speed * target.velocity
        around.append(dataclasses.replace(behind, start=spot, velocity=way * behind.velocity))
    return around
