"""What pedestrians look like: build, hair, clothes, bags. Colours are rgb in 0..255."""

import numpy as np

from reidlib.data.worlds import layout as at
from reidlib.data.worlds.crosswalk import layout as cw

_SKINS = np.array([[92, 60, 44], [140, 96, 70], [176, 126, 96], [205, 156, 124], [226, 182, 152], [232, 194, 168]],
                  float)
_HAIRS = np.array([[18, 15, 14], [28, 22, 19], [56, 38, 26], [92, 62, 38], [160, 122, 74], [120, 118, 116]], float)
_DYES = {
    "black": (28, 28, 32), "charcoal": (62, 64, 70), "grey": (128, 130, 134), "silver": (186, 188, 190),
    "white": (236, 236, 234), "navy": (32, 42, 84), "blue": (44, 88, 176), "sky": (124, 172, 218),
    "teal": (28, 122, 122), "green": (52, 122, 62), "olive": (98, 100, 58), "lime": (150, 190, 66),
    "yellow": (226, 192, 62), "orange": (220, 120, 44), "red": (190, 42, 46), "wine": (112, 32, 52),
    "pink": (226, 140, 166), "purple": (104, 62, 142), "brown": (104, 72, 50), "beige": (202, 182, 148),
    "denim": (66, 86, 124), "faded": (118, 140, 172), "ink": (42, 52, 76), "khaki": (158, 138, 98),
}  # fmt: skip
_TOPS = ("black", "charcoal", "grey", "silver", "white", "navy", "blue", "sky", "teal", "green", "olive", "lime",
         "yellow", "orange", "red", "wine", "pink", "purple", "brown", "beige")
_TOP_ODDS = np.array([15, 6, 7, 3, 15, 7, 7, 5, 3, 5, 3, 2, 4, 3, 8, 3, 5, 4, 3, 4], float)
_BOTTOMS = ("denim", "faded", "ink", "black", "charcoal", "grey", "khaki", "beige", "white", "navy", "brown", "olive",
            "red", "pink")
_BOTTOM_ODDS = np.array([20, 10, 10, 20, 8, 6, 7, 5, 4, 5, 3, 3, 1.5, 1.5], float)
_UNIFORM = {"top": np.array([74.0, 82, 98]), "second": np.array([168.0, 172, 180]), "bottom": np.array([52.0, 58, 74]),
            "shoe": np.array([48.0, 46, 46])}


def _dye(random, names, odds):
    """A colour of cloth: a common dye, a little lighter or darker, a little off in hue."""
    colour = np.array(_DYES[names[random.choice(len(names), p=odds / odds.sum())]], float)
    return colour * np.exp(random.normal(0, 0.09)) * np.exp(random.normal(0, 0.05, 3))


def _apart(colour, other):
    """other, or a lighter or darker grey where other would not show on colour."""
    if np.abs(colour - other).sum() > 130:
        return other
    return np.full(3, 226.0) if colour.sum() < 330 else np.full(3, 44.0)


def clothes(random, woman):
    """One person's own clothes: dict of colours (top, second, bottom, inner, sock) and numbers of the layout."""
    warm = random.random() < 0.5                                        # dressed for warm weather
    top, bottom = _dye(random, _TOPS, _TOP_ODDS), _dye(random, _BOTTOMS, _BOTTOM_ODDS)
    second = _apart(top, _dye(random, _TOPS, _TOP_ODDS))
    inner = _apart(top, _dye(random, _TOPS, _TOP_ODDS))
    wears = {"top": top, "second": second, "bottom": bottom, "inner": inner, "sleeves": 0.5 if warm else 1.95,
             "leg_cloth": 2.0, "hem": 0.0, "gown": cw.NO_GOWN, "open": 0.0, "hood": 0.0, "stripe": 0.0,
             "top_end": random.choice([0.2, 0.42, 0.66], p=[0.35, 0.4, 0.25]), "pitch": random.uniform(0.05, 0.13),
             "print": int(random.choice(7, p=[0.46, 0.12, 0.06, 0.09, 0.12, 0.08, 0.07]))}
    kind, legs = random.random(2)
    if woman and legs < 0.28:                                           # a skirt, or a dress in one colour
        tights = random.random() < 0.3
        wears |= {"gown": cw.SKIRT, "hem": random.uniform(0.55, 1.5), "leg_cloth": 2.0 if tights else 0.0}
        if random.random() < 0.5:
            wears["bottom"] = top
    elif legs < (0.5 if warm else 0.04):
        wears["leg_cloth"] = random.uniform(0.55, 1.05)
    elif legs > 0.94:
        wears["stripe"] = 1.0
    if not warm and kind < 0.45:                                        # a jacket, often open
        wears |= {"open": random.choice([0.0, 1.0], p=[0.4, 0.6]), "hood": float(random.random() < 0.5),
                  "print": int(random.choice([cw.PLAIN, cw.BLOCK, cw.RAGLAN], p=[0.7, 0.18, 0.12]))}
    elif not warm and kind < 0.6 and wears["gown"] == cw.NO_GOWN:       # a coat
        wears |= {"gown": cw.COAT, "hem": random.uniform(0.55, 1.2), "print": cw.PLAIN,
                  "open": float(random.random() < 0.4)}
    elif kind > 0.93:
        wears["sleeves"] = 0.0
    return wears


def _common(own, odds, similarity):
    """Own clothes drawn towards what everybody wears: colours by degrees, the rest one by one."""
    usual = {"sleeves": 1.95, "leg_cloth": 2.0, "gown": cw.NO_GOWN, "open": 0.0, "hood": 0.0, "stripe": 0.0,
             "top_end": 0.42, "print": cw.PLAIN, "pitch": 0.1}
    colours = {name: (1 - similarity) * own[name] + similarity * _UNIFORM[of] for name, of in
               (("top", "top"), ("second", "second"), ("inner", "second"), ("bottom", "bottom"))}
    cut = {name: value if odds[i] < similarity else own[name] for i, (name, value) in enumerate(usual.items())}
    return {"hem": own["hem"]} | cut | colours


def look(random, spec):
    """Appearance of one pedestrian: (LOOK_SIZE,) float64."""
    look = np.zeros(cw.LOOK_SIZE)
    woman = random.random() < 0.48
    look[at.STATURE] = np.clip(random.normal(1.66 if woman else 1.79, 0.075), 1.48, 2.02)
    look[at.GIRTH] = np.clip(random.normal(0.84 if woman else 0.97, 0.09), 0.7, 1.3)
    look[at.SHOULDER] = np.clip(random.normal(0.92 if woman else 1.02, 0.05), 0.8, 1.15)
    look[at.LEG], look[at.ARM] = random.normal(1.0, 0.02), random.normal(1.0, 0.025)
    look[at.HEAD_SIZE] = random.normal(1.0, 0.04)
    skin = _SKINS[random.choice(6, p=[0.07, 0.1, 0.15, 0.25, 0.25, 0.18])] * random.uniform(0.93, 1.07)
    hair = _HAIRS[random.choice(6, p=[0.3, 0.28, 0.17, 0.12, 0.07, 0.06])]
    look[at.HAIR_STYLE] = random.choice(6, p=[0, 0.24, 0.03, 0.03, 0.52, 0.18] if woman else
                                        [0.1, 0.72, 0.08, 0.04, 0.04, 0.02])
    look[at.BEARD] = not woman and random.random() < 0.2
    own = clothes(random, woman)
    wears = _common(own, random.random(9), spec.clothes_similarity)
    look[cw.SLEEVES], look[cw.LEG_CLOTH], look[cw.HEM] = wears["sleeves"], wears["leg_cloth"], wears["hem"]
    look[cw.GOWN], look[cw.TOP_END], look[cw.PRINT] = wears["gown"], wears["top_end"], wears["print"]
    look[cw.PITCH], look[cw.OPEN], look[cw.STRIPE] = wears["pitch"], wears["open"], wears["stripe"]
    look[cw.HOOD] = wears["hood"]
    trousers = look[cw.LEG_CLOTH] > 1.5
    look[at.REFEREE] = trousers                                         # for body.py: wide cloth down to the ankles
    look[at.SHORTS_LENGTH] = 0.3 if look[cw.GOWN] == cw.SKIRT else min(look[cw.LEG_CLOTH], 0.98)
    look[at.SOCK_HEIGHT] = random.choice([0.1, 0.3], p=[0.75, 0.25])
    look[cw.BAG] = random.choice(4, p=[0.48, 0.22, 0.18, 0.12])
    look[cw.BAG_SIDE] = random.choice([-1.0, 1.0])
    look[cw.HAT] = random.choice(3, p=[0.86, 0.09, 0.05])
    shoe, sole = _dye(random, _TOPS, _TOP_ODDS), np.full(3, 232.0) if random.random() < 0.5 else np.full(3, 40.0)
    shoe = (1 - spec.clothes_similarity) * shoe + spec.clothes_similarity * _UNIFORM["shoe"]
    bag, hat = _dye(random, _TOPS, _TOP_ODDS), _dye(random, _TOPS, _TOP_ODDS)
    sock = np.full(3, 225.0) if random.random() < 0.5 else np.full(3, 40.0)
    for column, colour in ((at.SKIN, skin), (at.HAIR, hair), (at.JERSEY, wears["top"]), (at.TRIM, wears["second"]),
                           (at.SHORTS, wears["bottom"]), (at.SHOE, shoe), (at.SOLE, sole), (at.SOCK, sock),
                           (cw.INNER, wears["inner"]), (cw.BAG_COLOUR, _apart(wears["top"], bag)),
                           (cw.HAT_COLOUR, hat)):
        look[column:column + 3] = np.clip(colour, 8, 242)
    return look
