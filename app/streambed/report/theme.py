"""How all figures look: colours safe for colour-blind readers, legible in one column of a paper."""

from collections.abc import Sequence
from typing import Any

import altair as alt

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito's, the ones that keep their contrast on white first."""

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
"""One per colour, so that the curves also differ in grey."""

GREY = "#666666"
WIDTH, HEIGHT = 440, 280
PANEL_WIDTH, PANEL_HEIGHT = 300, 220

_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


def apply(chart: Any) -> Any:
    """Put the project's look on a finished chart."""
    return (
        chart.configure(font=_FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=13,
            titleFontWeight="normal",
            titlePadding=8,
            gridColor="#E6E6E6",
            domainColor="#444444",
            tickColor="#444444",
            labelColor="#222222",
            titleColor="#222222",
        )
        .configure_legend(
            orient="top",
            titleOrient="left",
            offset=10,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            symbolSize=90,
            symbolStrokeWidth=2,
            symbolFillColor="transparent",
        )
        .configure_header(labelFontSize=13, title=None, labelColor="#222222")
    )


SIZES = [150, 75, 34]
WIDTHS = [3.2, 1.9, 1.1]
"""Large and wide first: curves that coincide stay visible under each other."""


def nth(choices: Sequence[Any], index: int) -> Any:
    """The choice of the curve at an index; they start again after the last."""
    return choices[index % len(choices)]


def scale_of(series: list[str], choices: Sequence[Any]) -> alt.Scale:
    """One of the choices for each named series, in their order."""
    return alt.Scale(domain=series, range=[nth(choices, i) for i in range(len(series))])


def rank_scale(count: int, choices: Sequence[Any]) -> alt.Scale:
    """One of the choices for each rank 0 ... count - 1; the last one is repeated."""
    picked = [choices[min(i, len(choices) - 1)] for i in range(count)]
    return alt.Scale(domain=list(range(count)), range=picked)
