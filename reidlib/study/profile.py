"""Profiles: how far a recipe is scaled down, as one flat YAML that is valid for every chapter (`papermill -f`)."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

PARAMS = Path(__file__).parents[2] / "params"


@dataclass(frozen=True)
class Profile:
    """Scale factors and choices; `Recipe.scaled(profile)` is the only place where they meet a recipe.

    profile: its name, shown on the page. data: "worlds", rendered here; "real", the reports' data sets on this disk; or
    "folder", one's own images. data_root: the folder that holds the worlds, or the real data sets under their names, or
    the own images; "": the documented places. train_ids, val_ids, test_ids: identities of the Courtside world's splits;
    those of the Crosswalk world are in proportion (real data: all).
    image_scale: factor on the recipe's height and width, rounded up to multiples of 16 pixels.
    epoch_scale: factor on epochs, milestones, warm-up and freezing. batch_scale: factor on persons per batch.
    backbones: light stand-ins for the recipe's, {"resnet50": "resnet18"}: "se_resnet50_ibn" becomes "se_resnet18_ibn";
    the first pattern that fits counts, such as "resnet*"; empty: the recipe's own. backbone_width: factor on channels.
    part_dim: in place of the recipe's (0: the recipe's).
    seeds: one run each. device: "auto", "cpu" or "cuda". precision: "fp32" or "bf16".
    """

    profile: str
    data: str
    data_root: str
    train_ids: int
    val_ids: int
    test_ids: int
    image_scale: float
    epoch_scale: float
    batch_scale: float
    backbones: dict[str, str]
    backbone_width: float
    part_dim: int
    seeds: tuple[int, ...]
    device: str
    precision: str

    def __post_init__(self) -> None:
        for name in ("image_scale", "epoch_scale", "batch_scale", "backbone_width"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: wants a factor in (0, 1], got {getattr(self, name)}")
        for name in ("train_ids", "val_ids", "test_ids"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise ValueError(f"{name}: wants 1 to 10000 identities, got {getattr(self, name)}")
        if not 0 <= self.part_dim <= 65_536:
            raise ValueError(f"part_dim: wants 0 (the recipe's own) to 65536, got {self.part_dim}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or not all(0 <= s < 2**31 for s in self.seeds):
            raise ValueError(f"seeds: wants one or more different integers from 0 to 2**31 - 1, got {list(self.seeds)}")
        if not re.fullmatch(r"\w[\w.-]{0,99}", self.profile):  # it names a folder
            raise ValueError(f"profile: wants a name of letters, digits, '-', '_' and '.', got {self.profile!r}")
        for name, choices in (
            ("data", ("worlds", "real", "folder")),
            ("device", ("auto", "cpu", "cuda")),
            ("precision", ("fp32", "bf16")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: wants one of {', '.join(choices)}, got {getattr(self, name)!r}")

    @property
    def first_look(self) -> bool:
        """Whether runs are so short that their numbers are a first look: what is swept has fewer points there."""
        return self.epoch_scale < 0.1


def profile_from(values: dict[str, Any], source: str) -> Profile:
    """A Profile of a dict of its fields; source names the file or chapter in errors.

    Raises ValueError for a key that is unknown, missing or of the wrong type.
    """
    types = {field.name: field.type for field in fields(Profile)}
    for key in values:
        if key not in types:
            raise ValueError(f"{source}: {unknown('key', key, types)}")
    missing = [key for key in types if key not in values]
    if missing:
        raise ValueError(f"{source}: lacks {', '.join(missing)}; params/laptop.yaml shows every key")
    return Profile(**{key: _checked(source, key, values[key], types[key]) for key in types})


def profile_path(name: str) -> Path:
    """The YAML file of a profile's name ("laptop": params/laptop.yaml) or of a path to one; absolute."""
    path = Path(name).absolute() if name.endswith((".yaml", ".yml")) else PARAMS / f"{name}.yaml"
    if not path.exists():
        known = sorted(p.stem for p in PARAMS.glob("*.yaml"))
        raise ValueError(f"profile: no file {path.name}; there are {', '.join(known)}, or give a .yaml file's path")
    return path


def load_profile(name: str) -> Profile:
    """The profile of a name or of a YAML file's path. Raises ValueError for a file that is not a profile."""
    path = profile_path(name)
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path.name}: wants lines of 'key: value'")
    return profile_from(values, path.name)


def label(profile: Profile) -> str:
    """The profile's name, and what differs from the file of that name."""
    if not (PARAMS / f"{profile.profile}.yaml").exists():
        return profile.profile
    file = asdict(load_profile(profile.profile))
    changed = [f"{key} {value}" for key, value in asdict(profile).items() if value != file[key]]
    return profile.profile + (f" with {', '.join(changed)}" if changed else "")


def unknown(kind: str, name: str, known) -> str:
    """A sentence for a name that is not known, with the nearest one that is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown {kind} {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}")


def _checked(source: str, key: str, value: Any, kind: str) -> Any:
    if kind == "tuple[int, ...]":
        if isinstance(value, list | tuple) and all(type(item) is int for item in value):
            return tuple(value)
        raise ValueError(
            f"{source}: {key} wants a list of integers such as [0, 1, 2], with papermill -y 'seeds: [0]'; got {value!r}"
        )
    if kind == "dict[str, str]":
        if isinstance(value, dict) and all(type(item) is str for pair in value.items() for item in pair):
            return dict(value)
        raise ValueError(
            f"{source}: {key} wants names for names, with papermill -y '{key}: {{resnet50: resnet18}}'; got {value!r}"
        )
    if kind == "float" and type(value) is int:
        value = float(value)
    if type(value).__name__ != kind:
        raise ValueError(f"{source}: {key} wants {kind}, got {value!r}")
    return value
