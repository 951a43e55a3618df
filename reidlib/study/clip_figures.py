"""Figures 1 and 3 of report `ica`: where a clip's frames are looked at, and where they lie in the space of features."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from reidlib.study.style import MARKS, PALETTE, WIDTH, styled


@styled
def activation_strips(rows: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """The frames of clips, and the maps of each model over them in colour, bright where it looks.

    rows: model -> maps (n, T, h, w) >= 0 and the pixels (n, T, 3, H, W) uint8 that they are of, the same for all.
    A map is scaled by its clip's largest value, so that frames of one clip can be compared.
    """
    pixels = next(iter(rows.values()))[1]
    clips, frames = pixels.shape[:2]
    figure, axes = plt.subplots(1 + len(rows), clips * frames, figsize=(WIDTH, 1.8 * (1 + len(rows))))
    for column in range(clips * frames):
        clip, frame = divmod(column, frames)
        picture = pixels[clip, frame].permute(1, 2, 0).numpy()
        axes[0][column].imshow(picture)
        for axis, (maps, _) in zip(axes[1:, column], rows.values(), strict=True):
            axis.imshow(picture)
            fine = interpolate(maps[clip, frame][None, None].float(), size=picture.shape[:2], mode="bilinear")[0, 0]
            axis.imshow(
                (fine / maps[clip].float().max().clamp(min=1e-12)).numpy(), cmap="magma", alpha=0.6, vmin=0, vmax=1
            )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, name in zip(axes[:, 0], ["clips", *rows], strict=True):
        axis.set_ylabel(name)
    figure.tight_layout(pad=0.25)
    return figure


@styled
def scatter_panels(panels: Mapping[str, np.ndarray], person: np.ndarray) -> Figure:
    """Frames of clips in the plane, a colour a person and a mark for each of its two clips.

    panels: title -> (L, T, 2). person: (L,), those of one person side by side.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.5), layout="constrained", squeeze=False)
    people = list(dict.fromkeys(person.tolist()))
    colours = dict(zip(people, sns.color_palette(PALETTE, len(people)), strict=True))
    for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
        for clip, (whose, frames) in enumerate(zip(person.tolist(), points, strict=True)):
            mark = MARKS[person[:clip].tolist().count(whose) % len(MARKS)]
            axis.scatter(*frames.T, s=14, marker=mark, color=colours[whose], edgecolor="k", linewidth=0.3)
        axis.set(xticks=[], yticks=[], title=title, xlabel="t-SNE, first coordinate")
    axes[0][0].set_ylabel("t-SNE, second coordinate")
    return figure
