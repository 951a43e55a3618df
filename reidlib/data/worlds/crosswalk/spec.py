"""CrosswalkSpec: every assumption behind a Crosswalk world as one frozen, validated value."""

import dataclasses

from reidlib.data.worlds.knobs import Knobs

SPLITS = ("train", "test")
LAYOUTS = ("market1501", "mars", "ilidsvid", "prid2011")
DURATION = 10.0                             # s, of the longest tracklet: for so long a walk keeps clear of the camera

# The real data sets: persons, pairs of a test person and a camera, and of Market-1501 (its readme, and what loaders
# find) the images per folder and kind, of MARS (its files) the tracklets.
_REAL = {
    "market1501": {"train_ids": 751, "train_images": 12_936, "test_ids": 750, "sights": 3_368, "gallery_images": 13_115,
                   "distractors": 2_798, "junk": 3_819},
    "mars": {"test_ids": 626, "sights": 1_980, "distractors": 3_248, "junk": 870},
    "ilidsvid": {"test_ids": 150, "sights": 300},
    "prid2011": {"test_ids": 89, "sights": 178},
}  # fmt: skip
# Chances that a camera that sees a person does so at least 1, 2, 3, ... times. Of MARS 8,062 tracklets of 1,980 pairs
# are known, 4.07 a pair, and that 140 of 1,980 queries have no match but other queries; 0.764 gives 4.07 and about 170.
AGAIN = {"market1501": (1.0, 0.3, 0.08), "mars": tuple(0.764**again for again in range(12)), "ilidsvid": (1.0,),
         "prid2011": (1.0,)}
# Two cameras: every split trains on others, so that nothing may tell training from test; nobody else is there, and PNG
# loses nothing.
_FIXED = {"cameras": 2, "label_noise": 0.0, "identity_imbalance": 0.0, "jpeg_quality": 90, "distractors": -1,
          "junk": -1}
_UNIT = ("occlusion", "clothes_similarity", "colour_shift", "viewpoint_change", "background_persistence",
         "identity_imbalance")


@dataclasses.dataclass(frozen=True)
class CrosswalkSpec(Knobs):
    """Knobs, sizes and seed of a Crosswalk world: pedestrians seen by several cameras.

    layout: in which data set's layout the world is written, and with whose protocol:
      "market1501"            Market-1501: single images, some frames of every tracklet
      "mars"                  MARS: whole tracklets; of every test person and camera the first one is the query
      "ilidsvid", "prid2011"  iLIDS-VID and PRID 2011: two cameras, which see everybody once each; PNG. Ten splits into
                              halves are drawn from the seed, so who is trained on is up to the split: train_ids and
                              test_ids are equal, and label_noise, identity_imbalance and jpeg_quality cannot be changed
    In all but the first, a tracklet has a length of its own: its logarithm is uniform between an eighth of
    frames_per_tracklet (but at least 2, and 27 in PRID 2011's layout, below which its splits leave a person out) and
    frames_per_tracklet. iLIDS-VID's are 23 to 192 frames, 73 on average, MARS's 2 to 920, 60 on average.

    What the reports assume, as knobs:
      frame_interval          seconds between two frames of a tracklet; a tracklet lasts at most 10 s
      occlusion               0..1, how many companions, passers-by and things stand between person and camera
      label_noise             0..0.5, share of TRAIN images filed under another person (truth.csv keeps the true one);
                              two people in the same tracklet and frame of one camera swap labels, so counts per label
                              stay; in MARS's layout share of TRAIN tracklets, which swap as a whole. Lone images find
                              no partner: very small worlds may stay below the share
      clothes_similarity      0..1, how much everybody dresses alike; 1: the same clothes, while bags, hats, hair and
                              build still differ
      colour_shift            0..1, how much cameras differ in colour response and light; 0: not at all
      viewpoint_change        0..1, how much they differ in the side that people show and in elevation; 0: everybody
                              walks towards every camera
      background_persistence  0..1, share of tracklets that a camera films in its usual place; the others each have a
                              place of their own, so that the background tells nothing about the camera
      identity_imbalance      0..1, how unequal the numbers of images per TRAIN identity are; 1: drawn with log-normal
                              weights of sigma 1. In MARS's layout by the lengths of its tracklets
    Imaging:
      detector_jitter         standard deviation of box centre and size, in box heights, independent per image, [0, 0.3]
      noise                   standard deviation of sensor noise in 8-bit grey levels, [0, 50]
      blur                    shutter time in seconds; times the person's image velocity it gives the blur, [0, 0.2]
      jpeg_quality            1..95
      height, width           pixels of every image, at least 32 x 16
    Sizes:
      cameras                 2..9; a person is seen by two of them at least, and with six by 4.49 as in Market-1501, or
                              by 3.16 as in MARS
      frames_per_tracklet     2..1000 (MARS's layout: 2..999, PRID 2011's: 27..1000)
      train_ids, test_ids     identities per split, train 1..4000, test 0..4000 (at least 1 but in Market-1501's layout;
                              iLIDS-VID's: 1..499, PRID 2011's: 1..100); with 751 and 750 the world has Market-1501's
                              own counts
      train_images, gallery_images            Market-1501's layout alone: exact totals; -1: as many per identity as it
                              has. Gallery without distractors and junk
      distractors, junk       exact totals, in MARS's layout of tracklets; -1: as many per identity as Market-1501 or
                              MARS has
    There is one query for every test person and camera (in a split of two cameras: for every test person).
    seed: non-negative integer; version: of the renderer, raised whenever the same spec would give other bytes.

    Raises ValueError naming the field when a value is out of range.
    """

    layout: str = "market1501"
    frame_interval: float = 1.0
    occlusion: float = 0.05
    label_noise: float = 0.0
    clothes_similarity: float = 0.0
    colour_shift: float = 0.0
    viewpoint_change: float = 0.05
    background_persistence: float = 1.0
    identity_imbalance: float = 0.0
    detector_jitter: float = 0.015
    noise: float = 3.0
    blur: float = 0.012
    jpeg_quality: int = 90
    height: int = 128
    width: int = 64
    cameras: int = 6
    frames_per_tracklet: int = 8
    train_ids: int = 751
    test_ids: int = 750
    train_images: int = -1
    gallery_images: int = -1
    distractors: int = -1
    junk: int = -1
    seed: int = 0
    version: int = 1

    def __post_init__(self):
        self._check(_UNIT)
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout: {self.layout!r} is none of {', '.join(LAYOUTS)}")
        market, mars = (self.layout == name for name in ("market1501", "mars"))
        for name, value in {} if market or mars else _FIXED.items():
            self._only(name, value)
        self._within("cameras", 2, 9)
        self._within("frames_per_tracklet", self.shortest, 999 if mars else 1000)       # MARS numbers them in 3 digits
        self._within("frame_interval", 1e-3, DURATION / (self.frames_per_tracklet - 1))
        most = {"ilidsvid": 499, "prid2011": 100}.get(self.layout, 4_000)               # 3 digits; 200 are in both
        self._within("train_ids", 1, most)
        self._within("test_ids", 0 if market else 1, most)
        if not (market or mars):
            self._only("test_ids", self.train_ids)
        for name, split in (("train_images", "train"), ("gallery_images", "test")):
            if not market:
                self._only(name, -1)
            elif getattr(self, name) != -1:              # every sight has an image for sure, and a query for the test
                low, each = self.sights(split), self.frames_per_tracklet - (split == "test")
                self._within(name, low, low * each)
        self._within("distractors", -1, (9_999 if mars else 10**6) if self.test_ids else 0)
        self._within("junk", -1, self.sights("test") * (1 if mars else self.frames_per_tracklet))

    def _only(self, name, value):
        if getattr(self, name) != value:
            raise ValueError(f"{name}: wants {value} in the layout {self.layout!r}, got {getattr(self, name)!r}")

    @property
    def shortest(self) -> int:
        """Frames of the shortest tracklet that there may be in a layout of whole tracklets."""
        return 27 if self.layout == "prid2011" else 2

    @property
    def most_tracklets(self) -> int:
        """How often one camera may see one person."""
        return len(AGAIN[self.layout])

    def ids(self, split: str) -> int:
        """Number of identities in split ("train" or "test")."""
        if split not in SPLITS:
            raise ValueError(f"split: {split!r} is none of {', '.join(SPLITS)}")
        return getattr(self, f"{split}_ids")

    def sights(self, split: str) -> int:
        """Number of pairs of a person and a camera that sees it."""
        return round(self.ids(split) * self._sights_each())

    def _sights_each(self):
        real = _REAL[self.layout]
        return 2.0 + (self.cameras - 2) * (real["sights"] / real["test_ids"] - 2.0) / 4

    def images(self, kind: str) -> int:
        """Number of images of a kind: "train_images", "gallery_images", "distractors" or "junk".

        In MARS's layout, number of tracklets that are "distractors" or "junk".
        """
        value, real = getattr(self, kind), _REAL[self.layout]
        if value != -1:
            return value
        split = "train" if kind == "train_images" else "test"
        share = self._sights_each() * real["test_ids"] / real["sights"]
        count = round(real[kind] * self.ids(split) / real[f"{split}_ids"] * share)
        if kind == "distractors":
            return count
        each = 1 if self.layout == "mars" else self.frames_per_tracklet - (kind == "gallery_images")
        return min(max(count, 0 if kind == "junk" else self.sights(split)), self.sights(split) * each)

    def _fields(self) -> dict:
        fields = super()._fields()
        if self.layout == "market1501":                  # the keys of older worlds are older than this knob
            del fields["layout"]
        return fields
