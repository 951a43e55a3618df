"""The runner: train, features, evaluate, each looked up in the store or computed into it.

train     (recipe after scaling, seed, data)       -> weights, curve
features  (train, split)                           -> float16 features with their labels
examine   (train)                                  -> what a model of clips looks at, see `reidlib.study.examining`
attend    (train)                                  -> what its attention weighs, see `reidlib.study.attending`
evaluate  (features, ranking)                      -> mAP, CMC, mINP, the average precision of every query
fuse      (features of several runs)               -> the same of their rankings fused, see `reidlib.study.fused`
factorial (features of several runs)               -> every post-processing, scored and timed, `reidlib.study.factorial`
cost      (recipe)                                 -> seconds of an iteration and an image, see `reidlib.study.costs`
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from reidlib import models, parallel
from reidlib.checkpoint import load_all_but_classifier, save_tensors
from reidlib.curation import Curated, curate, decide, mean_losses
from reidlib.data import Dataset
from reidlib.features import confidences
from reidlib.optimisation import make_centers
from reidlib.study.clips import LABELS, batches_of
from reidlib.study.data import SPLITS, VAL, Scene, StudyData
from reidlib.study.following import follower, scene_tensors
from reidlib.study.profile import Profile, label
from reidlib.study.provenance import Stopwatch, make_deterministic
from reidlib.study.ranking import KEPT_GALLERIES, Gallery, Ranking, score
from reidlib.study.recipe import Recipe, plain
from reidlib.study.store import Entry, Store, key_of
from reidlib.training import Harder, train

# A stage's version is raised when its numbers change; tests/test_numerics.py pins them.
VERSIONS = {"train": 1, "features": 1, "evaluate": 2, "fuse": 1, "examine": 1, "attend": 1}
VERSIONS |= {"factorial": 1, "cost": 2, "memory": 1}  # these of a page, not of a run
REPETITION = 1_000  # what a repetition adds to the seed


@dataclass
class Study:
    """A profile, its data and the store: everything that turns recipes into entries."""

    profile: Profile
    store: Store
    dataset: Dataset | None = None  # in place of the profile's own
    advance: Callable[[int], None] | None = None  # told of every training iteration, in place of a bar
    compiled: bool = False  # networks in training, by torch.compile: worth it for long runs on a GPU
    threads: int = field(default_factory=torch.get_num_threads)  # of a CPU run; its last bits depend on it
    galleries: dict[str, Gallery] = field(default_factory=dict, repr=False)
    benchmarks: dict[tuple[str, int, float], StudyData] = field(default_factory=dict, repr=False)

    @property
    def data(self) -> StudyData:
        """What recipes of the benchmark "synergyreid" are trained on."""
        return self.data_of("synergyreid")

    def data_of(self, benchmark: str, seed: int = 0, held_out: float = 0.0) -> StudyData:
        """What recipes of a benchmark are trained on with a seed: a world, the real data, or one's own.

        Seed s has split s of a benchmark that divides its persons in several ways (ten: seed 10 has split 0 again), so
        that a standard deviation over seeds is one over splits, as the papers have it. held_out: see `StudyData`.
        """
        which = benchmark, seed % SPLITS.get(benchmark, 1), held_out
        if which not in self.benchmarks:
            self.benchmarks[which] = StudyData(self.profile, self.dataset, *which)
        return self.benchmarks[which]

    def data_for(self, recipe: Recipe, seed: int) -> StudyData:
        """What a recipe is trained on with a seed, and ranked on unless a scene says otherwise."""
        return self.data_of(recipe.benchmark, seed, recipe.held_out)

    def scene_data(self, recipe: Recipe, seed: int, scene: Scene) -> StudyData:
        """What a recipe's run is ranked on in a scene."""
        return self.data_of(scene.benchmark, seed) if scene.benchmark else self.data_for(recipe, seed)

    @cached_property
    def device(self) -> torch.device:
        """The profile's device; "auto" takes CUDA where there is one, deterministic if $REID_DETERMINISTIC is set."""
        name = self.profile.device
        if name == "cuda" and not torch.cuda.is_available():
            raise ValueError("device: the profile asks for cuda and there is none; set device to cpu or auto")
        cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
        if cuda and os.environ.get("REID_DETERMINISTIC"):
            make_deterministic()
        return torch.device("cuda" if cuda else "cpu")

    def train_key(self, recipe: Recipe, seed: int) -> str:
        return key_of("train", VERSIONS["train"], self._train_config(recipe, seed))

    def features_key(self, recipe: Recipe, seed: int, scene: Scene) -> str:
        config = {"split": scene.split}
        data = self.scene_data(recipe, seed, scene)
        config |= data.config | {"benchmark": scene.benchmark} if scene.benchmark else {}
        config |= {"world": data.scene_spec(scene).key} if scene.knobs else {}
        config |= {"flip": scene.flip, "scales": scene.scales} if scene.flip or scene.scales != (1.0,) else {}
        return key_of("features", VERSIONS["features"], config, [self.train_key(recipe, seed)])

    def evaluate_key(self, recipe: Recipe, seed: int, ranking: Ranking, scene: Scene = VAL) -> str:
        config = plain(ranking) | {"query_frame": scene.query_frame}
        return key_of("evaluate", VERSIONS["evaluate"], config, [self.features_key(recipe, seed, scene)])

    def train(self, recipe: Recipe, seed: int) -> Entry:
        """The run of a recipe (as the report has it) at the profile's scale, with one seed; its weights at hand."""

        def compute(folder: Path, work: Path) -> dict[str, Any]:
            parent = self.train(recipe.pretrained, seed) if recipe.pretrained else None
            torch.set_num_threads(self.threads)  # numba's OpenMP layer changes it for the whole process
            watch = Stopwatch(self.device)
            scaled = recipe.scaled(self.profile)
            data = self.data_for(recipe, seed)
            rows = data.training_rows(*recipe.trained_on)
            images = data.training_images(*recipe.trained_on, scaled.height, scaled.width, self.device)
            labels, classes = torch.tensor(rows["label"].to_numpy()), rows["label"].nunique()
            drawn_with = seed + REPETITION * recipe.repetition
            chosen, harder = torch.arange(len(rows)), None
            if recipe.curation:
                index, hard = self.curated(recipe, seed, rows)[1]
                chosen = torch.from_numpy(index)
                harder = Harder(torch.from_numpy(hard), scaled.harder or scaled.augmentation)
            model = self._model(scaled, classes, drawn_with)
            if parent:
                load_all_but_classifier(model, parent.tensors("weights.safetensors"))
            checkpoint = work / "checkpoint.safetensors"
            resumed = checkpoint.exists()
            losses = torch.full((scaled.training.epochs, len(chosen)), torch.nan) if recipe.audit else None
            centers = None
            if scaled.training.center_weight:
                centers = make_centers(classes, model.feature_dim, drawn_with, self.device)
            curve = train(
                model,
                images if recipe.curation is None else images[chosen.to(self.device)],
                labels[chosen],
                augmentation=scaled.augmentation,
                options=scaled.training,
                seed=drawn_with,
                batches=batches_of(scaled, labels, rows, drawn_with),
                harder=harder,
                image_losses=losses,
                centers=centers,
                names=rows["path"].iloc[chosen].tolist(),
                checkpoint=checkpoint,
                at_epoch=follower(model, data, scaled, images, labels) if recipe.follow else None,
                advance=self.advance,
                compiled=self.compiled,
                description=f"{recipe.row}, seed {seed}",
            )
            if losses is not None:
                kept = {"losses": losses.half()} | confidences(model, images, labels, scaled.training.precision)
                known = [*LABELS, *(name for name in ["visible"] if name in rows)]
                kept |= {name: torch.tensor(rows[name].to_numpy()) for name in known}
                save_tensors(folder / "audit.safetensors", kept)
            if recipe.clip_frames and centers is not None:
                save_tensors(folder / "centers.safetensors", {"centers": centers.detach()})
            save_tensors(folder / "weights.safetensors", dict(model.state_dict()), {"classes": classes})
            return self.record("train", self._train_config(recipe, seed), watch) | {
                "row": recipe.row,
                "resumed": resumed,  # then start, seconds and commit are the last process's; the curve has every epoch
                "classes": classes,
                "images": len(chosen),
                "parameters": sum(p.numel() for p in model.parameters()),
                "curve": curve,
            }

        return self.store.get("train", self.train_key(recipe, seed), compute, needs="weights.safetensors")

    def audit(self, recipe: Recipe, seed: int) -> Entry:
        """The run of a recipe with audit, its `audit.safetensors` at hand: see `features.confidences` and `train`."""
        found = self.store.find("train", self.train_key(recipe, seed), needs="audit.safetensors")
        return found or self.train(recipe, seed)

    def curated(self, recipe: Recipe, seed: int, rows: pd.DataFrame) -> tuple[np.ndarray, Curated]:
        """What a recipe's curation decides on its training images, and the set that comes of it."""
        measure = recipe.curation.measure
        if measure == "loss":
            losses = self.audit(recipe.first_model, seed).tensors("audit.safetensors")["losses"]
            losses = mean_losses(losses.numpy(), recipe.curation.since)
        elif measure == "random":
            losses = np.random.default_rng(seed).random(len(rows))
        elif "visible" in rows:
            losses = 1 - rows["visible"].to_numpy()
        else:
            raise ValueError("measure: a curation by what is visible wants a world, and these data do not know it")
        decisions = decide(losses, recipe.curation)
        return decisions, curate(rows["label"], decisions, recipe.curation)

    def find_training(self, recipe: Recipe, seed: int) -> Entry:
        """The record of a run that is finished, without need of its weights: they are not published."""
        return self.store.find("train", self.train_key(recipe, seed)) or self.train(recipe, seed)

    def trained(self, recipe: Recipe, seed: int) -> torch.nn.Module:
        """The model of a run, with its weights."""
        run = self.train(recipe, seed)
        model = self._model(recipe.scaled(self.profile), run.record["classes"], seed)
        model.load_state_dict(run.tensors("weights.safetensors"))
        return model

    def features(self, recipe: Recipe, seed: int, scene: Scene = VAL) -> Entry:
        """The features and labels of a scene's queries and gallery, `features.safetensors`; its query frame is 0."""

        def compute(folder: Path, work: Path) -> dict[str, Any]:
            run = self.train(recipe, seed)
            torch.set_num_threads(self.threads)
            watch = Stopwatch(self.device)
            scaled = recipe.scaled(self.profile)
            model = self.trained(recipe, seed)
            data = self.scene_data(recipe, seed, scene)
            tensors = scene_tensors(model, data, scene, scaled, self.device)
            save_tensors(folder / "features.safetensors", tensors)
            config = self._train_config(recipe, seed) | {"scene": asdict(scene), "parents": [run.key]}
            return self.record("features", config, watch) | {
                "row": recipe.row,
                "dimension": tensors["query"].shape[1],
                "ranked_data": data.opened(scene).manifest_hash,
                "weights": run.record["files"]["weights.safetensors"],
            }

        key = self.features_key(recipe, seed, scene)
        return self.store.get("features", key, compute, needs="features.safetensors")

    def gallery(self, recipe: Recipe, seed: int, scene: Scene = VAL) -> Gallery:
        """Queries and gallery of a scene, ready to be ranked; the last ones are kept in memory for the next ranking."""
        key = f"{self.features_key(recipe, seed, scene)} {scene.query_frame}"
        if key not in self.galleries:
            if len(self.galleries) == KEPT_GALLERIES:
                del self.galleries[next(iter(self.galleries))]  # the oldest
            tensors = self.features(recipe, seed, scene).tensors("features.safetensors")
            self.galleries[key] = Gallery.of(tensors, scene.query_frame)
        return self.galleries[key]

    def evaluate(self, recipe: Recipe, seed: int, ranking: Ranking, scene: Scene = VAL) -> Entry:
        """The metrics of one run under one ranking; no files, all in the record."""
        parent = self.features_key(recipe, seed, scene)

        def compute(folder: Path, work: Path) -> dict[str, Any]:
            gallery = self.gallery(recipe, seed, scene)
            watch = Stopwatch(torch.device("cpu"))
            metrics = score(gallery, ranking)
            config = self._train_config(recipe, seed) | {
                "ranking": asdict(ranking),
                "scene": asdict(scene),
                "parents": [parent, self.train_key(recipe, seed)],
            }
            return self.record("evaluate", config, watch) | {"row": recipe.row, "metrics": metrics}

        return self.store.get("evaluate", self.evaluate_key(recipe, seed, ranking, scene), compute)

    def _train_config(self, recipe: Recipe, seed: int) -> dict[str, Any]:
        data = self.data_for(recipe, seed)
        config = {"recipe": recipe.scaled(self.profile).config(), "seed": seed} | data.config
        config |= {"pretrained": self.train_key(recipe.pretrained, seed)} if recipe.pretrained else {}
        return config | ({"world": data.training_spec(recipe.knobs).key} if recipe.knobs else {})

    def _model(self, scaled: Recipe, classes: int, seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        return models.build(scaled.model, num_classes=classes, **scaled.model_options).to(self.device)

    def record(self, stage: str, config: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
        """The fields that every record has."""
        shared = parallel.processes() if stage in ("train", "features") else 1  # the others are one process's
        return {
            "version": VERSIONS[stage],
            "profile": label(self.profile),
            "config": config,
            **watch.fields(),
            **({"processes": shared} if shared > 1 else {}),
            **({"compiled": True} if self.compiled and stage == "train" else {}),
        }
