"""The page: one HTML file with everything in it; readable without scripts and on paper."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from streambed.report import shape
from streambed.report.brokers import findings as brokers
from streambed.report.claims import Verdict, claims
from streambed.report.data import RUN, ReportData
from streambed.report.findings import findings
from streambed.report.learnt import findings as learnt
from streambed.report.spread import findings as spread
from streambed.report.study import is_study_a
from streambed.results.manifest import Manifest, flatten
from streambed.results.measures import MEASURES
from streambed.results.show import summary

_HERE = Path(__file__).parent

FIGURES_OF_A_ROW = (
    "image_rate_per_s",
    "makespan_image_rate_per_s",
    "goodput_up_mbit_per_s",
    "goodput_down_mbit_per_s",
    "link_utilisation",
    "micro_batch_mean_s",
    "micro_batch_p95_s",
    "produce_rate_per_s",
    "consume_rate_per_s",
    "records_per_request",
    "latency_worst_p99_s",
    "camera_fairness",
    "reordered",
    "stall_max_s",
    "recovery_s",
    "lost",
    "duplicates",
    "set_aside",
    "accuracy",
    "sustainable_rate_per_s",
    "memory_growth_mib_per_h",
    "live_heap_growth_mib_per_h",
    "thread_growth_per_h",
    "fd_growth_per_h",
    "cold_start_s",
    "execution_s",
    "fairness",
    "max_tasks_per_node",
    "max_chunks_per_partition",
    "idle_share",
    "train_s",
    "speed_up",
    "top1",
    "top5",
    "loss",
    "prepare_s",
    "evaluate_s",
)
"""The measures in the table of the page; the JSON and the Parquet file have them all."""

_FORMATS = {
    "image_rate_per_s": ",.0f",
    "makespan_image_rate_per_s": ",.0f",
    "goodput_up_mbit_per_s": ".2f",
    "goodput_down_mbit_per_s": ".2f",
    "accuracy": ".4f",
    "cold_start_s": ".1f",
    "train_s": ",.1f",
    "speed_up": ".2f",
    "top1": ".4f",
    "top5": ".4f",
    "max_tasks_per_node": "d",
    "max_chunks_per_partition": "d",
    "produce_rate_per_s": ",.0f",
    "consume_rate_per_s": ",.0f",
    "records_per_request": ",.0f",
    "reordered": ",d",
    "lost": ",d",
    "duplicates": ",d",
    "set_aside": ",d",
    "recovery_s": ".1f",
    "sustainable_rate_per_s": ",.0f",
    "memory_growth_mib_per_h": "+.1f",
    "live_heap_growth_mib_per_h": "+.1f",
    "thread_growth_per_h": "+.1f",
    "fd_growth_per_h": "+.1f",
}


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page shows it: a picture, and the same as an interactive chart."""

    name: str
    title: str
    caption: str
    alternative: str
    svg: str
    spec: dict[str, Any]


def render_page(data: ReportData, headline: str, figures: list[PageFigure]) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = list(dict.fromkeys(run.manifest.experiment for run in data.runs))
    return environment.get_template("page.html.j2").render(
        title=f"Streambed: {', '.join(names)}",
        experiments=names,
        headline=headline,
        findings=findings(data),
        spread=spread(data),
        brokers=brokers(data),
        learnt=learnt(data),
        claims=_claims(data),
        shape=_shape(data),
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        figures=[
            {
                "name": figure.name,
                "title": figure.title,
                "caption": figure.caption,
                "alternative": figure.alternative,
                "svg": Markup(figure.svg),
                "spec": _script_json(figure.spec),
            }
            for figure in figures
        ],
        columns=_columns(data),
        rows=_rows(data),
        runs=[_run(run.name, run.manifest, summary(run, run.rows())) for run in data.runs],
        library=Markup(_library()) if figures else "",
        script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
    )


@functools.cache
def _library() -> str:
    """Vega and Vega-Lite as one script that needs nothing else; takes a second to put together."""
    code = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    # `</script` inside a script would end it, wherever it stands.
    return code.replace("</script", "<\\/script")


def _script_json(value: object) -> Markup:
    """JSON that may stand inside a script element."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))


def _shape(data: ReportData) -> dict[str, Any] | None:
    """Study A: the published curves and ours by the same few figures; None for other studies."""
    found = shape.shapes(data) if is_study_a(data) else []
    if not found:
        return None
    heads = ("trigger", "curve", "level from", "at (images/s)", "longest / trigger", "real time to")
    kinds = ("text", "text", "number", "number", "number", "number")
    rows = [
        (
            f"{one.trigger_s:g} s",
            one.name,
            _or_dash(one.level_from_mbit_per_s, "{:g} Mbit/s"),
            _or_dash(one.level_images_per_s, "{:,.0f}"),
            _or_dash(one.most_overrun, "{:.2f}"),
            _or_dash(one.real_time_to_mbit_per_s, "{:g} Mbit/s"),
        )
        for one in found
    ]
    return {
        "verdict": shape.verdict(found),
        "columns": [{"name": n, "help": "", "kind": k} for n, k in zip(heads, kinds, strict=True)],
        "rows": [
            {"class": "", "cells": [{"text": t, "kind": k} for t, k in zip(r, kinds, strict=True)]}
            for r in rows
        ],
    }


def _claims(data: ReportData) -> dict[str, Any] | None:
    """Study D: what it is to reach, and whether it does; None for other studies."""
    found = claims(data)
    if not found:
        return None
    heads = ("claim", "bound", "seen", "verdict")
    return {
        "columns": [{"name": name, "help": "", "kind": "text"} for name in heads],
        "rows": [
            {
                "class": "failed" if claim.verdict == Verdict.MISSED else "",
                "cells": [
                    {"text": text, "kind": "text"}
                    for text in (claim.what, claim.bound, claim.figure, claim.verdict.value)
                ],
            }
            for claim in found
        ],
    }


def _or_dash(value: float | None, pattern: str) -> str:
    return "–" if value is None else pattern.format(value)


def _measures(data: ReportData) -> list[str]:
    return [f for f in FIGURES_OF_A_ROW if any(row.get(f) is not None for row in data.rows)]


def _counters(data: ReportData) -> list[str]:
    """Repeat and attempt only where they tell rows apart."""
    several = [name for name in ("repeat", "attempt") if any(row[name] != 1 for row in data.rows)]
    return [*several, "status"]


def _columns(data: ReportData) -> list[dict[str, str]]:
    fields = data.varied or ("cell",)
    columns = [{"name": data.factor_name(field), "help": "", "kind": "text"} for field in fields]
    columns += [{"name": name, "help": "", "kind": "text"} for name in _counters(data)]
    for field in _measures(data):
        unit = MEASURES[field].unit
        name = field.removesuffix("_per_s").removesuffix("_mbit").removesuffix("_s")
        label = name.replace("_", " ") + (f" ({unit})" if unit else "")
        columns.append({"name": label, "help": MEASURES[field].meaning, "kind": "number"})
    return [*columns, {"name": "remarks", "help": "flags, and why a row failed", "kind": "text"}]


def _rows(data: ReportData) -> list[dict[str, Any]]:
    rows = []
    for row in data.rows:
        fields = data.varied or ("cell",)
        cells = [{"text": data.show(field, row.get(field)), "kind": "text"} for field in fields]
        cells += [{"text": str(row[name]), "kind": "text"} for name in _counters(data)]
        for field in _measures(data):
            value = row.get(field)
            text = "–" if value is None else format(value, _FORMATS.get(field, ".3f"))
            cells.append({"text": text, "kind": "number"})
        remarks = [flag.replace("_", " ") for flag in row["flags"]]
        remarks += [row["reason"]] if row.get("reason") else []
        cells.append({"text": "; ".join(remarks), "kind": "text"})
        flagged = " flagged" if row["flags"] else ""
        rows.append({"class": f"{row['status']}{flagged}", "cells": cells})
    return rows


def _run(name: str, manifest: Manifest, counts: str) -> dict[str, Any]:
    """The summary of a manifest: what a reader asks first, then everything."""
    facts = manifest.facts
    project = facts.project
    commit = str(project.get("commit") or "unknown")[:12]
    first = {
        RUN: name,
        "results": counts,
        "begun": manifest.created_at,
        "ended": manifest.finished_at or "not finished",
        "resumed": ", ".join(manifest.resumed_at) or "never",
        "project commit": commit + (" (with changes)" if project.get("dirty") else ""),
        "configuration hash": manifest.config_hash[:12],
        "seed of the order": manifest.seed,
        "repeats": manifest.repeats,
        "options": json.dumps(manifest.options) if manifest.options else "none",
    }
    sections = {
        section: flatten(getattr(facts, section))
        for section in ("versions", "inventory", "nodes", "controller")
        if getattr(facts, section)
    }
    return {
        "name": name,
        "first": {key: str(value) for key, value in first.items()},
        "sections": {
            section: {key: str(value) for key, value in entries.items()}
            for section, entries in sections.items()
        },
        "text": manifest.text,
        "manifest": manifest.model_dump_json(indent=2, exclude={"text"}),
    }
