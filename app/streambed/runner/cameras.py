"""Pipeline `cameras`: many cameras, brokers, consumers; one attempt at a cell."""

import asyncio
import contextlib
import math
from dataclasses import replace
from typing import Any

import numpy as np

from streambed.experiment.kafka import ACKS
from streambed.experiment.placement import place_kafka
from streambed.gates import (
    Reading,
    accounting,
    contention,
    disturbance,
    effects,
    quotas,
    timeliness,
)
from streambed.gates import kafka as gates
from streambed.pipelines import senders
from streambed.results import bottleneck, filming, histogram, latency, resources
from streambed.results.clocks import NodeClock, widest
from streambed.results.filming import Arrivals
from streambed.results.latency import Percentiles
from streambed.results.measures import CamerasMeasures
from streambed.results.spread import jain
from streambed.results.throughput import WARM_UP_SHARE
from streambed.runner import clocks, kafka_specs, rooms, sampling, services, topics
from streambed.runner.failure import CellFailure
from streambed.runner.linked import Linked, linked
from streambed.runner.model import deploy_dataset
from streambed.runner.pipeline import Outcome, Work
from streambed.runner.program import Event, Program
from streambed.runner.sweep import RUN_DIR

_START_TIMEOUT_S = 240.0
_STOP_TIMEOUT_S = 60.0
_PATIENCE_S = 180.0
"""What brokers may take for what cameras have sent, beyond the time of filming."""

QUEUE_BYTES = 1024 * 1024
"""What may wait in each camera's client: a thousand frames."""


class CamerasPipeline:
    """One attempt at a cell of pipeline `cameras`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cell = work.cell
        self._config = work.cell.cameras
        self._place = place_kafka(self._config, work.fleet.inventory)
        self._client = work.fleet.on(self._place.producer)
        self._link = Linked()
        self._produced: Event = {}
        self._consumers: list[Event] = []
        self._stored: dict[str, dict[str, int]] = {}
        self._clocks: list[dict[str, NodeClock]] = []
        self._readings: list[Reading] = []
        self._measures = CamerasMeasures()

    async def run(self) -> Outcome:
        """Film, read, judge.

        Raises:
            CellFailure: a step failed; `partial` tells what is known.
        """
        work, place = self._work, self._place
        dataset = await deploy_dataset([self._client], self._config.dataset)
        topic = kafka_specs.topic_of(work.name, self._config, place)
        needed = rooms.payload_of_brokers(
            place.brokers,
            self._config.replication,
            self._frames_of_partitions(),
            self._cell.payload_bytes,
        )
        async with (
            rooms.explained(work.fleet, place.brokers),
            services.brokers_running(work.fleet, place),
        ):
            await rooms.require(work.fleet, needed)
            async with (
                topics.existing(work.fleet.on(place.keeper), place.bootstrap, [topic]),
                linked(work, place, self._config.bandwidth_mbit_per_s) as self._link,
            ):
                await self._film(topic["name"], dataset)
        work.keep_events(
            produced=self._produced, consumers=self._consumers, stored_bytes=self._stored
        )
        self._readings += self._link.readings
        self._figures()
        self._judge()
        return self.partial()

    def partial(self) -> Outcome:
        """What is known, also of a cell that failed on the way."""
        return Outcome(self._measures, self._readings)

    @property
    def _filming_s(self) -> float:
        return self._config.frames / self._config.frame_rate_images_per_s

    async def _film(self, topic: str, dataset: str) -> None:
        work = self._work
        sessions = work.fleet.all()
        async with contextlib.AsyncExitStack() as stack:
            readers = await self._readers(stack, topic)
            work.display.stage(f"connecting {self._config.cameras} cameras")
            await self._read_clocks()
            lives = await disturbance.read(sessions)
            sampled = sampling.sampled(work.fleet, work.directory)
            async with contention.watching(sessions) as watched, sampled:
                for reader in readers:
                    reader.command("go")
                spec = self._spec(topic, dataset)
                async with Program(self._client, "cameras", spec, self._show) as cameras:
                    await cameras.until("started", timeout_s=_START_TIMEOUT_S)
                    work.display.stage("filming")
                    timeout_s = self._filming_s + _PATIENCE_S
                    self._produced = await cameras.until("done", timeout_s=timeout_s)
                    await cameras.end(timeout_s=_STOP_TIMEOUT_S)
                timeout_s = _PATIENCE_S + _STOP_TIMEOUT_S
                waiting = (reader.until("done", timeout_s=timeout_s) for reader in readers)
                self._consumers = list(await asyncio.gather(*waiting))
                await asyncio.gather(*(reader.end(timeout_s=_STOP_TIMEOUT_S) for reader in readers))
            after = await disturbance.read(sessions)
            await self._read_clocks()
        self._readings += [
            contention.judge(watched.taken, self._cell.gates.contended_above),
            disturbance.judge(lives, after, {}, {}, retried_records=0),
        ]
        self._measures = replace(
            self._measures,
            steal=watched.taken.steal,
            cpu_foreign=watched.taken.foreign,
            cpu_pressure=watched.taken.pressure,
        )
        await self._fetch(topic)

    async def _read_clocks(self) -> None:
        """Of the nodes whose times make up a latency."""
        nodes = (self._place.producer, *self._place.consumers)
        self._clocks.append(await clocks.read(self._work.fleet, nodes))

    async def _readers(self, stack: contextlib.AsyncExitStack, topic: str) -> list[Program]:
        specs = kafka_specs.read_specs(
            self._config,
            self._place,
            topic,
            client=senders.CONFLUENT,
            expected=self._frames_of_partitions(),
            consumers=self._config.consumers,
            give_up_s=_PATIENCE_S,
            raw_path=f"{RUN_DIR}/{self._work.name}-frames-{{}}.npz",
        )
        nodes = self._place.consumers
        readers = [
            await stack.enter_async_context(Program(self._work.fleet.on(node), "read", spec))
            for node, spec in zip(nodes, specs, strict=False)  # more consumers than partitions
        ]
        await asyncio.gather(*(r.until("ready", timeout_s=_START_TIMEOUT_S) for r in readers))
        return readers

    def _frames_of_partitions(self) -> list[int]:
        """Each camera's frames are in one partition."""
        counts = [0] * self._config.partitions
        for camera in range(self._config.cameras):
            counts[camera % self._config.partitions] += self._config.frames
        return counts

    @property
    def _acks_path(self) -> str:
        return f"{RUN_DIR}/{self._work.name}-acks.npz"

    def _spec(self, topic: str, dataset: str) -> dict[str, Any]:
        config = self._config
        return {
            "bootstrap": self._place.bootstrap,
            "topic": topic,
            "cameras": config.cameras,
            "frames": config.frames,
            "frame_rate_per_s": config.frame_rate_images_per_s,
            "own_clients": config.camera_clients == "own",
            "dataset": dataset,
            "config": {
                "acks": ACKS[config.acks],
                # What is sent again must not overtake what was sent after it.
                "idempotence": config.acks == "all",
                "linger_ms": config.linger_s * 1000,
                "batch_bytes": None,
                "queue_bytes": QUEUE_BYTES,
            },
            "deadline_s": self._filming_s + _PATIENCE_S,
            "raw_path": self._acks_path,
        }

    def _show(self, event: Event) -> None:
        if event.get("event") == "progress":
            self._work.display.images(event["acked"], self._cell.given_images)

    async def _fetch(self, topic: str) -> None:
        """Bring the raw times to the controller, and ask what brokers hold."""
        directory = self._work.directory
        await self._client.get(self._acks_path, directory / "acks.npz")
        for number, (node, done) in enumerate(
            zip(self._place.consumers, self._consumers, strict=False), 1
        ):
            session = self._work.fleet.on(node)
            await session.get(done["raw_path"], directory / f"frames-{number}.npz")
        spec = {
            "bootstrap": self._place.bootstrap,
            "topic": topic,
            "brokers": self._place.addresses,
        }
        keeper = self._work.fleet.on(self._place.keeper)
        async with Program(keeper, "replicas", spec) as program:
            found = await program.until("done", timeout_s=_PATIENCE_S)
        self._stored = found["stored_bytes"]

    def _figures(self) -> None:
        config, raw, produced = self._config, self._work.directory, self._produced
        numbers = range(1, len(self._consumers) + 1)
        arrivals = [Arrivals.load(raw / f"frames-{number}.npz") for number in numbers]
        if not sum(len(each.frame) for each in arrivals):
            raise CellFailure("no frame came to any consumer")
        first_frame = math.ceil(WARM_UP_SHARE * self._cell.given_images)
        counted = filming.first_of_each(arrivals, first_frame)
        cameras = filming.by_camera(counted, config.cameras, config.frame_rate_images_per_s)
        filming.write(raw / filming.FILE, cameras)
        recorded = histogram.of(filming.latencies_s(counted))
        histogram.save(recorded, raw)
        total = histogram.percentiles(recorded)
        acked = latency.Acknowledged.load(raw / "acks.npz")
        acks = _acknowledged_after_s(counted, acked)
        on_time = [camera.on_time for camera in cameras]
        worst = [camera.p99_s for camera in cameras if camera.p99_s is not None]
        consumers = [node.name for node in self._place.consumers]
        apart = widest(self._clocks, [self._place.producer.name], consumers)
        due_s = (self._cell.given_images - first_frame) / (
            config.cameras * config.frame_rate_images_per_s
        )
        self._measures = replace(
            self._measures,
            image_rate_per_s=len(counted.frame) / due_s,
            lost=self._cell.given_images - sum(done["unique"] for done in self._consumers),
            duplicates=sum(done["duplicates"] for done in self._consumers),
            reordered=sum(filming.reordered(each, config.cameras) for each in arrivals),
            camera_fairness=jain(on_time) if any(on_time) else None,
            latency_p50_s=total.p50_s if total else None,
            latency_p95_s=total.p95_s if total else None,
            latency_p99_s=total.p99_s if total else None,
            latency_max_s=total.max_s if total else None,
            latency_best_p99_s=min(worst, default=None),
            latency_worst_p99_s=max(worst, default=None),
            latency_ack_p50_s=acks.p50_s if acks else None,
            latency_ack_p99_s=acks.p99_s if acks else None,
            clock_offset_s=apart.offset_s,
            clock_uncertainty_s=apart.uncertainty_s,
            late_p99_s=produced["late_p99_s"],
            producer_threads=produced["threads"],
            goodput_up_mbit_per_s=self._link.goodput.up_mbit_per_s if self._link.goodput else None,
            goodput_down_mbit_per_s=self._link.goodput.down_mbit_per_s
            if self._link.goodput
            else None,
            **self._use(),
        )

    def _use(self) -> dict[str, Any]:
        """What the nodes used while frames were sent, and whether they kept to their quotas."""
        nodes = resources.read(self._work.directory / resources.FILE)
        start_s, end_s = self._produced["first_send_at"], self._produced["last_ack_at"]
        goodputs = {}
        if self._link.goodput is not None:
            up, down = self._link.goodput.up_mbit_per_s, self._link.goodput.down_mbit_per_s
            goodputs[self._place.producer.name] = (up, down)
        fields: dict[str, Any] = bottleneck.measures(
            bottleneck.utilisations(nodes, start_s, end_s, goodputs)
        )
        for role, members in self._place.parts().items():
            chosen = [nodes[node.name] for node in members]
            fields[f"{role}_cpu_share"] = bottleneck.cpu_share(chosen, start_s, end_s)
        self._readings += quotas.judge(nodes, self._place.nodes, start_s, end_s)
        return fields

    def _judge(self) -> None:
        config, cell, produced = self._config, self._cell, self._produced
        found = self._measures
        holders = gates.holders_of(self._place.addresses, config.partitions, config.replication)
        sending_s = produced["last_send_at"] - produced["first_send_at"]
        rate = config.cameras * config.frame_rate_images_per_s
        apart_s = found.clock_uncertainty_s or 0.0
        clients = config.cameras if config.camera_clients == "own" else 1
        self._readings += [
            accounting.acknowledged(produced["sent"], produced["acked"]),
            *gates.accounted(
                sent=cell.given_images,
                lost=found.lost or 0,
                duplicates=found.duplicates,
                unknown=sum(done["unknown"] for done in self._consumers),
                doubles_allowed=False,
            ),
            gates.order_kept(found.reordered or 0),
            gates.clocks_agree(found.latency_p50_s or 0.0, apart_s),
            timeliness.clocks_close(apart_s, found.latency_p50_s),
            gates.cameras_on_time(produced["late_p99_s"], config.frame_rate_images_per_s),
            effects.offered_rate_acts(rate, produced["sent"], sending_s),
            Reading(
                "camera_clients_act",
                ok=produced["clients"] == clients,
                measured=produced["clients"],
                expected=f"{clients} Kafka clients in the process",
            ),
            gates.brokers_act(holders, produced["leaders"], self._stored),
            gates.replication_acts(config.replication, self._stored),
            gates.partitions_act(config.partitions, self._stored, [produced["partitions"]]),
            gates.consumers_act(self._consumers, self._frames_of_partitions()),
        ]


def _acknowledged_after_s(counted: Arrivals, acked: latency.Acknowledged) -> Percentiles | None:
    """Due to acknowledged, of the frames that count."""
    _, of_frame, of_ack = np.intersect1d(
        counted.frame, acked.image_id, assume_unique=True, return_indices=True
    )
    return Percentiles.of(acked.acked_at_s[of_ack] - counted.due_at_s[of_frame])
