"""Curves of a measure over a factor: measured points, intervals, lines to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from streambed.report import theme
from streambed.report.data import Point, ReportData
from streambed.report.published import Published
from streambed.report.published import label as published_label

MEASURED, GUIDE, PUBLISHED = "measured", "guide", "published"


@dataclass(frozen=True)
class Guide:
    """A line to compare with, through (x, y) points."""

    name: str
    """Written at its end; `\n` begins a new line."""
    points: tuple[tuple[float, float], ...]
    series: Any = None
    """The curve it belongs to; None: all of them."""
    panel: str | None = None
    """The panel it is drawn in; None: all of them."""


def curves(
    data: ReportData,
    points: Sequence[Point],
    y_title: str,
    guides: Sequence[Guide] = (),
    published: Sequence[Published] = (),
    *,
    own_scales: bool = False,
) -> Any:
    """A chart of points with their guides; one panel per combination of the other factors.

    Args:
        data: tells what the axes are.
        points: the measured ones.
        y_title: of the vertical axis, with the unit.
        guides: lines to compare with.
        published: values to compare with.
        own_scales: each panel has its own, where what one reaches would flatten the others.
    """
    panels = list(dict.fromkeys(point.panel for point in points))
    values = _values(data, points, guides, published, panels)
    ordered = _shown(data, data.series, [point.series for point in points])
    drawn = [value["series"] for value in values if value["series"] is not None]
    names = list(dict.fromkeys([*ordered, *drawn]))
    for value in values:
        value["rank"] = names.index(value["series"]) if value["series"] in names else 0
    x = _x_axis(data, points)
    y: Any = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=True, nice=True))
    layers = [
        *_guide_layers(x, y, values),
        *_measured_layers(data, x, y, y_title, names, values),
        *_published_layers(data, x, y, values),
    ]
    several = len(panels) > 1
    width, height = (
        (theme.PANEL_WIDTH, theme.PANEL_HEIGHT) if several else (theme.WIDTH, theme.HEIGHT)
    )
    chart: Any = alt.layer(*layers).properties(width=width, height=height)
    if several:
        chart = chart.facet(
            facet=alt.Facet("panel:N", sort=panels, header=alt.Header(title=None)),
            columns=2,
            data=alt.InlineData(values=values),
        ).resolve_scale(y="independent" if own_scales else "shared")
    else:
        chart = chart.properties(data=alt.InlineData(values=values))
    return theme.apply(chart)


def _shown(data: ReportData, field: str | None, levels: Sequence[Any]) -> list[str]:
    """The names of levels, in their order, whichever panel or curve has them first."""
    if field is None:
        return []
    found = sorted(dict.fromkeys(levels), key=lambda level: data.position(field, level))
    return [data.show(field, level) for level in found]


def _x_axis(data: ReportData, points: Sequence[Point]) -> Any:
    if data.x is None:
        return alt.X("x:N", title=None, axis=alt.Axis(labels=False, ticks=False))
    if not data.is_quantitative(data.x):
        names = _shown(data, data.x, [point.x for point in points])
        # Names of factors and levels are long.
        axis = alt.Axis(labelAngle=0, labelExpr="split(datum.label, '_')")
        return alt.X("x:N", title=data.label(data.x), sort=names, axis=axis)
    levels = sorted({float(point.x) for point in points})
    few = 0 < len(levels) <= 12
    return alt.X(
        "x:Q",
        title=data.label(data.x),
        scale=alt.Scale(domain=[0, max(levels)], nice=False),
        axis=alt.Axis(grid=False, labelFlush=False, values=[0, *levels])
        if few
        else alt.Axis(grid=False),
    )


def _values(
    data: ReportData,
    points: Sequence[Point],
    guides: Sequence[Guide],
    published: Sequence[Published],
    panels: Sequence[str],
) -> list[dict[str, Any]]:
    """One list for all layers: a faceted chart takes its data from one place."""

    def name_of(series: Any) -> str | None:
        return None if data.series is None else data.show(data.series, series)

    def place_of(x: Any) -> Any:
        return x if data.x is None or data.is_quantitative(data.x) else data.show(data.x, x)

    values: list[dict[str, Any]] = [
        {
            "kind": MEASURED,
            "x": place_of(point.x),
            "y": point.median,
            "series": name_of(point.series),
            "panel": point.panel,
            "low": point.low,
            "high": point.high,
            "n": point.n,
        }
        for point in points
    ]
    for panel in panels:
        for guide in guides:
            if guide.panel in (None, panel):
                series = None if guide.series is None else name_of(guide.series)
                values += _along(guide, series, panel)
    return values + _published_values(data, [p for p in published if p.panel in panels])


def _along(guide: Guide, series: str | None, panel: str) -> list[dict[str, Any]]:
    return [
        {
            "kind": GUIDE,
            "x": x,
            "y": y,
            "series": series,
            "panel": panel,
            "guide": guide.name,
            "text": guide.name.split("\n"),
            "last": index == len(guide.points) - 1,
        }
        for index, (x, y) in enumerate(guide.points)
    ]


def _published_values(data: ReportData, published: Sequence[Published]) -> list[dict[str, Any]]:
    values = []
    for panel in dict.fromkeys(p.panel for p in published):
        here = [p for p in published if p.panel == panel]
        # One name is enough: at the right end of the highest curve.
        named = max(here, key=lambda p: (_place(p.x), p.value))
        for p in here:
            curve = data.show(data.series, p.series) if data.series and p.series is not None else ""
            values.append(
                {
                    "kind": PUBLISHED,
                    "x": p.x,
                    "y": p.value,
                    # Never the name of a measured curve: it would have an entry in the legend.
                    "series": None,
                    "curve": curve,
                    "panel": panel,
                    "source": p.source,
                    "text": [published_label(here)] if p is named else None,
                }
            )
    return values


def _place(x: Any) -> float:
    return float(x) if isinstance(x, int | float) else 0.0


def _of(kind: str) -> Any:
    return alt.Chart().transform_filter(alt.datum.kind == kind)


def _legend(data: ReportData) -> Any:
    factor = data.factor(data.series)
    return alt.Legend(title=(factor.name if factor else str(data.series)).replace("_", " "))


def _colour(data: ReportData, names: list[str]) -> dict[str, Any]:
    """Colour by series; nothing when there is one curve."""
    if data.series is None:
        return {}
    scale = theme.scale_of(names, theme.PALETTE)
    return {"color": alt.Color("series:N", scale=scale, legend=_legend(data))}


def _measured_layers(
    data: ReportData,
    x: Any,
    y: Any,
    y_title: str,
    names: list[str],
    values: list[dict[str, Any]],
) -> list[Any]:
    colour = _colour(data, names)
    plain = {} if colour else {"color": theme.PALETTE[0]}
    base = _of(MEASURED)
    tooltip = [
        alt.Tooltip(
            "x:Q" if data.is_quantitative(data.x) else "x:N", title=data.label(data.x or "")
        ),
        *([alt.Tooltip("series:N", title=data.label(data.series))] if data.series else []),
        alt.Tooltip("y:Q", title="median", format=".4~g"),
        alt.Tooltip("n:Q", title="repeats"),
        *(
            [
                alt.Tooltip("low:Q", title="95 % from", format=".4~g"),
                alt.Tooltip("high:Q", title="to", format=".4~g"),
            ]
            if any(value.get("low") is not None for value in values)
            else []
        ),
    ]
    layers = []
    if data.is_quantitative(data.x):
        scale = theme.rank_scale(len(names), theme.WIDTHS)
        width = alt.StrokeWidth("rank:O", scale=scale, legend=None)
        wide = {"strokeWidth": width} if colour else {}
        layers.append(base.mark_line(**plain).encode(x=x, y=y, **colour, **wide))
    if any(value.get("low") is not None for value in values):
        bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, **plain)
        layers.append(bars.encode(x=x, y=alt.Y("low:Q", title=y_title), y2="high:Q", **colour))
    shaped: dict[str, Any] = {}
    if colour:
        shapes = theme.scale_of(names, theme.SHAPES)
        sizes = theme.rank_scale(len(names), theme.SIZES)
        shaped["shape"] = alt.Shape("series:N", scale=shapes, legend=_legend(data))
        shaped["size"] = alt.Size("rank:O", scale=sizes, legend=None)
    dots = base.mark_point(strokeWidth=2, opacity=1, **plain)
    layers.append(dots.encode(x=x, y=y, tooltip=tooltip, **colour, **shaped))
    return layers


def _guide_layers(x: Any, y: Any, values: list[dict[str, Any]]) -> list[Any]:
    """Dashed lines, named at their right end outside of the plot, in the colour of their curve."""
    layers: list[Any] = []
    guides = {(v["guide"], v["series"], v["rank"]) for v in values if v["kind"] == GUIDE}
    for name, series, rank in sorted(guides, key=lambda guide: guide[2]):
        colour = theme.GREY if series is None else theme.nth(theme.PALETTE, rank)
        base = alt.Chart().transform_filter(alt.FieldEqualPredicate(field="kind", equal=GUIDE))
        base = base.transform_filter(alt.FieldEqualPredicate(field="guide", equal=name))
        line = base.mark_line(strokeDash=[6, 4], strokeWidth=1.4, color=colour)
        layers.append(line.encode(x=x, y=y))
        layers.append(_named_end(base.transform_filter("datum.last"), x, y, colour))
    return layers


def _named_end(base: Any, x: Any, y: Any, colour: str, rise: int = 0) -> Any:
    """A name right of a point, `rise` pixels above its height."""
    marks = base.mark_text(
        fontSize=11, align="left", baseline="middle", dx=10, dy=-rise, color=colour
    )
    return marks.encode(x=x, y=y, text="text:N")


def _published_layers(data: ReportData, x: Any, y: Any, values: list[dict[str, Any]]) -> list[Any]:
    """Crosses, joined where they belong to one curve, in grey."""
    if not any(value["kind"] == PUBLISHED for value in values):
        return []
    base = _of(PUBLISHED)
    tooltip = [
        alt.Tooltip("source:N", title="published in"),
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("y:Q", title="value"),
    ]
    marks = base.mark_point(shape="cross", size=60, filled=True, opacity=1, color=theme.GREY)
    layers = [marks.encode(x=x, y=y, tooltip=tooltip)]
    if data.is_quantitative(data.x):
        line = base.mark_line(strokeDash=[1, 3], strokeWidth=1.4, color=theme.GREY)
        layers.insert(0, line.encode(x=x, y=y, detail="curve:N"))
    named = base.transform_filter("isValid(datum.text)")
    # Our curves may pass through it.
    return [*layers, _named_end(named, x, y, theme.GREY, rise=12)]
