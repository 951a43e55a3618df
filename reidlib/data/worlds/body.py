"""A person at one instant as round cones in the world: a skeleton posed by gait, crouch and arms, then clothed.

Directions of a body: f forward, r to the person's right, up. The standing foot stays where it is on the floor.
"""

import math

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.kernels import FINGERPRINT, entry, inline
from reidlib.data.worlds.solids import along, bound, cross, difference, dot, put, unit


@inline
def foot_cycle(phase, speed):
    """Displacement along the motion (m), lift (m) and swing (0..1) of a foot at a phase of its stride."""
    stance = max(0.38, 0.62 - 0.06 * speed)
    reach = min(0.5 * stance * (0.75 + 0.5 * speed), 0.42) * (speed * speed / (speed * speed + 0.12))
    c = phase - math.floor(phase)
    if c < stance:
        return reach * (1.0 - 2.0 * c / stance), 0.0, 0.0
    q = (c - stance) / (1.0 - stance)
    swing = math.sin(math.pi * q) * (speed * speed / (speed * speed + 0.12))
    return -reach * math.cos(math.pi * q), swing * (0.05 + 0.055 * min(speed, 4.0)), swing * (1.0 - q)


@inline
def pose_person(look, state, parts, person):
    """Write the PARTS_PER_PERSON parts of one person."""
    one = (1.0, 1.0, 1.0)
    up = (0.0, 0.0, 1.0)
    s, girth, referee = look[at.STATURE], look[at.GIRTH], look[at.REFEREE] > 0.5
    f = (math.cos(state[at.HEADING]), math.sin(state[at.HEADING]), 0.0)
    r = (f[1], -f[0], 0.0)
    speed = math.sqrt(state[at.VX] ** 2 + state[at.VY] ** 2)
    way = (state[at.VX] / (speed + 1e-9), state[at.VY] / (speed + 1e-9), 0.0)
    sideways = way[0] * r[0] + way[1] * r[1]
    stepping = along(way, r, -0.6 * sideways)                           # sidesteps are short: feet do not cross
    ground = (state[at.X], state[at.Y], 0.0)
    segment, ankle_height = 0.243 * s * look[at.LEG], 0.085
    reach = 2.0 * segment

    # Feet first, then the highest pelvis from which both can be reached.
    pelvis_z = ankle_height + reach * (0.99 - 0.15 * state[at.CROUCH])
    feet = np.empty((2, 5))                                             # ankle x y z, heel rise, side
    for k in range(2):
        side = 1.0 - 2.0 * k                                            # +1 right, -1 left
        step, lift, swing = foot_cycle(state[at.PHASE] + 0.5 * k, speed)
        p = along(along(ground, r, side * state[at.STANCE]), stepping, step)
        p = along(p, f, -0.05 * side * state[at.CROUCH])
        feet[k, 0], feet[k, 1], feet[k, 2], feet[k, 3], feet[k, 4] = p[0], p[1], ankle_height + lift, swing, side
        d2 = (p[0] - ground[0]) ** 2 + (p[1] - ground[1]) ** 2
        pelvis_z = min(pelvis_z, feet[k, 2] + math.sqrt(max((0.995 * reach) ** 2 - d2, 0.01)))
    pelvis = (ground[0], ground[1], pelvis_z)

    lean = state[at.LEAN] + 0.42 * state[at.CROUCH]
    spine = unit(along(along((0.0, 0.0, 0.0), up, math.cos(lean)), f, math.sin(lean)))
    pelvis = along(pelvis, f, -0.10 * math.sin(lean))
    twist = state[at.TWIST] * math.cos(2 * math.pi * state[at.PHASE])
    rs = unit(along(r, f, -twist))                                      # right of the twisted shoulders
    neck = along(pelvis, spine, 0.295 * s)
    shoulder = 0.108 * s * look[at.SHOULDER]

    # Trunk, neck and head.
    broad = 0.66 + 0.34 * girth
    put(parts[0], along(pelvis, spine, -0.01), along(pelvis, spine, 0.065 * s), r,
        (0.168 * broad, 0.118 * girth, 0.09), 1.0, 0.94, at.PELVIS, person, 0.0)
    put(parts[1], along(pelvis, spine, 0.080 * s), along(neck, spine, -0.075), rs,
        (0.96 * shoulder, 0.118 * girth, 0.085), 0.84 * (0.75 + 0.25 * girth), 1.0, at.CHEST, person, 0.0)
    head_right = unit(along(r, f, -math.sin(state[at.HEAD_YAW])))
    head_up = unit(along(up, f, 0.45 * math.sin(lean)))
    size = 0.122 * look[at.HEAD_SIZE]
    chin = along(along(neck, head_up, 0.088), f, 0.035)
    put(parts[2], along(neck, spine, -0.05), along(chin, head_up, 0.03), r, one, 0.066 * girth, 0.056 * girth,
        at.FLESH, person, 0.0)
    put(parts[3], chin, along(chin, head_up, 0.62 * size), head_right, (0.078, 0.093, 0.090), 0.78, 1.02,
        at.HEAD, person, 0.0)
    hair_piece(look, parts[4], chin, head_up, head_right, size, person)

    # Arms.
    pump = min(0.7, 0.24 * speed) * math.cos(2 * math.pi * state[at.PHASE])
    for k in range(2):
        side = 1.0 - 2.0 * k
        raised = state[at.RAISE_RIGHT] if k == 0 else state[at.RAISE_LEFT]
        out = state[at.ABDUCT_RIGHT] if k == 0 else state[at.ABDUCT_LEFT]
        bend = state[at.ELBOW_RIGHT] if k == 0 else state[at.ELBOW_LEFT]
        out += 0.10 * state[at.CROUCH]
        bend += 0.5 * state[at.CROUCH]
        flex = 0.05 - side * pump + raised + 0.15 * state[at.CROUCH]
        joint = along(along(neck, spine, -0.085), rs, side * shoulder * 1.0)
        elbow = along(joint, limb_direction(f, rs, side, flex, out), 0.165 * s * look[at.ARM])
        lower = limb_direction(f, rs, side, flex + bend, 0.45 * out - 0.08)
        wrist = along(elbow, lower, 0.142 * s * look[at.ARM])
        thick = 0.55 + 0.45 * girth
        sleeve = 0.012 if referee else 0.0
        put(parts[5 + 3 * k], joint, elbow, rs, one, 0.064 * thick + sleeve, 0.050 * thick + sleeve,
            at.UPPER_ARM, person, side)
        put(parts[6 + 3 * k], elbow, wrist, rs, one, 0.050 * thick, 0.033 * thick, at.FOREARM, person, side)
        put(parts[7 + 3 * k], along(wrist, lower, 0.02), along(wrist, lower, 0.105), rs, (1.0, 0.85, 1.0),
            0.036, 0.030, at.FLESH, person, side)

    # Legs: the knee bends forwards and a little outwards.
    for k in range(2):
        side = feet[k, 4]
        ankle = (feet[k, 0], feet[k, 1], feet[k, 2])
        hip = along(along(pelvis, r, side * 0.088 * broad), up, -0.02)
        leg = difference(ankle, hip)
        gap = math.sqrt(dot(leg, leg))
        if gap > 0.998 * reach:
            ankle = along(hip, unit(leg), 0.998 * reach)
            leg, gap = difference(ankle, hip), 0.998 * reach
        bow = unit(along(f, r, side * 0.22))
        down = unit(leg)
        bow = unit(along(bow, down, -dot(bow, down)))
        knee = along(along(hip, leg, 0.5), bow, math.sqrt(max(segment**2 - 0.25 * gap * gap, 0.0)))
        cloth = along(hip, difference(knee, hip), look[at.SHORTS_LENGTH])
        thick = 0.5 + 0.5 * girth
        put(parts[11 + 5 * k], along(hip, up, 0.03), cloth, r, one, 0.114 * thick, 0.112 * thick,
            at.NOTHING if referee else at.SHORTS_LEG, person, side)
        put(parts[12 + 5 * k], hip, knee, r, one, (0.108 if referee else 0.090) * thick,
            (0.080 if referee else 0.060) * thick, at.THIGH, person, side)
        put(parts[13 + 5 * k], knee, along(ankle, up, -0.01), r, one, (0.078 if referee else 0.056) * thick,
            (0.066 if referee else 0.040) * thick, at.SHIN, person, side)
        back = unit(along(f, down, 1.6 * dot(f, down)))
        calf = along(along(knee, difference(ankle, knee), 0.20), back, -0.016)
        put(parts[15 + 5 * k], calf, along(calf, difference(ankle, knee), 0.20), r, one, 0.048 * thick, 0.044 * thick,
            at.NOTHING if referee else at.CALF, person, side)
        toe = unit(along(f, r, side * 0.16))
        rise = 0.9 * feet[k, 3]                                         # the heel leaves the floor first
        heel = along(along(ankle, toe, -0.045), up, -0.040)
        tip = along(along(ankle, toe, 0.15), up, -0.048 - 0.16 * rise)
        tip = (tip[0], tip[1], max(tip[2], 0.034))
        put(parts[14 + 5 * k], heel, tip, r, (0.9, 1.0, 1.0), 0.046, 0.036, at.FOOT, person, side)

    # The ball is dribbled with the right hand.
    hand = (parts[7, at.END1], parts[7, at.END1 + 1], parts[7, at.END1 + 2])
    height = 0.12 + abs(math.cos(math.pi * state[at.BOUNCE])) * max(hand[2] - 0.26, 0.0)
    ball = (hand[0] + 0.05 * f[0], hand[1] + 0.05 * f[1], height)
    put(parts[21], ball, along(ball, up, 1e-3), r, one, 0.12, 0.12,
        at.SPHERE if look[at.HOLDS_BALL] > 0.5 else at.NOTHING, person, 0.0)


@inline
def limb_direction(f, r, side, flex, out):
    """Unit vector of an arm segment: flex swings it forwards from hanging, out swings it sideways."""
    a, b, c = math.sin(flex) * math.cos(out), side * math.sin(out), -math.cos(flex) * math.cos(out)
    return (a * f[0] + b * r[0], a * f[1] + b * r[1], a * f[2] + b * r[2] + c)


@inline
def hair_piece(look, part, chin, head_up, head_right, size, person):
    """Hair that stands off the head: flat top, afro, long hair, bun. Short hair is a colour of the head itself."""
    forward = cross(head_up, head_right)
    crown = along(chin, head_up, 0.72 * size)
    style, one = int(look[at.HAIR_STYLE]), (1.0, 1.0, 1.0)
    if style == at.AFRO:
        centre = along(along(crown, head_up, 0.062), forward, -0.036)
        put(part, centre, along(centre, head_up, 0.012), head_right, one, 0.112, 0.106, at.HAIR_PIECE, person, 0.0)
    elif style == at.FLAT:
        centre = along(along(crown, head_up, 0.045), forward, -0.012)
        put(part, centre, along(centre, head_up, 0.055), head_right, (0.9, 1.05, 1.0), 0.066, 0.062,
            at.HAIR_PIECE, person, 0.0)
    elif style == at.LONG:
        centre = along(along(crown, head_up, 0.022), forward, -0.040)
        put(part, centre, along(along(centre, head_up, -0.17), forward, -0.045), head_right, (1.08, 0.7, 1.0),
            0.078, 0.060, at.HAIR_PIECE, person, 0.0)
    elif style == at.BUN:
        centre = along(along(crown, head_up, 0.085), forward, -0.055)
        put(part, centre, along(centre, head_up, 0.01), head_right, one, 0.044, 0.040, at.HAIR_PIECE, person, 0.0)
    else:
        put(part, crown, along(crown, head_up, 0.01), head_right, one, 0.02, 0.02, at.NOTHING, person, 0.0)


def _build(fingerprint):
    @entry
    def pose(looks, states, camera, parts, boxes):
        """Pose everybody: parts (N * PARTS_PER_PERSON, PART_SIZE), boxes (N, 4): u0, u1, v0, v1."""
        _ = fingerprint
        for person in range(len(looks)):
            first = person * at.PARTS_PER_PERSON
            pose_person(looks[person], states[person], parts[first:first + at.PARTS_PER_PERSON], person)
            boxes[person, 0], boxes[person, 1], boxes[person, 2], boxes[person, 3] = 1e9, -1e9, 1e9, -1e9
            for i in range(first, first + at.PARTS_PER_PERSON):
                bound(parts[i], camera)
                material = parts[i, at.MATERIAL]
                if material != at.NOTHING and material != at.SPHERE:
                    for j in range(0, 4, 2):
                        boxes[person, j] = min(boxes[person, j], parts[i, at.BOX + j])
                        boxes[person, j + 1] = max(boxes[person, j + 1], parts[i, at.BOX + j + 1])

    @entry
    def project(parts, camera):
        """Fill in where parts that do not move, (M, PART_SIZE), lie on the image plane."""
        _ = fingerprint
        for i in range(len(parts)):
            bound(parts[i], camera)

    return pose, project


pose, project = _build(FINGERPRINT)
