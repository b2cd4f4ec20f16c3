"""Runs for the tests of reports: written by the real writer, with figures made for the tests."""

from collections.abc import Callable
from pathlib import Path

from streambed.experiment import Execution, Overrides, load
from streambed.experiment.length import link_images_per_s
from streambed.results import run as runs
from streambed.results import writer
from streambed.results.manifest import Facts
from streambed.results.measures import StreamingMeasures
from streambed.results.row import Flag, Row
from streambed.results.run import Run

STUDY_A = """\
name: bandwidth
study: A
pipeline: streaming
factors:
  bandwidth: [10 Mbit/s, 20 Mbit/s, 40 Mbit/s, 60 Mbit/s, 80 Mbit/s, 100 Mbit/s]
  trigger: [1 s, 2 s, 5 s]
  mode: [as_published, engineered]
fixed: {image_count: 50000}
reference:
  - {measure: image_rate_per_s, at: {bandwidth: 20 Mbit/s, trigger: 1 s}, value: 2300, source: ≈}
  - {measure: image_rate_per_s, at: {bandwidth: 60 Mbit/s, trigger: 1 s}, value: 2300, source: ≈}
  - {measure: image_rate_per_s, at: {bandwidth: 60 Mbit/s, trigger: 5 s}, value: 2500, source: ≈}
  - {measure: micro_batch_mean_s, at: {bandwidth: 60 Mbit/s, trigger: 1 s}, value: 3, source: ≈}
  - {measure: micro_batch_mean_s, at: {bandwidth: 60 Mbit/s, trigger: 5 s}, value: 15, source: ≈}
"""
"""Study A's matrix, thinned out; the references are the text's own approximations."""

COMPRESSION = """\
name: compression
study: A
pipeline: streaming
factors:
  bandwidth: [10 Mbit/s, 50 Mbit/s]
  compression: [none, lz4, zstd]
"""

CLASSIFIER_PER_S = 2400
"""What the classifier of mode as_published manages here, images/s."""

Measured = Callable[[Execution], StreamingMeasures]


def believable(execution: Execution, slower: float = 1.0) -> StreamingMeasures:
    """What a cell might give; repeats differ a little."""
    config = execution.cell.streaming
    bandwidth = config.bandwidth_mbit_per_s or 100
    spread = 0.98 - 0.002 * execution.repeat
    gain = {"none": 1.0, "lz4": 3.4, "zstd": 4.6}[config.compression]
    link = link_images_per_s(bandwidth, 784) * gain
    rate, overrun = link * spread * slower, 0.4 + 0.003 * bandwidth
    if config.mode == "as_published":
        overrun = min(3.0, link / CLASSIFIER_PER_S)
        rate = min(link, CLASSIFIER_PER_S) * spread * slower
    goodput = bandwidth * 0.9565
    return StreamingMeasures(
        image_rate_per_s=rate,
        goodput_up_mbit_per_s=goodput,
        link_utilisation=rate * 784 * 8 / (goodput * 1e6),
        micro_batch_mean_s=config.trigger_s * overrun,
        producer_unshaped_rate_per_s=3.0 * CLASSIFIER_PER_S
        if config.mode == "as_published"
        else 150_000.0,
        lost=0,
        duplicates=0,
        accuracy=0.979,
    )


def make(
    root: Path,
    experiment: str | Path = "small",
    *,
    repeats: int = 1,
    slower: float = 1.0,
    failed: int = 0,
    options: tuple[str, ...] = (),
    facts: Facts | None = None,
    measured: Measured | None = None,
    refused: Callable[[Execution], str | None] = lambda _: None,
) -> Run:
    """A run in which every cell was tried.

    Args:
        root: where runs are kept.
        experiment: its name, or its file.
        repeats: of every cell.
        slower: factor on every image rate.
        failed: so many of the first executions failed; the one after them is contended.
        options: as after `--set`.
        facts: what the runner found out.
        measured: the figures of an execution; by default believable ones.
        refused: why an execution failed at a gate, with its figures; None: it did not.
    """
    loaded = load(experiment, Overrides(set=options, repeats=repeats))
    figures = measured or (lambda execution: believable(execution, slower))
    with writer.create(loaded, root) as store:
        store.record_facts(facts or Facts(project={"commit": "abc", "dirty": True}))
        rows = []
        for number, execution in enumerate(store.executions):
            attempt = store.begin(execution)
            bad = number < failed
            reason = "goodput <up>: 9.1 Mbit/s" if bad else refused(execution)
            rows.append(
                Row(
                    cell=execution.cell,
                    repeat=execution.repeat,
                    attempt=attempt.number,
                    status="failed" if reason else "ok",
                    started_at=attempt.started_at,
                    ended_at=attempt.started_at + 30,
                    measures=None if bad else figures(execution),
                    reason=reason,
                    flags=frozenset({Flag.CONTENDED})
                    if failed and number == failed
                    else frozenset(),
                ).flat()
            )
        store.append_flat(rows)
        store.finish()
        return runs.open_run(store.directory)


def file(folder: Path, text: str) -> Path:
    """An experiment file with this text."""
    path = folder / "experiment.yml"
    path.write_text(text, encoding="utf-8")
    return path
