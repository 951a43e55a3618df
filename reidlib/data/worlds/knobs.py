"""What the specs of worlds have in common, fields checked by type and range with a key; and a detector's window."""

import dataclasses
import hashlib
import json

import numpy as np

MARGIN = 1.07                                            # height of a detector's box over the height of the person


class Knobs:
    """Base of a frozen dataclass of int, float and str fields that describes a world."""

    def _check(self, unit: tuple[str, ...]) -> None:
        """Types of all fields; `unit` ones in [0, 1]; the ranges of what every world has."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float) if field.type is float else field.type):
                raise ValueError(f"{field.name}: wants {field.type.__name__}, got {value!r}")
            if field.type is float:                      # 1 and 1.0 must have the same key
                object.__setattr__(self, field.name, float(value))
        for name in unit:
            self._within(name, 0.0, 1.0)
        self._within("label_noise", 0.0, 0.5)
        self._within("detector_jitter", 0.0, 0.3)
        self._within("noise", 0.0, 50.0)
        self._within("blur", 0.0, 0.2)
        self._within("jpeg_quality", 1, 95)
        self._within("height", 32, 1024)
        self._within("width", 16, 1024)
        self._within("seed", 0, 2**63 - 1)
        self._within("version", 1, 1)

    def _within(self, name, low, high):
        value = getattr(self, name)
        if not low <= value <= high:                     # also catches NaN
            raise ValueError(f"{name}: wants a value in [{low}, {high}], got {value!r}")

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self._fields(), sort_keys=True, separators=(",", ":"))

    def _fields(self) -> dict:
        return dataclasses.asdict(self)

    @property
    def key(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def detected(spec: Knobs, box, random, *, slimmest: float):
    """Where a detector sees a person: centre, height and width of its window on the image plane, with its jitter.

    box: left, right, bottom and top of the person. slimmest: least width of a window, in its heights, before jitter.
    """
    u0, u1, v0, v1 = box
    noise = random.normal(0.0, spec.detector_jitter, 4)
    height = (v1 - v0) * MARGIN
    width = np.clip((u1 - u0) * 1.10, slimmest * height, 0.62 * height)
    u = (u0 + u1) / 2 + noise[0] * height * 0.6
    v = (v0 + v1) / 2 + noise[1] * height
    return u, v, height * np.exp(noise[2]), width * np.exp(noise[2] + noise[3])
