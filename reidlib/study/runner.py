"""The runner: train, features, evaluate, each looked up in the store or computed into it.

train     (recipe after scaling, seed, data)       -> weights, curve
features  (train, split)                           -> float16 features with their labels
evaluate  (features, ranking)                      -> mAP, CMC, mINP, the average precision of every query
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from reidlib import models
from reidlib.checkpoint import save_tensors
from reidlib.data import Dataset
from reidlib.features import extract
from reidlib.study.data import StudyData
from reidlib.study.profile import Profile, label
from reidlib.study.provenance import Stopwatch
from reidlib.study.ranking import Gallery, Ranking, score
from reidlib.study.recipe import Recipe
from reidlib.study.store import Entry, Store, key_of
from reidlib.training import train

# A stage's version is raised when its numbers change; tests/test_numerics.py pins them.
VERSIONS = {"train": 1, "features": 1, "evaluate": 1}
LABELS = ("person", "camera", "sequence", "frame")


@dataclass
class Study:
    """A profile, its data and the store: everything that turns recipes into entries."""

    profile: Profile
    store: Store
    dataset: Dataset | None = None  # in place of the profile's own
    advance: Callable[[int], None] | None = None  # told of every training iteration, in place of a bar
    threads: int = field(default_factory=torch.get_num_threads)  # of a CPU run; its last bits depend on it
    galleries: dict[str, Gallery] = field(default_factory=dict, repr=False)

    @cached_property
    def data(self) -> StudyData:
        return StudyData(self.profile, self.dataset)

    @cached_property
    def device(self) -> torch.device:
        """The profile's device; "auto" takes CUDA where there is one."""
        name = self.profile.device
        if name == "cuda" and not torch.cuda.is_available():
            raise ValueError("device: the profile asks for cuda and there is none; set device to cpu or auto")
        return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")

    def train_key(self, recipe: Recipe, seed: int) -> str:
        return key_of("train", VERSIONS["train"], self._train_config(recipe, seed))

    def features_key(self, recipe: Recipe, seed: int, split: str) -> str:
        return key_of("features", VERSIONS["features"], {"split": split}, [self.train_key(recipe, seed)])

    def evaluate_key(self, recipe: Recipe, seed: int, ranking: Ranking, split: str = "val") -> str:
        return key_of("evaluate", VERSIONS["evaluate"], asdict(ranking), [self.features_key(recipe, seed, split)])

    def train(self, recipe: Recipe, seed: int) -> Entry:
        """The run of a recipe (as the report has it) at the profile's scale, with one seed; its weights at hand."""

        def compute(folder: Path, work: Path) -> dict[str, Any]:
            torch.set_num_threads(self.threads)  # numba's OpenMP layer changes it for the whole process
            watch = Stopwatch(self.device)
            scaled = recipe.scaled(self.profile)
            rows = self.data.dataset.rows("train")
            persons, labels = rows["person"].factorize(sort=True)
            model = self._model(scaled, len(labels), seed)
            checkpoint = work / "checkpoint.safetensors"
            resumed = checkpoint.exists()
            curve = train(
                model,
                self.data.images("train", scaled.height, scaled.width, self.device),
                torch.tensor(persons),
                augmentation=scaled.augmentation,
                options=scaled.training,
                seed=seed,
                names=rows["path"].tolist(),
                checkpoint=checkpoint,
                advance=self.advance,
                description=f"{recipe.row}, seed {seed}",
            )
            save_tensors(folder / "weights.safetensors", dict(model.state_dict()), {"classes": len(labels)})
            return self._record("train", self._train_config(recipe, seed), watch) | {
                "row": recipe.row,
                "resumed": resumed,  # then start, seconds and commit are the last process's; the curve has every epoch
                "classes": len(labels),
                "images": len(rows),
                "parameters": sum(p.numel() for p in model.parameters()),
                "curve": curve,
            }

        return self.store.get("train", self.train_key(recipe, seed), compute, needs="weights.safetensors")

    def find_training(self, recipe: Recipe, seed: int) -> Entry:
        """The record of a run that is finished, without need of its weights: they are not published."""
        return self.store.find("train", self.train_key(recipe, seed)) or self.train(recipe, seed)

    def features(self, recipe: Recipe, seed: int, split: str = "val") -> Entry:
        """The features and labels of a split's queries and gallery, `features.safetensors`."""

        def compute(folder: Path, work: Path) -> dict[str, Any]:
            run = self.train(recipe, seed)
            torch.set_num_threads(self.threads)
            watch = Stopwatch(self.device)
            scaled = recipe.scaled(self.profile)
            model = self._model(scaled, run.record["classes"], seed)
            model.load_state_dict(run.tensors("weights.safetensors"))
            images = self.data.images(split, scaled.height, scaled.width, self.device)
            rows = self.data.dataset.rows(split).reset_index(drop=True)
            features = extract(model, images, names=rows["path"].tolist(), precision=scaled.training.precision)
            tensors = {}
            for role in ("query", "gallery"):
                part = rows[rows["role"] == role]
                tensors[role] = features[torch.tensor(part.index.to_numpy())]
                tensors |= {f"{role}_{name}": torch.tensor(part[name].to_numpy()) for name in LABELS}
                if "visible" in part:
                    tensors[f"{role}_visible"] = torch.tensor(part["visible"].to_numpy()).float()
            save_tensors(folder / "features.safetensors", tensors)
            config = self._train_config(recipe, seed) | {"split": split, "parents": [run.key]}
            return self._record("features", config, watch) | {
                "row": recipe.row,
                "dimension": features.shape[1],
                "weights": run.record["files"]["weights.safetensors"],
            }

        return self.store.get("features", self.features_key(recipe, seed, split), compute, needs="features.safetensors")

    def gallery(self, recipe: Recipe, seed: int, split: str = "val") -> Gallery:
        """Queries and gallery of a split, ready to be ranked; kept in memory for the next ranking."""
        key = self.features_key(recipe, seed, split)
        if key not in self.galleries:
            self.galleries.clear()  # one at a time: re-ranked blocks are n x n
            tensors = self.features(recipe, seed, split).tensors("features.safetensors")
            self.galleries[key] = Gallery.of(tensors)
        return self.galleries[key]

    def evaluate(self, recipe: Recipe, seed: int, ranking: Ranking, split: str = "val") -> Entry:
        """The metrics of one run under one ranking; no files, all in the record."""
        parent = self.features_key(recipe, seed, split)

        def compute(folder: Path, work: Path) -> dict[str, Any]:
            gallery = self.gallery(recipe, seed, split)
            watch = Stopwatch(torch.device("cpu"))
            metrics = score(gallery, ranking)
            config = self._train_config(recipe, seed) | {
                "ranking": asdict(ranking),
                "split": split,
                "parents": [parent, self.train_key(recipe, seed)],
            }
            return self._record("evaluate", config, watch) | {"row": recipe.row, "metrics": metrics}

        return self.store.get("evaluate", self.evaluate_key(recipe, seed, ranking, split), compute)

    def _train_config(self, recipe: Recipe, seed: int) -> dict[str, Any]:
        scaled = asdict(recipe.scaled(self.profile))
        scaled.pop("row")  # a name in a table; equal trainings are one run
        return {"recipe": scaled, "seed": seed, "data": self.data.manifest_hash}

    def _model(self, scaled: Recipe, classes: int, seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        return models.build(scaled.model, num_classes=classes, **scaled.model_options).to(self.device)

    def _record(self, stage: str, config: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
        return {
            "version": VERSIONS[stage],
            "profile": label(self.profile),
            "config": config,
            **watch.fields(),
        }
