"""The places that cameras film: pavements, a crossing, a park, a square; walls, lamp posts, bicycles, trees, cars."""

import functools

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import layout as cw
from reidlib.data.worlds.crosswalk.cameras import cameras
from reidlib.data.worlds.crosswalk.draws import PLACE, generator
from reidlib.data.worlds.crosswalk.things import bicycle, bin_, bollard, car, post, tree
from reidlib.data.worlds.solids import put

_GROUNDS = {
    cw.ASPHALT: (92, 92, 96), cw.TILES: (158, 152, 144), cw.COBBLES: (132, 124, 116), cw.GRASS: (92, 120, 58),
    cw.GRAVEL: (176, 160, 132),
}  # fmt: skip
_WALLS = {
    cw.BRICK: ((148, 84, 66), (186, 178, 168)), cw.FACADE: ((196, 184, 164), (228, 222, 210)),
    cw.HEDGE: ((62, 88, 48), (62, 88, 48)), cw.PANELS: ((150, 150, 148), (120, 120, 120)),
}  # fmt: skip
# Bands of ground from the camera outwards as (kind, where it ends in m across from the lane), then kinds of wall and
# where it stands, then the things that stand about: in front of the lane and behind it.
_KINDS = (
    ("along", ((cw.ASPHALT, -1.9), (cw.TILES, 3.0)), (cw.FACADE, cw.BRICK), (2.6, 3.4), (post, bicycle, bin_), ()),
    ("across", ((cw.TILES, -4.2), (cw.ASPHALT, 4.2), (cw.TILES, 9.0)), (cw.FACADE,), (11.0, 14.0), (post, bollard),
     (post, bicycle)),
    ("along", ((cw.GRASS, -1.7), (cw.GRAVEL, 1.7), (cw.GRASS, 9.0)), (cw.HEDGE, cw.NO_WALL), (5.0, 8.0), (tree, post),
     (tree, bin_, bollard)),
    ("along", ((cw.COBBLES, 4.5), (cw.TILES, 12.0)), (cw.FACADE, cw.PANELS), (8.0, 13.0), (bicycle, post, bin_),
     (bollard, bicycle, tree)),
    ("along", ((cw.TILES, 1.9), (cw.ASPHALT, 8.5), (cw.TILES, 11.0)), (cw.FACADE, cw.BRICK), (10.5, 12.0),
     (post, bollard), (car, car)),
    ("along", ((cw.GRAVEL, -1.4), (cw.TILES, 1.6), (cw.GRASS, 3.0)), (cw.BRICK, cw.PANELS), (3.0, 5.0),
     (bollard, bicycle), (tree,)),
)  # fmt: skip


@functools.lru_cache(maxsize=256)
def place(spec, camera, which):
    """What a camera films: place (PLACE_SIZE,), parts of the things there (M, PART_SIZE), the look that colours them.

    camera: 0..cameras - 1; which: () for its usual place, or numbers that tell other places apart.
    """
    random, here = generator(spec, PLACE, camera, *which), cameras(spec)[camera]
    order = generator(spec, PLACE).permutation(len(_KINDS))             # cameras differ as long as there are kinds
    kind = order[camera % len(_KINDS)] if not which else random.integers(len(_KINDS))
    lies, bands, walls, wall_at, front, back = _KINDS[kind]
    row = np.zeros(cw.PLACE_SIZE)
    lane = np.array([np.cos(here.lane), np.sin(here.lane)])
    across = lane if lies == "across" else np.array([-lane[1], lane[0]])
    across = across * (1.0 if across[1] > 1e-9 else -1.0)               # away from the camera
    axis = np.array([across[1], -across[0]])
    row[[cw.FOCUS_X, cw.FOCUS_Y]], row[[cw.ACROSS_X, cw.ACROSS_Y]] = here.focus, across
    row[[cw.AXIS_X, cw.AXIS_Y]] = axis
    row[cw.CROSSING] = lies == "across"
    row[cw.SEED] = random.integers(0, 2**31)
    row[cw.FAR] = here.focus[1] + random.uniform(38.0, 60.0)
    row[cw.EDGE:cw.EDGE + cw.BANDS_OF_GROUND - 1] = 1e6
    for k, (ground, end) in enumerate([*bands, (bands[-1][0], 1e6)]):
        if k < cw.BANDS_OF_GROUND - 1:
            row[cw.EDGE + k] = end + (random.uniform(-0.25, 0.25) if end < 100 else 0.0)
        colour = np.array(_GROUNDS[ground]) * np.exp(random.normal(0, 0.14)) * np.exp(random.normal(0, 0.05, 3))
        row[cw.BAND + 4 * k:cw.BAND + 4 * k + 4] = ground, *np.clip(colour, 20, 235)
    wall = walls[random.integers(len(walls))]
    row[cw.WALL_KIND], row[cw.WALL], row[cw.WALL_HEIGHT] = wall, random.uniform(*wall_at), random.uniform(7.0, 14.0)
    if wall in (cw.HEDGE, cw.PANELS):
        row[cw.WALL_HEIGHT] = random.uniform(1.5, 3.2)
    colour, trim = (np.array(c, float) for c in _WALLS.get(wall, _WALLS[cw.PANELS]))
    row[cw.WALL_COLOUR:cw.WALL_COLOUR + 3] = np.clip(
        colour * np.exp(random.normal(0, 0.2)) * np.exp(random.normal(0, 0.08, 3)), 20, 235)
    row[cw.WALL_TRIM:cw.WALL_TRIM + 3] = np.clip(trim * np.exp(random.normal(0, 0.15, 3)), 20, 240)
    row[cw.SKY:cw.SKY + 3] = np.array([206.0, 216, 228]) * random.uniform(0.85, 1.05)
    strokes, look = _furnish(random, spec, row, front, back)
    return row, strokes, look


def _furnish(random, spec, row, front, back):
    """Things at random distances along the street: parts (M, PART_SIZE), and the look (LOOK_SIZE,) of their colours."""
    focus, across, axis = row[[cw.FOCUS_X, cw.FOCUS_Y]], row[[cw.ACROSS_X, cw.ACROSS_Y]], row[[cw.AXIS_X, cw.AXIS_Y]]
    strokes = []
    slots = (np.arange(8) + random.uniform(0.2, 0.8, 8) - 4) * 2.6      # m along the street
    present, kinds = random.random((2, 8)), random.integers(0, 1000, (2, 8))
    for lane, choice in enumerate((front, back)):
        for i, b in enumerate(slots):
            if not choice or (lane == 1 and i % 2):                     # what stands behind may be as long as a car
                continue
            a = random.uniform(-1.45, -0.95) if lane == 0 else random.uniform(2.1, 3.2)
            turned = random.normal(0.0, 0.25)
            forward = np.cos(turned) * axis + np.sin(turned) * across
            spot = focus + a * across + (b + 1.3 * lane) * axis
            made = choice[kinds[lane, i] % len(choice)](spot, forward, random)
            if present[lane, i] < (spec.occlusion if lane == 0 else 0.5):
                strokes += made
    if row[cw.CROSSING] > 0.5:                                          # nothing stands in the way of those who cross
        strokes = [s for s in strokes if abs((np.array(s[0][:2]) - focus) @ axis) > 1.2]
    look = np.zeros(cw.LOOK_SIZE)
    for column, colour in ((at.JERSEY, (70, 74, 78)), (at.TRIM, random.uniform(50, 200, 3)), (at.SHORTS, (34, 34, 36)),
                           (at.SHOE, (150, 150, 152)), (at.SOLE, (92, 70, 52)), (at.SOCK, (74, 102, 52)),
                           (cw.INNER, random.uniform(40, 210, 3)), (cw.BAG_COLOUR, (56, 66, 76))):
        look[column:column + 3] = colour
    parts = np.zeros((len(strokes), at.PART_SIZE))
    for part, (start, end, radius, taper, scale, colour) in zip(parts, strokes):
        steep = abs(end[2] - start[2]) > 0.7 * np.linalg.norm(np.subtract(end, start))
        hint = (1.0, 0.0, 0.0) if steep else (0.0, 0.0, 1.0)
        put(part, start, end, hint, scale, radius, taper * radius, float(at.PROP), 0.0, float(colour))
    return parts, look
