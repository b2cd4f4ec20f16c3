"""Pipeline `kafka`: producer, brokers, consumers, and nothing else; one attempt at a cell."""

from dataclasses import replace

from streambed.experiment.kafka import CONSUME, JAVA
from streambed.experiment.placement import place_kafka
from streambed.gates import Reading, accounting, contention, disturbance, effects
from streambed.gates import kafka as gates
from streambed.results.measures import KafkaMeasures
from streambed.runner import kafka_figures, kafka_specs, loading, rooms, services, topics
from streambed.runner.kafka_cell import KafkaCell, KafkaSeen
from streambed.runner.linked import linked
from streambed.runner.model import deploy_dataset
from streambed.runner.pipeline import Outcome, Work

KEY_BYTES = 8
"""An image's id, the key of its record; Java's tool sends none."""


class KafkaPipeline:
    """One attempt at a cell of pipeline `kafka`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cell = work.cell
        self._config = work.cell.kafka
        self._place = place_kafka(self._config, work.fleet.inventory)
        self._seen = KafkaSeen()
        self._measures = KafkaMeasures()
        self._readings: list[Reading] = []

    async def run(self) -> Outcome:
        """Send, read, or both; judge it.

        Raises:
            CellFailure: a step failed; `partial` tells what is known.
        """
        async with rooms.explained(self._work.fleet, self._place.brokers):
            await self._carry_out()
        self._keep()
        self._measures, readings = kafka_figures.measures(
            self._cell, self._place, self._seen, self._work.directory
        )
        self._readings += [*self._seen.link.readings, *readings]
        self._judge()
        return self.partial()

    def partial(self) -> Outcome:
        """What is known, also of a cell that failed on the way."""
        return Outcome(self._measures, self._readings)

    async def _carry_out(self) -> None:
        work, place = self._work, self._place
        cell = KafkaCell(work, place, self._seen)
        client = work.fleet.on(place.producer)
        dataset = await deploy_dataset([client], self._config.dataset)
        if self._config.scenario == CONSUME:
            kept = work.kept
            try:
                if not kept.holds(self._cell.shared):
                    await kept.drop()
                    await self._require_room()
                found = await kept.get(
                    self._cell.shared,
                    lambda: loading.loaded(work, place, dataset, cell.patience_s),
                )
                self._seen.produced = found.produced
                async with linked(work, place, self._config.bandwidth_mbit_per_s) as link:
                    self._seen.link = link
                    await cell.consume(found.topic, dataset)
            except BaseException as error:
                await kept.drop(error)
                raise
            return
        await work.kept.drop()
        topic = kafka_specs.topic_of(work.name, self._config, place)
        async with services.brokers_running(work.fleet, place):
            await self._require_room()
            async with (
                topics.existing(work.fleet.on(place.keeper), place.bootstrap, [topic]),
                linked(work, place, self._config.bandwidth_mbit_per_s) as link,
            ):
                self._seen.link = link
                await cell.produce(topic["name"], dataset)

    async def _require_room(self) -> None:
        cell, config = self._cell, self._config
        images = kafka_specs.images_of_partitions(config, cell.given_images)
        needed = rooms.payload_of_brokers(
            self._place.brokers, config.replication, images, cell.payload_bytes
        )
        await rooms.require(self._work.fleet, needed)

    def _keep(self) -> None:
        """The raw events of an attempt."""
        seen = self._seen
        self._work.keep_events(
            producer=seen.producer_events,
            consumers=seen.consumer_events,
            checked=seen.checked,
            counted=seen.counted,
            stored_bytes=seen.stored,
            killed_at=seen.killed_at,
            recovered_at=seen.recovered_at,
        )

    def _judge(self) -> None:
        seen, config, cell = self._seen, self._config, self._cell
        lost, duplicates, unknown = kafka_figures.lost_and_duplicates(cell, seen)
        self._measures = replace(self._measures, lost=lost, duplicates=duplicates)
        retried = seen.killed_at is not None and config.idempotence != "on"
        readings = gates.accounted(
            sent=cell.given_images,
            lost=lost,
            duplicates=duplicates,
            unknown=unknown,
            doubles_allowed=retried,
        )
        if "acked" in seen.produced:
            produced = seen.produced
            readings.append(accounting.acknowledged(produced["sent"], produced["acked"]))
        readings += self._effects()
        if config.kill_broker is not None:
            readings += self._fault(config.kill_broker)
        readings.append(self._peace())
        if seen.taken is not None:
            readings.append(contention.judge(seen.taken, cell.gates.contended_above))
        self._readings += readings

    def _effects(self) -> list[Reading]:
        """Gate 6: each factor acted."""
        seen, config, cell = self._seen, self._config, self._cell
        produced = seen.produced
        holders = gates.holders_of(self._place.addresses, config.partitions, config.replication)
        told = [produced.get("partitions")]
        key_bytes = 0 if seen.counted else KEY_BYTES
        readings = [
            gates.brokers_act(holders, produced.get("leaders"), seen.stored),
            gates.replication_acts(config.replication, seen.stored),
            gates.partitions_act(config.partitions, seen.stored, told),
            gates.client_acts(config.client, kafka_figures.clients_of(cell, seen)),
            effects.compression_acts(
                config.compression,
                seen.stored,
                images=cell.given_images,
                image_bytes=cell.payload_bytes + key_bytes,
            ),
        ]
        if config.consumes and config.client != JAVA:
            expected = kafka_specs.images_of_partitions(config, cell.given_images)
            readings.append(gates.consumers_act(seen.consumers, expected))
        readings += gates.settings_act(
            acks=config.acks,
            idempotence=config.idempotence,
            batch_bytes=config.batch_bytes,
            seen=produced,
        )
        rate = config.offered_rate_images_per_s
        if rate is not None and config.kill_broker is None:
            sending_s = produced["last_send_at"] - produced["first_send_at"]
            readings.append(effects.offered_rate_acts(rate, produced["sent"], sending_s))
        return readings

    def _fault(self, number: int) -> list[Reading]:
        seen = self._seen
        life = f"{self._place.brokers[number - 1].name} kafka"
        sending = (seen.produced["first_send_at"], seen.produced["last_send_at"])
        before, after = (lives.get(life, "none") for lives in seen.lives)
        return [
            gates.fault_acts(before, after, seen.killed_at or 0.0, sending),
            gates.replicas_agree(seen.stored),
        ]

    def _peace(self) -> Reading:
        """Nothing died but what was killed."""
        number = self._config.kill_broker
        killed = None if number is None else f"{self._place.brokers[number - 1].name} kafka"
        before, after = (
            {name: life for name, life in lives.items() if name != killed}
            for lives in self._seen.lives
        )
        return disturbance.judge(before, after, {}, {}, retried_records=0)
