"""One style of figures: colours for the colour-blind, letters of one size, a white ground in the dark mode too."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

PALETTE = sns.color_palette("colorblind")
# The palette's green, which has blue in it, and a red that stands out from a court's floor, as the palette's does not.
# A solid and a dashed border tell them apart too.
RIGHT, WRONG, NEUTRAL = PALETTE[2], "#d7191c", "#555555"
GUIDE, PALE = "#888888", "#dddddd"  # lines to read against, what is not meant
MARKS, LINES = "os^Dv<>P", ("-", "--", ":", "-.")
WIDTH = 7.2  # inches of every figure: all are shown as wide as the text, and so letters of one size look it
SIZE = 9  # points
STYLE = {
    "figure.facecolor": "white",
    "font.size": SIZE,
    "legend.frameon": False,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize", "figure.labelsize", "figure.titlesize"), SIZE),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize"), SIZE),
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draws in this style, and lays the figure out in it: matplotlib makes some of its letters as late as then.

    Not by `plt.rc_context`: in a notebook the first figure chooses how figures are shown, which that would take back.
    """

    @wraps(draw)
    def drawn(*arguments, **options) -> Figure:
        before = {name: plt.rcParams[name] for name in STYLE}
        plt.rcParams.update(STYLE)
        try:
            figure = draw(*arguments, **options)
            figure.draw_without_rendering()
        finally:
            plt.rcParams.update(before)
        return figure

    return drawn
