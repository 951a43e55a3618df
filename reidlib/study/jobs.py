"""One job: what the chapters need of one training run, and what it costs."""

from __future__ import annotations

from reidlib.data.sampling import iterations_per_epoch
from reidlib.study.attending import attended
from reidlib.study.examining import examined
from reidlib.study.needs import Need
from reidlib.study.recipe import Recipe
from reidlib.study.runner import Study

Job = tuple[Need, int]  # and a seed
GPU_BYTES, GPU_BYTES_PER_PIXEL = 1.5e9, 9e3  # of a run: CUDA and the images; of a pixel of its batch at full width


def compute(study: Study, need: Need, seed: int) -> None:
    """Computes into the store what it lacks of a job; whatever another process is computing is waited for."""
    if need.audit:
        study.audit(need.recipe, seed)
    for scene in need.features:
        study.features(need.recipe, seed, scene)
    if need.examine:
        examined(study, need.recipe, seed)
    if need.attend:
        attended(study, need.recipe, seed)
    for ranking, scene in need.evaluations:
        study.evaluate(need.recipe, seed, ranking, scene)


def iterations(study: Study, recipe: Recipe, seed: int) -> int:
    """Training steps of a recipe at the profile's scale, before a curation changes its training set."""
    options = recipe.scaled(study.profile).training
    rows = study.data_for(recipe, seed).training_rows(*recipe.trained_on)
    if recipe.clip_frames:
        return options.epochs * (rows["label"].nunique() // options.persons)
    return options.epochs * iterations_per_epoch(len(rows), options.persons, options.images)


def cost(study: Study, need: Need, seed: int) -> float:
    """Training cost in arbitrary units, iterations by weight; next to nothing for a run that is trained."""
    if study.store.find("train", study.train_key(need.recipe, seed), needs="weights.safetensors"):
        return 1e-3
    return iterations(study, need.recipe, seed) * weight(study, need.recipe)


def weight(study: Study, recipe: Recipe) -> float:
    """What an iteration costs: images, branches and pixels."""
    scaled = recipe.scaled(study.profile)
    return scaled.batch_images * (1 + len(recipe.model_options.get("parts", ()))) * scaled.height * scaled.width


def gpu_memory(study: Study, recipe: Recipe) -> float:
    """Bytes that a training run takes at most: its batch by the pixels and channels, and what any process takes."""
    scaled = recipe.scaled(study.profile)
    pixels = scaled.batch_images * scaled.height * scaled.width
    return GPU_BYTES + GPU_BYTES_PER_PIXEL * pixels * scaled.model_options["width"]
