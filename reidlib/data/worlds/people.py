"""Who is on court and what the hall looks like: teams' kits, identities, arenas. Colours are rgb in 0..255."""

import colorsys

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.glyphs import WORDS

_SKINS = np.array([[92, 60, 44], [112, 74, 54], [74, 49, 38], [140, 96, 70], [176, 126, 96], [205, 156, 124],
                   [226, 182, 152], [232, 194, 168]], float)
_HAIRS = np.array([[18, 15, 14], [24, 19, 17], [34, 25, 20], [56, 38, 26], [92, 62, 38], [150, 112, 66],
                   [96, 94, 92]], float)
_HAIR_ODDS = np.array([0.34, 0.26, 0.16, 0.1, 0.06, 0.05, 0.03])
_WHITE, _BLACK = np.array([236.0, 236, 238]), np.array([26.0, 26, 30])
_SHOES = np.array([[238, 238, 238], [30, 30, 34], [200, 36, 40], [34, 70, 170], [240, 130, 30], [70, 190, 90],
                   [230, 70, 140], [240, 215, 60], [120, 120, 126], [90, 60, 160]], float)
_LEAGUE = {"base": np.array([38.0, 70, 160]), "trim": np.full(3, 235.0), "number": np.full(3, 240.0)}
_HUES = [0.0, 0.02, 0.06, 0.11, 0.14, 0.33, 0.4, 0.5, 0.56, 0.6, 0.64, 0.72, 0.8, 0.93]


def _colour(hue, saturation, value):
    return 255.0 * np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def luminance(colour):
    return float(np.dot(colour, [0.299, 0.587, 0.114]))


def kit(random, *, light, similarity):
    """Colours and style of one team in one game: dict of base, trim, number, outline, shorts, sock, pattern, stroke.

    light: whether the shirt is white or pale (the home team's may be); similarity: 0..1, pull towards the league's kit.
    """
    hue = random.choice(_HUES) + random.normal(0, 0.012)
    strong = _colour(hue, random.uniform(0.7, 0.95), random.uniform(0.45, 0.85))
    if light:
        pale = _colour(hue, random.uniform(0.12, 0.3), 0.92)
        base = _WHITE - random.uniform(0, 14) if random.random() < 0.75 else pale
        trim, number = strong, strong if luminance(strong) < 150 else _BLACK
    else:
        base = _BLACK + random.uniform(0, 12) if random.random() < 0.18 else strong
        accent = _colour(hue + random.choice([0.12, 0.4, 0.5]), random.uniform(0.75, 0.95), random.uniform(0.8, 0.98))
        trim = accent if random.random() < 0.55 else _WHITE
        number = _WHITE if luminance(base) < 135 else _BLACK
        if random.random() < 0.35 and abs(luminance(accent) - luminance(base)) > 70:
            number = accent
    colours = {"base": base, "trim": trim, "number": number}
    colours = {name: (1 - similarity) * value + similarity * _LEAGUE[name] for name, value in colours.items()}
    contrast = abs(luminance(colours["number"]) - luminance(colours["base"]))
    if contrast < 80:                                                   # a number that nobody can read is no number
        colours["number"] = _WHITE if luminance(colours["base"]) < 128 else _BLACK
    colours["shorts"] = colours["base"] if random.random() < 0.8 else colours["trim"]
    colours["sock"] = _WHITE if random.random() < 0.6 else _BLACK
    clear = abs(luminance(colours["trim"]) - luminance(colours["number"])) > 60
    colours["outline"] = colours["trim"] if clear and random.random() < 0.7 else colours["base"]
    pattern = int(random.choice(5, p=[0.3, 0.35, 0.15, 0.1, 0.1]))
    return colours | {"pattern": pattern, "stroke": random.uniform(0.46, 0.62)}


def game(random, spec):
    """Arena, kits and number sheets of one game: dict of arena (ARENA_SIZE,), words (8,), kits [home, away], numbers.

    numbers: (2, 100) int, a shuffled sheet per team, so that no number comes twice in a team and game.
    """
    home_light = bool(random.random() < 0.6)
    kits = [kit(random, light=home_light, similarity=spec.kit_similarity),
            kit(random, light=not home_light and random.random() < 0.5, similarity=spec.kit_similarity)]
    wood = np.array([206.0, 158, 104]) * random.uniform(0.85, 1.1) + random.normal(0, 6, 3)
    paint = kits[0]["trim" if home_light else "base"] * 0.8 + 20 if random.random() < 0.65 else wood * 0.86
    arena = np.zeros(at.ARENA_SIZE)
    apron = paint * 0.9 if random.random() < 0.6 else _colour(random.random(), 0.6, 0.45)
    line = _WHITE if random.random() < 0.8 or luminance(apron) > 170 else _BLACK + 20
    for column, colour in ((at.WOOD, wood), (at.PAINT, paint), (at.APRON, apron), (at.LINE, line),
                           (at.ARC_TINT, wood * random.uniform(0.86, 1.08)),
                           (at.FAN, kits[0]["trim" if home_light else "base"]),
                           (at.STEP, np.full(3, random.uniform(30, 62)) + random.normal(0, 4, 3)),
                           (at.WALL, _colour(random.random(), 0.35, random.uniform(0.1, 0.25)))):
        arena[column:column + 3] = np.clip(colour, 8, 245)
    for i in range(8):
        colour = _colour(random.random(), random.uniform(0.5, 0.95), random.uniform(0.35, 0.9))
        arena[at.BOARD + 3 * i:at.BOARD + 3 * i + 3] = _WHITE * 0.95 if random.random() < 0.2 else colour
    arena[at.CROWD_DENSITY] = random.uniform(0.7, 0.96)
    arena[at.CROWD_LIGHT] = random.uniform(0.42, 0.72)
    arena[at.CROWD_SEED] = random.integers(0, 2**31)
    arena[at.BOARD_HEIGHT] = random.uniform(0.75, 0.95)
    arena[at.FAN_SHARE] = random.uniform(0.05, 0.35)
    arena[at.PANEL_WIDTH] = random.uniform(2.6, 5.0)
    arena[at.GLOSS] = random.uniform(0.06, 0.18)
    return {"arena": arena, "words": random.integers(0, len(WORDS), 8), "kits": kits,
            "numbers": np.stack([random.permutation(100), random.permutation(100)])}


def look(random, *, kit, number):
    """Appearance of one player: (LOOK_SIZE,) float64. number 0..99, or None for a referee."""
    player = number is not None
    look = np.zeros(at.LOOK_SIZE)
    look[at.STATURE] = np.clip(random.normal(1.98, 0.085) if player else random.normal(1.83, 0.06), 1.7, 2.2)
    look[at.GIRTH] = np.clip(random.normal(1.0, 0.085), 0.82, 1.25)
    look[at.SHOULDER] = np.clip(random.normal(1.0, 0.05), 0.88, 1.13)
    look[at.LEG] = random.normal(1.0, 0.018)
    look[at.ARM] = random.normal(1.0, 0.03)
    look[at.HEAD_SIZE] = random.normal(1.0, 0.04)
    skin = _SKINS[random.choice(8, p=[0.2, 0.2, 0.12, 0.13, 0.1, 0.1, 0.1, 0.05])] * random.uniform(0.93, 1.07)
    hair = _HAIRS[random.choice(7, p=_HAIR_ODDS)]
    style = random.choice(6, p=[0.16, 0.42, 0.12, 0.12, 0.1, 0.08] if player else [0.25, 0.65, 0.1, 0, 0, 0])
    look[at.HAIR_STYLE], look[at.BEARD] = style, random.random() < 0.35
    odds = random.random(9)
    look[at.HEADBAND] = player and odds[0] < 0.16
    look[at.SLEEVE_LEFT], look[at.SLEEVE_RIGHT] = player and odds[1] < 0.13, player and odds[2] < 0.13
    look[at.WRIST_LEFT], look[at.WRIST_RIGHT] = player and odds[3] < 0.15, player and odds[4] < 0.15
    look[at.TIGHTS_LEFT] = player and odds[5] < 0.16
    look[at.TIGHTS_RIGHT] = player and (odds[5] < 0.1 or odds[6] > 0.94)
    look[at.SOCK_HEIGHT] = random.choice([0.12, 0.3, 0.5], p=[0.35, 0.45, 0.2]) * random.uniform(0.85, 1.15)
    look[at.UNDERSHIRT] = player and odds[7] < 0.08
    look[at.SHORTS_LENGTH] = random.uniform(0.72, 0.98)
    shoe = _SHOES[random.choice(10, p=[0.24, 0.2, 0.1, 0.09, 0.08, 0.07, 0.06, 0.06, 0.06, 0.04])]
    sole = _WHITE if random.random() < 0.7 else _SHOES[random.integers(10)]
    extra = [_WHITE, _BLACK, kit["base"], kit["trim"]][random.integers(4)]
    look[at.REFEREE] = not player
    look[at.DIGIT_ONE], look[at.DIGIT_TWO] = -1, -1
    if player:
        look[at.DIGIT_ONE], look[at.DIGIT_TWO] = (number, -1) if number < 10 else divmod(number, 10)
    look[at.STROKE], look[at.PATTERN] = kit["stroke"], kit["pattern"]
    sock = kit["sock"] if random.random() < 0.8 else extra
    for column, colour in ((at.SKIN, skin), (at.HAIR, hair), (at.JERSEY, kit["base"]), (at.TRIM, kit["trim"]),
                           (at.SHORTS, kit["shorts"]), (at.NUMBER, kit["number"]), (at.OUTLINE, kit["outline"]),
                           (at.SHOE, shoe if player else _BLACK), (at.SOLE, sole if player else _BLACK),
                           (at.SOCK, sock if player else _BLACK),
                           (at.SLEEVE, extra), (at.BAND, extra), (at.BALL, np.array([196.0, 100, 44]))):
        look[column:column + 3] = np.clip(colour, 6, 245)
    return look


def referee_kit(random):
    """Kit of the referees of one game: grey or black stripes over black trousers."""
    dark = random.random() < 0.3
    pattern = at.PLAIN if random.random() < 0.4 else at.PINSTRIPES
    return {"base": np.full(3, 70.0 if dark else 172.0), "trim": np.full(3, 26.0), "number": _BLACK,
            "outline": _BLACK, "shorts": _BLACK, "sock": _BLACK, "pattern": pattern, "stroke": 0.5}
