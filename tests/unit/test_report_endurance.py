"""What a soak's page shows, from samples made for this test."""

import csv
import json
from pathlib import Path

import pytest
from tests.runs import file, make

from streambed import report
from streambed.report.data import ReportData
from streambed.report.endurance import endurance
from streambed.results import heaps, resources
from streambed.results.measures import StreamingMeasures
from streambed.results.resources import Limits, NodeUse

SOAK = """\
name: soak
study: A
bed: duo
pipeline: streaming
factors: {trigger: [1 s]}
fixed: {sustainable_share: 80 %, duration: 30 min, bandwidth: 25 Mbit/s}
"""
BEGAN_S, SECONDS, RATE_PER_S = 1_800_000_000.0, 1200, 3000
GROUPS = ("broker", "executor JVM", "driver JVM", "Python workers", "Spark master", "a", "b")
LIMITS = Limits(cpus=1.6, memory_bytes=8 << 30, mtu_bytes=1500)


def samples() -> list[dict[str, object]]:
    """Each second; the broker grows by 1 MiB a minute, and `a` and `b` are the smallest."""
    return [
        {
            "at": BEGAN_S + second,
            "cpu_s": dict.fromkeys(GROUPS, float(second)),
            "memory_bytes": {
                group: (10 - place) * 100 * 2**20 + (second * 2**20 / 60 if place == 0 else 0)
                for place, group in enumerate(GROUPS)
            },
            "threads": dict.fromkeys(GROUPS, 10),
            "fds": dict.fromkeys(GROUPS, 20),
        }
        for second in range(SECONDS + 1)
    ]


def events() -> dict[str, object]:
    """A micro-batch each second takes what came in the one before."""
    first = BEGAN_S + 60
    batches = [
        {"started_at": first + n, "execution_s": 0.5, "rows": RATE_PER_S if n else 0}
        for n in range(SECONDS - 120)
    ]
    last = first + SECONDS - 120
    sent = RATE_PER_S * (SECONDS - 120)
    produced = {"sent": sent, "first_send_at": first, "last_send_at": last}
    return {"produced": produced, "batches": batches}


def test_what_grew_is_drawn_and_the_small_are_added_up(tmp_path: Path) -> None:
    measured = StreamingMeasures(
        image_rate_per_s=RATE_PER_S, images_sent=1, lost=0, memory_growth_mib_per_h=60.0
    )
    run = make(tmp_path, file(tmp_path, SOAK), measured=lambda _: measured)
    assert endurance(ReportData.of([run])) is None  # without raw data there is nothing to draw
    (row,) = run.rows()
    raw = run.raw_directory(row)
    raw.mkdir(parents=True, exist_ok=True)
    resources.write(raw / resources.FILE, {"cloud": NodeUse.of_events(samples(), LIMITS)})
    (raw / "events.json").write_text(json.dumps(events()))
    held = [heaps.Heap(BEGAN_S + 60 * n, "cloud", "broker", 2**26) for n in range(10)]
    heaps.write(raw / heaps.FILE, held)

    report.build([run], tmp_path / "out")
    with (tmp_path / "out" / "endurance.csv").open() as lines:
        points = list(csv.DictReader(lines))
    lines_of = {(point["panel"], point["group"]) for point in points}
    assert ("memory (MiB)", "Spark master (cloud)") in lines_of
    assert ("memory (MiB)", "a (cloud)") not in lines_of
    alive = [float(p["value"]) for p in points if p["panel"] == "alive in JVMs (MiB)"]
    assert alive == [64.0] * 10
    broker = [float(p["value"]) for p in points if p["group"] == "broker (cloud)"][:80]
    assert broker[-1] - broker[0] == pytest.approx(SECONDS / 60, abs=0.5)
    rest = {float(p["value"]) for p in points if p["group"] == "all others together"}
    assert rest == {900.0, 20.0, 40.0}  # MiB, threads and files of `a` and `b`
    lag = [float(p["value"]) for p in points if p["panel"] == "lag (images)"]
    assert lag[-1] == pytest.approx(RATE_PER_S, rel=0.01)
