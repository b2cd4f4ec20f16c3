"""A topic that is loaded before cells read it, and kept while they ask for the same one."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from streambed.experiment.placement import KafkaPlacement
from streambed.runner import kafka_specs, services, shaping, topics
from streambed.runner.pipeline import Work
from streambed.runner.program import Event, Program

_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Loaded:
    """A topic that holds every image of a cell."""

    topic: str
    produced: Event
    """What the producer said at its end."""


@contextlib.asynccontextmanager
async def loaded(
    work: Work, place: KafkaPlacement, dataset: str, deadline_s: float
) -> AsyncIterator[Loaded]:
    """The topic, loaded by the cell's own client with nothing in its way; gone at the end.

    Raises:
        CellFailure: it cannot be made or loaded.
    """
    config = work.cell.kafka
    client = work.fleet.on(place.producer)
    topic = kafka_specs.topic_of(work.name, config, place)
    spec = kafka_specs.load_spec(
        config,
        place,
        topic["name"],
        dataset=dataset,
        count=work.cell.given_images,
        deadline_s=deadline_s,
    )
    async with (
        services.brokers_running(work.fleet, place),
        topics.existing(work.fleet.on(place.keeper), place.bootstrap, [topic]),
    ):
        await shaping.set_rate(work.fleet, None)
        work.display.stage("loading the topic")
        async with Program(client, "produce", spec) as produce:
            done = await produce.until("done", timeout_s=deadline_s)
            await produce.end(timeout_s=_STOP_TIMEOUT_S)
        yield Loaded(topic["name"], done)
