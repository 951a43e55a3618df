"""A pedestrian at one instant: a posed body, and on it the parts of clothes and bags that stand off the body."""

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.body import pose_person
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.crosswalk.kernels import FINGERPRINT
from reidlib.data.worlds.kernels import entry, inline
from reidlib.data.worlds.solids import along, bound, cross, difference, dot, put, unit

_ONE = (1.0, 1.0, 1.0)


@inline
def end(part, column):
    return (part[column], part[column + 1], part[column + 2])


@inline
def axis(part, row):
    """Unit vector of a part's local axis in the world: 0 to the person's right, 1 forwards, 2 along the part."""
    first = at.INVERSE + 3 * row
    return unit((part[first], part[first + 1], part[first + 2]))


@inline
def clothe(look, parts, person):
    """Add gown, bags, hat and hood to the posed body in parts (PARTS_PER_PERSON, PART_SIZE)."""
    for i in range(at.PARTS_PER_PERSON, cw.PARTS_PER_PERSON):           # nothing, unless it is worn
        put(parts[i], end(parts[0], at.END0), end(parts[0], at.END1), axis(parts[0], 0), _ONE, 0.01, 0.009,
            at.NOTHING, person, 0.0)
    for i in (5, 8, 12, 13, 17, 18):                                    # upper arms and legs, slimmer than a player's
        for column in (at.R0, at.R1, at.REACH0, at.REACH1):
            parts[i, column] *= 0.86 if i < 10 else 0.9
    gown(look, parts, person)
    bags(look, parts, person)
    headwear(look, parts, person)


@inline
def gown(look, parts, person):
    """Skirt, dress or the skirts of a coat: a cone with an open hem, deep enough for the knees below it."""
    if look[cw.GOWN] == cw.NO_GOWN:
        return
    down, r, f = (0.0, 0.0, -1.0), axis(parts[0], 0), axis(parts[0], 1)
    segment, girth = 0.243 * look[at.STATURE] * look[at.LEG], look[at.GIRTH]
    waist = end(parts[0], at.END1)
    hem = along(waist, down, 0.065 * look[at.STATURE] + 0.05 + look[cw.HEM] * segment)
    reach = 0.0
    for k in range(2):                                                  # knees ahead of the hips and behind them
        thigh = parts[12 + 5 * k]
        stride = difference(end(thigh, at.END1), end(thigh, at.END0))
        reach = max(reach, abs(dot(stride, f)) * min(look[cw.HEM], 1.0))
    flare = 1.22 if look[cw.GOWN] == cw.SKIRT else 1.12
    broad = (0.66 + 0.34 * girth) * 0.182
    deep = min(max(0.135 * girth, (reach + 0.055) / flare), 0.19)
    put(parts[cw.GOWN_PART], along(waist, down, 0.02), hem, r, (broad, deep, 0.09), 0.86, flare, at.SHORTS_LEG,
        person, 0.0)


@inline
def bags(look, parts, person):
    """A backpack on the back, a bag at the hip, or one in the hand."""
    chest, pelvis, side = parts[1], parts[0], look[cw.BAG_SIDE]
    r, f, spine = axis(chest, 0), axis(chest, 1), axis(chest, 2)
    neck, bag, girth = end(chest, at.END1), int(look[cw.BAG]), look[at.GIRTH]
    if bag == cw.BACKPACK:
        top = along(along(neck, spine, -0.04), f, -0.115 * girth - 0.07)
        put(parts[cw.BACKPACK_PART], top, along(top, spine, -0.23), r, (1.15, 0.68, 0.9), 0.125, 0.145, cw.BAGS, person,
            0.0)
    elif bag == cw.SHOULDER_BAG:
        hip = along(along(end(pelvis, at.END0), r, side * (0.17 * (0.66 + 0.34 * girth) + 0.055)), f, -0.03)
        put(parts[cw.BAG_PART], along(hip, f, -0.09), along(hip, f, 0.09), r, (0.55, 1.0, 0.7), 0.115, 0.11, cw.BAGS,
            person, side)
    elif bag == cw.CARRIER_BAG:
        hand = end(parts[7 if side > 0.0 else 10], at.END1)
        low = along(hand, (0.0, 0.0, -1.0), 0.11)
        put(parts[cw.BAG_PART], low, along(low, (0.0, 0.0, -1.0), 0.22), r, (0.42, 1.0, 0.8), 0.10, 0.14, cw.BAGS,
            person, side)


@inline
def headwear(look, parts, person):
    """Cap with its peak, beanie, and a hood that lies on the shoulders."""
    head = parts[3]
    r, up = axis(head, 0), axis(head, 2)
    f = cross(up, r)
    crown = along(end(head, at.END1), f, -0.006)
    hat = int(look[cw.HAT])
    if hat == cw.CAP:
        put(parts[cw.HAT_PART], along(crown, up, 0.028), along(crown, up, 0.034), r, (0.086, 0.102, 0.078), 1.0, 0.99,
            cw.HATS, person, 0.0)
        peak = along(along(crown, f, 0.085), up, 0.03)
        put(parts[cw.BRIM_PART], peak, along(along(peak, f, 0.06), up, -0.012), r, (1.0, 0.2, 1.0), 0.068, 0.062,
            cw.HATS, person, 0.0)
    elif hat == cw.BEANIE:
        put(parts[cw.HAT_PART], along(crown, up, 0.012), along(crown, up, 0.05), r, (0.090, 0.106, 0.092), 1.0, 0.82,
            cw.HATS, person, 0.0)
    if hat != cw.NO_HAT and look[at.HAIR_STYLE] != at.LONG:             # other hair that stands off is under the hat
        parts[4, at.MATERIAL] = at.NOTHING
    if look[cw.HOOD] > 0.5:
        chest = parts[1]
        nape = along(along(end(chest, at.END1), axis(chest, 2), 0.055), axis(chest, 1), -0.085)
        put(parts[cw.HOOD_PART], along(nape, axis(chest, 0), -0.05), along(nape, axis(chest, 0), 0.05),
            axis(chest, 1), (0.8, 0.9, 1.0), 0.072, 0.071, cw.HOODS, person, 0.0)


def _build(fingerprint):
    @entry
    def dress(looks, states, camera, parts, boxes):
        """Pose and clothe everybody: parts (N * PARTS_PER_PERSON, PART_SIZE), boxes (N, 4): u0, u1, v0, v1."""
        _ = fingerprint
        for person in range(len(states)):
            first = person * cw.PARTS_PER_PERSON
            own = parts[first:first + cw.PARTS_PER_PERSON]
            pose_person(looks[person], states[person], own, person)
            clothe(looks[person], own, person)
            boxes[person, 0], boxes[person, 1], boxes[person, 2], boxes[person, 3] = 1e9, -1e9, 1e9, -1e9
            for part in own:
                bound(part, camera)
                if part[at.MATERIAL] != at.NOTHING:
                    for j in range(0, 4, 2):
                        boxes[person, j] = min(boxes[person, j], part[at.BOX + j])
                        boxes[person, j + 1] = max(boxes[person, j + 1], part[at.BOX + j + 1])

    return dress


dress = _build(FINGERPRINT)
