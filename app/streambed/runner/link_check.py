"""Measures the link of a cell, on hosts that are not ours alone.

A shaped link carries nothing while its host is stopped, and makes up for nothing afterwards. A miss
that lasts no longer than others had the processors tells of the host and not of the link, which is
then measured again. The last measurement counts, whatever it says.
"""

from dataclasses import dataclass

from streambed.experiment.schema import Gates
from streambed.gates import contention
from streambed.gates import goodput as goodputs
from streambed.gates.goodput import Goodput
from streambed.gates.reading import Reading, failed_reasons
from streambed.runner.remote import Fleet, Session

MEASUREMENTS = 3
"""At most so many, before a cell and after it."""


@dataclass(frozen=True)
class Link:
    """The shaped path of a cell and its ends."""

    fleet: Fleet
    client: Session
    far_end: Session
    rate_bit_per_s: float
    mtu_bytes: int

    async def check(self, gates: Gates, when: str) -> tuple[Goodput, list[Reading]]:
        """Measure both directions, and again while others explain what is missing.

        Args:
            gates: of the experiment: tolerance, time of a measurement, limit of contention.
            when: `before` or `after`, for the names of the gates.

        Returns:
            the last measurement, and its readings; a miss that others explain comes with the
            reading that flags the cell contended.

        Raises:
            CellFailure: iperf3 could not measure.
        """
        goodput, readings, explained = await self._once(gates, when)
        for _ in range(MEASUREMENTS - 1):
            if not explained:
                break
            goodput, readings, explained = await self._once(gates, when)
        return goodput, readings

    async def _once(self, gates: Gates, when: str) -> tuple[Goodput, list[Reading], bool]:
        """One measurement, and whether others explain its miss."""
        link = (self.rate_bit_per_s, self.mtu_bytes)
        async with contention.watching(self.fleet.all()) as watched:
            goodput = await goodputs.measure(self.client, self.far_end, *link, gates.goodput_s)
        readings = goodputs.judge(goodput, *link, gates.goodput_tolerance, when)
        if not failed_reasons(readings):
            return goodput, readings, False
        limit = gates.contended_above
        missing = goodputs.shortfall(goodput, *link)
        if missing > gates.goodput_tolerance:
            one_way_s = goodputs.measuring_time_s(self.rate_bit_per_s, gates.goodput_s)
            limit = min(limit, missing * one_way_s / watched.elapsed_s)
        others = contention.judge(watched.taken, limit, f"cpu_taken_by_others_{when}")
        return goodput, [*readings, others], not others.ok
