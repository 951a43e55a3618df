"""Pictures of report `attention`: what each frame of a clip weighs, and a search's trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from reidlib.study.search import Trial
from reidlib.study.style import GUIDE, NEUTRAL, PALETTE, WIDTH, WRONG, styled


@styled
def attended_clips(models: Mapping[str, Mapping[str, Tensor]], words: Sequence[str]) -> Figure:
    """Clips as they are and with a patch erased from one frame, beneath every frame its weight by each model.

    models: name -> the tensors of `attending.attended`, of the same clips. words: of the two lines of a clip.
    """
    first = next(iter(models.values()))
    shown, frames = first["shown"].tolist(), first["shown_pixels"].shape[1]
    figure, axes = plt.subplots(
        2, len(shown) * frames, figsize=(WIDTH, 2.6 + 0.4 * len(models)), squeeze=False,
        facecolor="w",
    )  # fmt: skip
    for line, (pixels, kind) in enumerate((("shown_pixels", "clean"), ("shown_erased", "erased"))):
        for column in range(len(shown) * frames):
            clip, frame = divmod(column, frames)
            axis, row = axes[line][column], shown[clip]
            axis.imshow(first[pixels][clip, frame].permute(1, 2, 0).numpy())
            axis.set(xticks=[], yticks=[])
            weights = [100 * float(tensors[f"{kind}_weights"][row, frame]) for tensors in models.values()]
            axis.set_xlabel("\n".join(f"{weight:.0f} %" for weight in weights))
            if line == 0 and "visible" in first:
                axis.set_title(f"{float(first['visible'][row, frame]):.2f}")
            touched = kind == "erased" and int(first["chosen"][row]) == frame
            for spine in axis.spines.values():
                spine.set(color=WRONG if touched else NEUTRAL, linewidth=2.0, linestyle="--" if touched else "-")
        axes[line][0].set_ylabel(words[line])
    figure.tight_layout(pad=0.3)
    return figure


@styled
def search_panels(
    trials: Sequence[Trial], space: Mapping[str, tuple[float, float, bool]], published: Mapping[str, float]
) -> Figure:
    """The trials' mAP in the order they were made, with the best so far, and against each value that was searched.

    space: name -> low, high, logarithmic. published: the report's values, as a dotted line.
    """
    values = np.array([trial.value for trial in trials])
    figure, axes = plt.subplots(2, 4, figsize=(WIDTH, 4.2), layout="constrained", sharey=True)
    best = int(values.argmax())
    axes[0][0].plot(values, "o", ms=4, color=PALETTE[0])
    axes[0][0].step(range(len(values)), np.maximum.accumulate(values), where="post", color=PALETTE[1], lw=1.3)
    axes[0][0].set_xlabel("trial (line: best so far)")
    for axis, (name, (low, high, log)) in zip(axes.flat[1:], space.items(), strict=True):
        axis.plot([trial.values[name] for trial in trials], values, "o", ms=4, color=PALETTE[0])
        axis.plot(trials[best].values[name], values[best], "D", ms=8, mfc="none", color=PALETTE[1])
        axis.axvline(published[name], color=GUIDE, ls=":", lw=1.3)
        axis.set_xlabel(name)
        axis.set_xscale("log" if log else "linear")
        axis.locator_params(axis="x", **({"numticks": 5} if log else {"nbins": 4}))
        axis.set_xlim((low / 1.3, high * 1.3) if log else (low - 0.05 * (high - low), high + 0.05 * (high - low)))
    for axis in axes.flat:
        sns.despine(ax=axis)
    figure.supylabel("mAP on the held-out persons, percent")
    return figure
