"""Smooth continuous motion of everybody in a shot: sums of random sinusoids on a fine time grid."""

import numpy as np

from reidlib.data.worlds import layout as at

STEP = 1 / 60               # s, of the grid on which paths are computed; images are sampled from it by interpolation
_TAU = (1.0, 4.0)           # s, time constants of the sinusoids
_PERSONAL_SPACE = 0.75      # m, two people's axes are pushed this far apart
COURT = (28.0, 15.0)        # m


def waves(random, count, *, tau=_TAU):
    """Frequency (rad/s), phase and weight, (count, 6, 1) each, of signals that are sums of six random sinusoids.

    random: numpy Generator; tau: range of the time constants (1 / angular frequency) in s. Unit variance over time.
    """
    frequency = 1.0 / random.uniform(*tau, (count, 6, 1))
    phase = random.uniform(0.0, 2 * np.pi, (count, 6, 1))
    weight = random.uniform(0.5, 1.0, (count, 6, 1))
    weight /= np.sqrt((weight**2).sum(axis=1, keepdims=True) / 2)
    return frequency, phase, weight


def wander(random, count, times, *, tau=_TAU):
    """Sums of six random sinusoids, about zero mean and unit variance over time: (count, len(times)) float64.

    random: numpy Generator; times: (T,) seconds; tau: range of the time constants (1 / angular frequency) in s.
    A longer grid continues a shorter one.
    """
    frequency, phase, weight = waves(random, count, tau=tau)
    return (weight * np.sin(frequency * times + phase)).sum(axis=1)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def trajectories(random, spec, *, roles, teams, duration):
    """Motion of all people of one shot on the grid 0, STEP, ... at least duration + STEP.

    random: numpy Generator; roles (N,) int: 0 player, 1 referee; teams (N,) int: 0 or 1; duration in s.
    Returns states (T, N, STATE_SIZE) and the centre of play (T, 2) in m.
    """
    people, players = len(roles), np.flatnonzero(roles == 0)
    times = np.arange(int(np.ceil(duration / STEP)) + 3) * STEP
    gather = spec.occlusion
    attack = 1.0 if random.random() < 0.5 else -1.0                     # towards which basket team 0 plays
    spread = np.array([24.0 + (5.0 - 24.0) * gather**0.7, 12.0 + (4.5 - 12.0) * gather])
    room = (np.array(COURT) - 2.0 - spread) / 2
    centre = np.array(COURT) / 2 + np.array([attack, 1.0]) * random.uniform([0.3, -0.6], [1.0, 0.6]) * room
    drift = wander(random, 2, times, tau=(1.5, 4.0)) * np.array([[1.3], [0.4]])
    play = centre[:, None] + drift                                      # (2, T)

    # Homes are stratified along x and y so that without gathering people stand apart.
    lattice = (np.arange(people) + 0.5) / people - 0.5
    homes = np.stack([random.permutation(lattice), random.permutation(lattice)])               # (2, N)
    homes = (homes + random.uniform(-0.04, 0.04, homes.shape)) * spread[:, None]
    roam = wander(random, 2 * people, times).reshape(2, people, -1) * np.array([1.25, 0.9])[:, None, None]
    path = play[:, None] + homes[:, :, None] + roam                     # (2, N, T)
    path = _mark(random, path, players, teams, times, gather, attack)
    path = _keep_apart(path)
    path[0] = _soft_clip(path[0], -1.2, COURT[0] + 1.2)
    path[1] = _soft_clip(path[1], -1.0, COURT[1] + 1.4)
    velocity = np.gradient(path, STEP, axis=2)
    return _states(random, spec, path, velocity, play, times), play.T


def _mark(random, path, players, teams, times, gather, attack):
    """Defenders are drawn to the attackers they mark, standing between them and the basket."""
    attackers, defenders = players[teams[players] == 0], players[teams[players] == 1]
    sway = wander(random, 2 * len(path[0]), times).reshape(2, -1, len(times))
    pull = 0.9 * gather**0.5
    for attacker, defender in zip(attackers, defenders):
        side = np.array([[0.75 * attack], [random.uniform(-0.5, 0.5)]])
        spot = path[:, attacker] + side + 0.45 * sway[:, defender]
        path[:, defender] = (1 - pull) * path[:, defender] + pull * spot
    return path


def _keep_apart(path):
    """Push people who come too close apart: a function of the positions of one instant, so paths stay continuous."""
    for _ in range(6):
        offset = path[:, :, None] - path[:, None]                                             # (2, N, N, T)
        distance = np.sqrt((offset**2).sum(axis=0) + 1e-6)
        push = np.clip(_PERSONAL_SPACE - distance, 0.0, None) / distance
        path = path + 0.5 * (offset * push).sum(axis=2)
    return path


def _soft_clip(value, low, high):
    """Identity inside (low + 1, high - 1), bending smoothly so that low and high are never passed."""
    over, under = np.clip(value - (high - 1), 0, None), np.clip(low + 1 - value, 0, None)
    return value - over + np.tanh(over) + under - np.tanh(under)


def _states(random, spec, path, velocity, play, times):
    people, steps = path.shape[1:]
    speed = np.sqrt((velocity**2).sum(axis=0))                                                # (N, T)
    states = np.zeros((steps, people, at.STATE_SIZE))
    signals = wander(random, 9 * people, times).reshape(9, people, steps)
    turn, crouch, left_up, right_up, left_out, right_out, left_elbow, right_elbow, look = signals
    # On average people face the play; the spread keeps fronts, backs and profiles all common.
    towards = np.arctan2(play[1, :1] - path[1, :, :1], play[0, :1] - path[0, :, :1])
    heading = towards + random.normal(0.0, 1.1, (people, 1)) + 1.6 * spec.viewpoint_change * turn
    running = np.clip((speed - 1.2) / 2.0, 0.0, 1.0)
    direction = np.arctan2(velocity[1], velocity[0])
    heading = heading + 1.1 * spec.viewpoint_change**0.5 * running * np.sin(direction - heading)
    stride = 0.75 + 0.5 * speed                                                               # m per cycle of two steps
    habit = random.normal(0.0, 1.0, (4, people, 1))
    states[..., at.X], states[..., at.Y] = path.transpose(0, 2, 1)
    states[..., at.VX], states[..., at.VY] = velocity.transpose(0, 2, 1)
    columns = {
        at.HEADING: heading,
        at.PHASE: random.uniform(0, 1, (people, 1)) + np.cumsum(speed / stride, axis=1) * STEP,
        at.CROUCH: np.clip(0.22 + 0.13 * habit[0] + 0.2 * crouch, 0.02, 0.85),
        at.LEAN: 0.05 + 0.05 * running + 0.02 * habit[1],
        at.TWIST: 0.06 + 0.10 * running,
        at.HEAD_YAW: 0.35 * look,
        at.STANCE: np.clip(0.115 + 0.025 * habit[2] + 0.10 * sigmoid(2.0 * crouch), 0.08, 0.3),
        at.RAISE_LEFT: 2.5 * sigmoid(4.0 * (left_up - 1.45)),
        at.RAISE_RIGHT: 2.5 * sigmoid(4.0 * (right_up - 1.45)),
        at.ABDUCT_LEFT: 0.13 + 0.5 * sigmoid(2.5 * (left_out - 0.9)),
        at.ABDUCT_RIGHT: 0.13 + 0.5 * sigmoid(2.5 * (right_out - 0.9)),
        at.ELBOW_LEFT: 0.6 + 0.12 * habit[3] + 0.9 * running + 0.8 * sigmoid(2.0 * (left_elbow - 0.6)),
        at.ELBOW_RIGHT: 0.6 + 0.12 * habit[3] + 0.9 * running + 0.8 * sigmoid(2.0 * (right_elbow - 0.6)),
        at.BOUNCE: 1.4 * times + random.uniform(0, 1, (people, 1)),
    }
    for column, value in columns.items():
        states[..., column] = value.T
    return states


def sample(track, time):
    """Linear interpolation of track (T, ...) on the grid at a time in s within it."""
    position = time / STEP
    index = min(int(position), len(track) - 2)
    share = position - index
    return (1 - share) * track[index] + share * track[index + 1]
