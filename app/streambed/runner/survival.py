"""What a cell with a fault comes to: how long it was felt, and whether anything was lost by it."""

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

from streambed.experiment.placement import Placement
from streambed.gates import Reading, accounting, contention, effects, survival
from streambed.results import clocks, first_results, recovery
from streambed.results.files import write_text
from streambed.results.measures import StreamingMeasures
from streambed.runner import figures
from streambed.runner.failure import CellFailure
from streambed.runner.observed import Observed
from streambed.runner.pipeline import Work

_BACK_TIMEOUT_S = 120.0
_LOOK_EVERY_S = 1.0


async def until_back(work: Work, placement: Placement) -> Reading:
    """Wait until every service in use is active again, for two minutes at most."""
    states: dict[str, str] = {}
    stopped = {f"{node.name} spark-worker" for node in placement.idle}
    try:
        async with asyncio.timeout(_BACK_TIMEOUT_S):
            while True:
                states = await survival.services(work.fleet.all())
                states = {name: each for name, each in states.items() if name not in stopped}
                if all(state == "active" for state in states.values()):
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        pass  # the reading tells
    return survival.services_back(states)


def outcome(
    seen: Observed, raw: Path, placement: Placement, model_tag: str
) -> tuple[StreamingMeasures, list[Reading]]:
    """Figures and readings of a cell that ran to its end.

    Args:
        seen: what it observed, the fault among it.
        raw: the attempt's directory; it gets what was late, and for how long.
        placement: which nodes did what.
        model_tag: of the model that the cell names.

    Raises:
        CellFailure: too little came before the fault to compare with.
    """
    cell, fault = seen.cell, seen.fault
    assert fault is not None
    results = first_results.load(raw / "results.npz", seen.images)
    # All times by the brokers' clock, which results are appended by.
    brokers = [node.name for node in placement.brokers]
    sender = clocks.ahead(seen.clocks, placement.producer.name, brokers)
    apart = clocks.ahead(seen.clocks, fault.node, brokers)
    results = replace(results, intended_at_s=results.intended_at_s + sender.offset_s)
    try:
        felt = recovery.measure(
            results,
            fault.at_s + apart.offset_s,
            cell.streaming.trigger_s,
            clocks_s=apart.uncertainty_s,
        )
    except recovery.NoPeace as error:
        raise CellFailure(f"fault {fault.kind}: {error}") from None
    write_text(raw / "recovery.json", json.dumps(asdict(felt), indent=1) + "\n")
    limits = (
        f"before the end; late is a latency above {felt.latency_limit_s:.1f} s or a pause above "
        f"{felt.pause_limit_s:.1f} s"
    )
    told = survival.clocks_close(apart.uncertainty_s, felt.recovery_s)
    produced, collected = seen.produced, seen.collected
    accounts = accounting.judge(
        produced["sent"], produced["acked"], collected, cell.gates.min_accuracy
    )
    readings = [
        *seen.readings,
        survival.fault_acts(fault.kind, fault.proof, acted=fault.acted),
        survival.recovered(felt.recovery_s, limits),
        told,
        survival.executors_back(len(placement.workers), len(seen.stopped["executors"])),
        # An image that came twice is counted, and told by its id.
        *(reading for reading in accounts if reading.gate != "results_duplicate"),
        effects.model_acts(model_tag, collected["models"]),
    ]
    if seen.taken is not None:
        readings.append(contention.judge(seen.taken, cell.gates.contended_above))
    found = replace(
        figures.partial_measures(seen),
        recovery_s=felt.recovery_s if told.ok else None,
        images_sent=produced["sent"],
    )
    return found, readings
