"""Figure of pipeline `ablation`: the image rate of each stage, and what it says about the whole."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from streambed.experiment.factors import factors_of
from streambed.experiment.levels import Choice
from streambed.report import theme
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.statistics import LEAST_REPEATS, Estimate, estimate, ratio
from streambed.results.row import Flat

MEASURE = "image_rate_per_s"
FULL, RIVALS = "full", ("chainer", "loop")

WHAT = {
    "producer": "producer: client to broker",
    "broker": "broker: plain consumer",
    "scan": "scan: Spark reads",
    "identity": "identity: + Arrow, Python",
    "model": "model: + Chainer",
    "full": "full: + result topic",
    "chainer": "chainer: model alone",
    "loop": "loop: hand-written",
}
"""A stage as the axis names it."""


def stages_in_order() -> tuple[str, ...]:
    """The levels of factor `stage`, as the registry has them."""
    kind = factors_of("ablation")["stage"].kind
    assert isinstance(kind, Choice)
    return kind.words


def rates(rows: Sequence[Flat]) -> dict[str, list[float]]:
    """Stage → its image rates, in the order of the registry; only stages with a figure."""
    found = {
        stage: [
            float(row[MEASURE]) for row in rows if row.get("stage") == stage and row.get(MEASURE)
        ]
        for stage in stages_in_order()
    }
    return {stage: values for stage, values in found.items() if values}


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What `full` reaches of each rival, in words."""
    found = rates(rows)
    said = []
    for rival, words in (
        ("chainer", "the model alone"),
        ("loop", "a hand-written consumer with the same model"),
    ):
        share = ratio(found.get(FULL, []), found.get(rival, []))
        if share is not None:
            spread = "" if share.low is None else f" (95 %: {share.low:.2f} to {share.high:.2f})"
            said.append(f"The whole pipeline reaches {share.median:.2f} of {words}{spread}.")
    return said


@figure("stages", "Where the time goes", "ablation")
def stages(data: ReportData) -> Drawing | None:
    """Horizontal bars: images per second of each stage, with intervals."""
    rows = [row for row in data.ok if row.get(MEASURE)]
    found = {stage: estimate(values) for stage, values in rates(rows).items()}
    known = {stage: value for stage, value in found.items() if value is not None}
    if not known:
        return None
    repeats = max(value.n for value in known.values())
    interval = " with the 95 % bootstrap interval" if repeats >= LEAST_REPEATS else ""
    return Drawing(
        chart=_bars(known),
        caption=(
            f"Images per second of each stage in its steady part, from a loaded topic under one "
            f"quota (the producer: its own node's); median{interval}. From scan to full each "
            f"stage does all that the one before it does. {' '.join(sentences(rows))}"
        ).strip(),
        alternative="; ".join(
            f"{stage}: {value.median:.4g} images/s" for stage, value in known.items()
        ),
        table=[
            {
                "stage": stage,
                f"{MEASURE}_median": value.median,
                "interval_low": value.low,
                "interval_high": value.high,
                "repeats": value.n,
            }
            for stage, value in known.items()
        ],
    )


def _bars(known: dict[str, Estimate]) -> Any:
    values = [
        {
            "stage": WHAT[stage],
            "kind": "whole" if stage == FULL else "rival" if stage in RIVALS else "part",
            "rate": value.median,
            "low": value.low,
            "high": value.high,
            "label": f"{value.median:,.0f}",
        }
        for stage, value in known.items()
    ]
    order = [WHAT[stage] for stage in known]
    y = alt.Y("stage:N", sort=order, title=None, axis=alt.Axis(labelLimit=220, ticks=False))
    # Beyond the longest bar there must be room for its number.
    most = 1.18 * max(value.high or value.median for value in known.values())
    x = alt.X("rate:Q", title="image rate (images/s)", scale=alt.Scale(domain=[0, most]))
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(
            domain=["whole", "rival", "part"], range=[*theme.PALETTE[:2], theme.PALETTE[5]]
        ),
        legend=None,
    )
    base: Any = alt.Chart(alt.InlineData(values=values))
    layers = [base.mark_bar(height={"band": 0.7}).encode(x=x, y=y, color=colour)]
    if any(value["low"] is not None for value in values):
        rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, color="black")
        layers.append(rule.encode(x="low:Q", x2="high:Q", y=y))
    ends = base.transform_calculate(end="isValid(datum.high) ? datum.high : datum.rate")
    text = ends.mark_text(align="left", dx=5, fontSize=12)
    layers.append(text.encode(x="end:Q", y=y, text="label:N"))
    return theme.apply(alt.layer(*layers).properties(width=theme.WIDTH, height=alt.Step(30)))
