"""The same training twice on a GPU, as it is and in its deterministic mode: equal or not, and how long each takes.

    python benchmarks/determinism.py [--device cuda] [--out determinism.json]

Networks of every kind that the study trains, at a quarter of the reports' pixels, on noise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from functools import partial
from pathlib import Path

import torch

from reidlib import models
from reidlib.augment import Augmentation
from reidlib.data.sampling import clip_batches
from reidlib.features import extract, extract_tracklets
from reidlib.optimisation import TrainingOptions
from reidlib.study.provenance import device_name, make_deterministic, versions
from reidlib.training import train

PERSONS, FRAMES = 32, 4
OPTIONS = {"epochs": 3, "persons": 16, "images": 4, "learning_rate": 3.5e-4}
KINDS = {  # model, its options, training options
    "mgn": ("mgn", {"backbone": "resnet50_ibn"}, {"freeze_epochs": 1.0}),
    "baseline": (
        "baseline",
        {"backbone": "se_resnet50_ibn", "cosine": True},
        {"classification": "circle", "center_weight": 5e-4},
    ),
    "osnet": ("baseline", {"backbone": "osnet"}, {}),
    "clips": ("video", {"backbone": "resnet50", "temporal": "ica"}, {}),
}


def pictures(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (PERSONS * 16, 3, 128, 64), dtype=torch.uint8, generator=generator)
    return images.to(device), torch.arange(PERSONS).repeat_interleave(16)


def run(kind: str, precision: str, device: torch.device) -> tuple[str, float]:
    """SHA-256 of the weights and features of one run, and its seconds without the first epoch."""
    model, model_options, training = KINDS[kind]
    torch.manual_seed(0)
    net = models.build(model, num_classes=PERSONS, **model_options).to(device)
    images, labels = pictures(device)
    clips = model == "video"
    options = TrainingOptions(**OPTIONS | {"images": 2 if clips else 4, "precision": precision} | training)
    sequences = torch.arange(len(labels)) // FRAMES
    draw = partial(clip_batches, labels, sequences, options.persons, options.images, FRAMES, spread=False, seed=0)
    ends: list[float] = []

    def at_epoch(epoch: int) -> dict:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        ends.append(time.perf_counter())
        return {}

    augmentation = Augmentation(flip=0.5, pad=4, erasing=0.5, frames=FRAMES if clips else 1)
    batches = (lambda epoch: draw(epoch=epoch)) if clips else None
    train(net, images, labels, augmentation=augmentation, options=options, seed=0, batches=batches,
          at_epoch=at_epoch, advance=lambda done: None)  # fmt: skip
    if clips:
        found = extract_tracklets(net, images, sequences, frames=FRAMES, precision=precision)
    else:
        found = extract(net, images, precision=precision)
    digest = hashlib.sha256(found.numpy())
    for tensor in net.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest(), ends[-1] - ends[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    found = {"versions": versions(), "device": device_name(device), "runs": []}
    for mode in ("as it is", "deterministic"):
        if mode == "deterministic":
            make_deterministic()
        for kind in options.kinds:
            for precision in ("fp32", "bf16"):
                line = {"mode": mode, "kind": kind, "precision": precision}
                try:
                    both = [run(kind, precision, device) for _ in range(2)]
                    line |= {"equal": both[0][0] == both[1][0], "seconds": round(min(s for _, s in both), 3)}
                except RuntimeError as error:
                    line |= {"error": str(error).splitlines()[0][:300]}
                found["runs"].append(line)
                print(json.dumps(line), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
