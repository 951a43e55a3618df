"""Embedding models: images or clips in, features out. `build` makes one by its name, `set_frozen` freezes its body."""

import difflib
import inspect

from torch import nn

from reidlib.models.baseline import Baseline
from reidlib.models.freezing import set_frozen
from reidlib.models.mgn import MGN
from reidlib.models.necks import Heads
from reidlib.models.video import ClipHeads, Video

__all__ = ["MGN", "MODELS", "Baseline", "ClipHeads", "Heads", "Video", "build", "set_frozen"]

MODELS = {"mgn": MGN, "baseline": Baseline, "video": Video}


def build(name: str, **options) -> nn.Module:
    """An embedding model with random starting weights.

    name: a key of MODELS; options: its constructor's arguments, such as num_classes, backbone or width.
    Every model has `feature_dim` and takes images (B, 3, H, W), "video" clips (B, T, 3, H, W), normalised as
    reidlib.augment.normalise does. In train() mode it returns Heads ("video" with attention: ClipHeads), in eval() mode
    the test feature (B, feature_dim).
    Raises ValueError for an unknown name or option, or an option's value that the model cannot take.
    """
    if name not in MODELS:
        raise ValueError(f"name: {name!r} is no model; there are {', '.join(MODELS)}")
    known = list(inspect.signature(MODELS[name]).parameters)
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
            raise ValueError(f"{option}: {name} has no such option; {hint}")
    return MODELS[name](**options)
