"""CourtsideSpec: every assumption behind a Courtside world as one frozen, validated value."""

import dataclasses

from reidlib.data.worlds.knobs import Knobs

SPLITS = ("train", "val", "test")
PERSON_OFFSET = {"train": 0, "val": 10_000, "test": 20_000}      # pid = offset + index: labels survive a change of size
SHOTS_PER_GAME = 3                                               # shots that share arena and kits; the people differ

_UNIT = ("occlusion", "kit_similarity", "viewpoint_change", "background_persistence", "identity_imbalance")


@dataclasses.dataclass(frozen=True)
class CourtsideSpec(Knobs):
    """Knobs, sizes and seed of a Courtside world (basketball, SynergyReID protocol).

    What the reports assume, as knobs:
      frame_interval          seconds between two frames of a sequence, (0, 60]
      occlusion               0..1, crowding: how closely players gather and mark each other
      label_noise             0..0.5, share of TRAIN images filed under another person of the same shot (truth.csv keeps
                              the true one); two people of one shot and frame swap labels, so counts per label stay
      kit_similarity          0..1, pull of every kit in the league towards one common kit; 1: all kits are equal
      viewpoint_change        0..1, how far people turn within a sequence; 1: standard deviation of 1.6 rad over time
      background_persistence  0..1; 1: the camera stands still, 0: it travels along the sideline and pans by metres.
                              The background in a crop still moves with the player
      backdrop                "kept", "removed" or "swapped": what an image shows where it shows neither its person nor
                              what hides the person; removed: one flat mid grey, swapped: the empty arena of another
                              shot as that shot's camera sees it, one of 30, shot and frame drawn for every image
      identity_imbalance      0..1, how unequal the numbers of images per TRAIN identity are; 0: equal but for the few
                              frames left out to reach train_images, 1: log-normal shares with sigma 1
    Imaging:
      detector_jitter         standard deviation of box centre and size, in box heights, independent per frame, [0, 0.3]
      noise                   standard deviation of sensor noise in 8-bit grey levels, [0, 50]
      blur                    shutter time in seconds; times the target's image velocity it gives the blur, [0, 0.2]
      jpeg_quality            1..95
      height, width           pixels of every image, at least 32 x 16
    Sizes:
      frames_per_sequence     frames of a sequence, 2..100; frame 0 of a val or test identity is the query
      people_per_shot         identities per shot, 2..20; two more people, never targets, share the court
      train_ids, val_ids, test_ids                identities per split, 0..10000, train at least 1
      train_images, val_gallery, test_gallery     exact image totals; 0: every frame of every identity
    seed: non-negative integer; version: of the renderer, raised whenever the same spec would give other bytes.

    Raises ValueError naming the field when a value is out of range.
    """

    # Calibrated on the baseline alone (book/chapters/worlds.ipynb): frame_interval, occlusion, viewpoint_change,
    # background_persistence.
    frame_interval: float = 0.05
    occlusion: float = 0.2
    label_noise: float = 0.0
    kit_similarity: float = 0.2
    viewpoint_change: float = 0.25
    background_persistence: float = 0.8
    backdrop: str = "kept"
    identity_imbalance: float = 0.0
    detector_jitter: float = 0.02
    noise: float = 3.0
    blur: float = 0.012
    jpeg_quality: int = 90
    height: int = 128
    width: int = 64
    frames_per_sequence: int = 20
    people_per_shot: int = 10
    train_ids: int = 436
    val_ids: int = 50
    test_ids: int = 468
    train_images: int = 8569
    val_gallery: int = 910
    test_gallery: int = 8703
    seed: int = 0
    version: int = 1

    def __post_init__(self):
        self._check(_UNIT)
        self._within("frame_interval", 1e-3, 60.0)
        self._within("frames_per_sequence", 2, 100)
        self._within("people_per_shot", 2, 20)
        for split in SPLITS:
            self._within(f"{split}_ids", 1 if split == "train" else 0, 10_000)
        most = self.train_ids * self.longest_sequence("train")
        self._total("train_images", 2 * self.train_ids, most)
        for split in ("val", "test"):
            ids = self.ids(split)
            self._total(f"{split}_gallery", ids, ids * (self.frames_per_sequence - 1))
        if self.backdrop not in ("kept", "removed", "swapped"):
            raise ValueError(f"backdrop: wants 'kept', 'removed' or 'swapped', got {self.backdrop!r}")

    def _total(self, name, low, high):
        value = getattr(self, name)
        if value != 0 and not low <= value <= high:
            raise ValueError(f"{name}: wants 0 (every frame) or {low} to {high} images for these sizes, got {value}")

    def ids(self, split: str) -> int:
        """Number of identities in split ("train", "val" or "test")."""
        if split not in SPLITS:
            raise ValueError(f"split: {split!r} is none of {', '.join(SPLITS)}")
        return getattr(self, f"{split}_ids")

    def shots(self, split: str) -> int:
        """Number of shots in split; the last one may lack people."""
        return -(-self.ids(split) // self.people_per_shot)

    def images(self, split: str) -> int:
        """Number of images in split, queries included."""
        ids = self.ids(split)
        if split == "train":
            return self.train_images or ids * self.frames_per_sequence
        return ids + (getattr(self, f"{split}_gallery") or ids * (self.frames_per_sequence - 1))

    def longest_sequence(self, split: str) -> int:
        """Frames of the longest sequence that split may hold: three times the usual length under imbalance."""
        imbalanced = split == "train" and self.identity_imbalance > 0
        return self.frames_per_sequence * (3 if imbalanced else 1)

    def _fields(self) -> dict:
        fields = super()._fields()
        if self.backdrop == "kept":                      # the keys of the frozen worlds are older than this knob
            del fields["backdrop"]
        return fields
