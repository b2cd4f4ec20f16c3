"""The stages of an ablation on a bed: which program each is, what it is told, what it tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streambed.experiment.cells import Cell
from streambed.experiment.placement import Placement
from streambed.results.steady import Progress
from streambed.runner.model import DeployedModel
from streambed.runner.producing import producer_spec
from streambed.runner.program import Event
from streambed.runner.sweep import RUN_DIR

CORES = 2
"""Processes of the stages outside of Spark, and the cores that Spark's executor has."""

DEADLINE_S = 600.0


@dataclass(frozen=True)
class Stage:
    """What tells the stages apart."""

    program: str
    loaded: bool = True
    """It reads a topic that holds all images before it starts."""
    results: bool = False
    """It writes results, for the collector to account for."""


STAGES: Mapping[str, Stage] = {
    "producer": Stage("produce", loaded=False),
    "broker": Stage("consume"),
    "scan": Stage("classify"),
    "identity": Stage("classify"),
    "model": Stage("classify"),
    "full": Stage("classify", results=True),
    "chainer": Stage("predict", loaded=False),
    "loop": Stage("loop", results=True),
}
"""The levels of factor `stage`."""


@dataclass(frozen=True)
class Where:
    """Names that one attempt's programs share."""

    images: str
    results: str
    dead_letters: str
    run: str


def loading_spec(cell: Cell, place: Placement, model: DeployedModel, where: Where) -> Event:
    """The spec of the program that fills the image topic."""
    return producer_spec(
        cell.streaming,
        place,
        model.dataset_on_node,
        where.images,
        count=cell.given_images,
        deadline_s=DEADLINE_S,
    )


def collector_spec(cell: Cell, place: Placement, model: DeployedModel, where: Where) -> Event:
    """The spec of the program that accounts for results."""
    return {
        "bootstrap": place.bootstrap,
        "result_topic": where.results,
        "count": cell.given_images,
        "reference": model.reference_on_node,
        "dataset": model.dataset_on_node,
        "raw_path": f"{RUN_DIR}/{where.run}.npz",
    }


def stage_spec(cell: Cell, place: Placement, model: DeployedModel, where: Where) -> Event:
    """The spec of the stage's own program."""
    config = cell.ablation
    topic = {"bootstrap": place.bootstrap, "topic": where.images}
    about_model = {"model": model.spec, "dataset": model.dataset_on_node}
    program = STAGES[config.stage].program
    if program == "produce":
        return loading_spec(cell, place, model, where)
    if program == "consume":
        return {**topic, "processes": CORES}
    if program == "predict":
        reference = {"count": cell.given_images, "reference": model.reference_on_node}
        return {**about_model, **reference, "processes": CORES}
    if program == "loop":
        return {**topic, **about_model, "result_topic": where.results, "processes": CORES}
    return {
        **topic,
        **about_model,
        "result_topic": where.results,
        "dead_letter_topic": where.dead_letters,
        "stage": config.stage,
        "reference": model.reference_on_node,
        "master_url": place.master_url,
        "driver_address": place.master.bed_address,
        # One micro-batch after the other, each of the size that the cell asks for.
        "trigger_s": 0.0,
        # Spark rounds each partition's share down: without these, a last batch of a few images.
        "max_offsets_per_trigger": config.micro_batch_images + config.partitions,
        "executors": len(place.workers),
        "cores_per_executor": CORES,
        "run_dir": f"{RUN_DIR}/{where.run}",
    }


def progress_of(events: Iterable[Event]) -> list[Progress]:
    """How far a stage was when, from the events of its program, whichever it is."""
    found: list[Progress] = []
    acked = 0
    for event in events:
        if event.get("event") == "batch":
            found.append(Progress(event["finished_at"], event["rows"]))
        elif event.get("event") == "sample":
            found.append(Progress(event["at"], event["images"], event["worker"]))
        elif event.get("event") == "progress" and event["acked"] > acked:
            found.append(Progress(event["at"], event["acked"] - acked))
            acked = event["acked"]
    return found


def counts_of(events: Iterable[Event]) -> dict[str, int]:
    """What a stage counted itself: Spark's observations summed up, or what its end says."""
    totals: dict[str, int] = {}
    for event in events:
        if event.get("event") == "batch":
            seen = event["observed"].get("stage", {})
        elif event.get("event") == "done":
            seen = event
        else:
            continue
        for name in ("images", "bytes", "correct", "mismatches"):
            if seen.get(name) is not None:
                totals[name] = totals.get(name, 0) + int(seen[name])
    return totals
