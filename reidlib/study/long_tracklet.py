"""The peak memory of a tracklet's features, in a process of its own: MARS's longest has 920 frames."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import torch

from reidlib import models
from reidlib.features import extract_tracklets
from reidlib.study.profile import Profile
from reidlib.study.recipe import Recipe

LONGEST = 920
TOLD = Path("/proc/self/clear_refs")  # Linux's: 5 forgets a process's peak so far


def peak_memory(recipe: Recipe, profile: Profile, frames: int = LONGEST, batch: int = 128) -> dict[str, float]:
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


def sentence(recipe: Recipe, profile: Profile, frames: int = LONGEST) -> str:
    """What `peak_memory` found, in a sentence."""
    if not TOLD.exists():
        return "The memory of a long tracklet is not measured on this system."
    found = peak_memory(recipe, profile, frames)
    return (
        f"Peak memory of a tracklet of {frames} frames, above the model and the images: {found['in parts']:.0f} MiB "
        f"where at most 128 frames are in the network at once, {found['at once']:.0f} MiB where all of them are."
    )
