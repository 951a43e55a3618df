"""A stage of the store: the peak memory of a long tracklet's features; MARS's longest has 920 frames."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reidlib import models
from reidlib.features import extract_tracklets
from reidlib.study.profile import Profile
from reidlib.study.provenance import Stopwatch
from reidlib.study.recipe import Recipe
from reidlib.study.runner import VERSIONS, Study
from reidlib.study.store import Entry, key_of
from reidlib.study.tables import link

LONGEST, BATCH = 920, 128
TOLD = Path("/proc/self/clear_refs")  # Linux's: 5 forgets a process's peak so far


def peak_memory(recipe: Recipe, profile: Profile, frames: int = LONGEST, batch: int = BATCH) -> dict[str, float]:
    """MiB above the model and the images that a tracklet's features take on the CPU, with the profile's images.

    Returns "short" for a tracklet of one batch, "in parts" for one of so many frames, and "at once" for that with all
    of its frames in one batch. batch: frames that the model sees at once.
    Raises ValueError where the system does not tell (it is Linux's /proc that does), and for too few
    or too many frames.
    """
    if not 1 <= frames <= 100_000:
        raise ValueError(f"frames: wants a tracklet of 1 to 100000 frames, got {frames}")
    if not TOLD.exists():
        raise ValueError(f"peak_memory: wants Linux, where {TOLD} lets a process ask for its peak")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (recipe.scaled(profile), frames, batch))


def _measure(scaled: Recipe, frames: int, batch: int) -> dict[str, float]:
    torch.set_num_threads(1)
    model = models.build(scaled.model, num_classes=1, **scaled.model_options).eval()
    images = torch.randint(0, 256, (frames, 3, scaled.height, scaled.width), dtype=torch.uint8)

    def peak(length: int, at_once: int) -> float:
        TOLD.write_text("5")  # the peak begins anew from what is held now
        before = _status("VmRSS")
        tracklets = torch.zeros(length, dtype=torch.long)
        scale = scaled.augmentation.scale
        extract_tracklets(model, images[:length], tracklets, frames=scaled.clip_frames, batch=at_once, scale=scale)
        return (_status("VmHWM") - before) / 1024

    peak(batch, batch)  # whatever a first call loads and keeps
    found = {"short": peak(batch, batch), "in parts": peak(frames, batch)}
    return found | {"at once": peak(frames, frames)}


def _status(name: str) -> int:
    """KiB, from the process's own status."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1])


def memory_key(study: Study, recipe: Recipe, frames: int = LONGEST) -> str:
    return key_of("memory", VERSIONS["memory"], _config(study, recipe, frames), [])


def _config(study: Study, recipe: Recipe, frames: int) -> dict[str, Any]:
    return {"recipe": recipe.scaled(study.profile).config(), "frames": frames, "batch": BATCH}


def memory(study: Study, recipe: Recipe, frames: int = LONGEST) -> Entry:
    """The record has what `peak_memory` returns. It is a measurement: the same key gives another number elsewhere."""

    def compute(folder: Path, work: Path) -> dict[str, Any]:
        watch = Stopwatch(torch.device("cpu"))
        found = peak_memory(recipe, study.profile, frames)
        return study.record("memory", _config(study, recipe, frames), watch) | {"row": recipe.row, "mib": found}

    return study.store.get("memory", memory_key(study, recipe, frames), compute)


@dataclass(frozen=True)
class MemoryNeed:
    """The stage as a chapter's need; see `needs.JOINT`."""

    recipe: Recipe
    seeds: tuple[int, ...]  # the first one of the profile; a memory has no seed
    recipes: tuple[Recipe, ...] = ()
    scenes: tuple = ()
    files: tuple[str, ...] = ()

    def find(self, study: Study, seed: int) -> Entry | None:
        return study.store.find("memory", memory_key(study, self.recipe))

    def compute(self, study: Study, seed: int) -> Entry:
        return memory(study, self.recipe)


def sentence(study: Study, recipe: Recipe, frames: int = LONGEST) -> str:
    """What was found, in a sentence with its record."""
    if study.store.find("memory", memory_key(study, recipe, frames)) is None and not TOLD.exists():
        return "The memory of a long tracklet is not measured on this system."
    entry = memory(study, recipe, frames)
    found = entry.record["mib"]
    return (
        f"Peak memory of a tracklet of {frames} frames, above the model and the images: {found['in parts']:.0f} MiB "
        f"where at most {BATCH} frames are in the network at once, {found['at once']:.0f} MiB where all of them are "
        f"({link(entry, 'record')})."
    )
