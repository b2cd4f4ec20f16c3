"""Pipeline `streaming`: a cell from the model on the nodes to figures and the gates they passed."""

from dataclasses import asdict, replace

from streambed.experiment.placement import place
from streambed.gates import Reading, accounting, contention, driver, trigger
from streambed.runner import figures, producing, proofs, provenance, services, survival
from streambed.runner.disturbed_cell import DisturbedCell
from streambed.runner.model import DeployedModel, deploy
from streambed.runner.observed import Observed
from streambed.runner.pipeline import Outcome, Work
from streambed.runner.streaming_cell import StreamingCell


class StreamingPipeline:
    """One attempt at a cell of pipeline `streaming`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._config = work.cell.streaming
        self._place = place(self._config, work.fleet.inventory)
        self._observed = Observed(work.cell)

    async def run(self) -> Outcome:
        """Deploy, measure the producer alone, run the cell, judge it.

        Raises:
            CellFailure: a step failed; `partial` tells what is known.
        """
        work = self._work
        work.display.stage("switching workers")
        await services.use_workers(work.fleet, self._place.workers)
        model = await deploy(work.fleet, self._place, self._config, work.display)
        work.record_facts(provenance.of_model(self._config, model))
        async with services.brokers_running(work.fleet, self._place):
            with self._observed.purpose():
                unshaped_rate_per_s = await self._unshaped_rate(model)
            kind = StreamingCell if self._config.fault is None else DisturbedCell
            await kind(work, self._place, model, self._observed, unshaped_rate_per_s).run()
            if self._config.fault is not None:
                self._observed.readings.append(await survival.until_back(work, self._place))
        self._keep()
        effective = self._observed.effective["spark"]
        work.record_facts(provenance.of_spark(work.bed, self._config, effective))
        if self._config.fault is not None:
            found, judged = survival.outcome(self._observed, work.directory, self._place, model.tag)
            return Outcome(replace(found, engine_s=self._observed.engine_s), judged)
        measures, readings = figures.measures(
            self._observed, work.directory, unshaped_rate_per_s, self._place
        )
        send_rate_per_s = figures.sending_of(self._observed.produced).rate_per_s
        readings += self._judge(unshaped_rate_per_s, send_rate_per_s)
        readings += proofs.of_effects(self._observed, self._place, model.tag)
        readings.append(proofs.of_calls(self._observed, work.directory))
        readings.append(proofs.of_peace(self._observed, work.directory))
        return Outcome(replace(measures, engine_s=self._observed.engine_s), readings)

    def partial(self) -> Outcome:
        """What was observed of a cell that failed on the way."""
        seen = self._observed
        return Outcome(figures.partial_measures(seen), seen.readings)

    async def _unshaped_rate(self, model: DeployedModel) -> float:
        """The producer's own rate, measured once per run for each way of producing.

        A slow link's small batches are a way of their own.
        """
        work, config = self._work, self._config
        key = (
            *(config.producer, config.broker_on, config.given_partitions, config.plaintext),
            *producing.sender_config(config).values(),
            *(model.dataset_on_node, work.bed),
        )
        if key not in work.known:
            work.known[key] = await producing.probe(
                work.fleet, self._place, config, model.dataset_on_node, work.name
            )
        return work.known[key]

    def _keep(self) -> None:
        """The raw events of an attempt, beside the collector's arrays."""
        seen = self._observed
        self._work.keep_events(
            produced=seen.produced,
            collected=seen.collected,
            batches=seen.batches,
            effective=seen.effective,
            **({} if seen.fault is None else {"fault": asdict(seen.fault)}),
        )

    def _judge(self, unshaped_rate_per_s: float, send_rate_per_s: float) -> list[Reading]:
        """All readings of a cell that ran to its end, those taken on the way included."""
        seen = self._observed
        cell = self._work.cell
        produced = seen.produced
        readings = list(seen.readings)
        readings += accounting.judge(
            produced["sent"], produced["acked"], seen.collected, cell.gates.min_accuracy
        )
        sending = trigger.of_sending(
            seen.batches, produced["first_send_at"], produced["last_send_at"]
        )
        readings.append(trigger.judge(sending, self._config.trigger_s))
        readings.append(
            driver.headroom(unshaped_rate_per_s, send_rate_per_s, cell.gates.driver_headroom)
        )
        if seen.goodput is not None and self._fills_link:
            link_rate = seen.goodput.up_mbit_per_s * 1e6 / 8 / cell.payload_bytes
            readings.append(driver.filled_link(send_rate_per_s, link_rate))
        if seen.taken is not None:
            readings.append(contention.judge(seen.taken, cell.gates.contended_above))
        return readings

    @property
    def _fills_link(self) -> bool:
        """Closed mode, uncompressed: the link alone should set the pace."""
        return not self._config.open_mode and self._config.compression == "none"
