"""Gate 1: the link carries what its rate promises, in both directions, and nothing else is shaped.

Goodput is TCP payload as the receiver counts it, by iperf3, after TCP's start: the median over
short intervals, since a host that stops its guests for some of them stops both ends of the link,
and a shaped link makes up for nothing. A receiver that was held up alone takes what waited in a
burst, though, and several of them lift the median above what the rate lets through: then the mean
counts. What is expected follows from the frame:
rate x (MTU - 52) / (MTU + 14), see `streambed.link`.
"""

import asyncio
import contextlib
import json
import math
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from streambed import link
from streambed.gates.reading import Reading
from streambed.runner import shaping
from streambed.runner.failure import CellFailure
from streambed.runner.remote import Session

IPERF_PORT = 5201
SEGMENT_BYTES = 1448
_INTERVAL_S = 0.25  # at 10 Mbit/s some 200 segments
# So many segments that one more or less is well below the tolerance.
_SEGMENTS = 2500
_MAX_S = 12.0
_MANAGEMENT_BYTES = 2_000_000
BURST = 1.01
"""A median above so many times the expected goodput is one of bursts."""


@dataclass(frozen=True)
class Goodput:
    """TCP payload rate between client and cluster, Mbit/s, as the receivers counted it."""

    up_mbit_per_s: float
    down_mbit_per_s: float


def measuring_time_s(rate_bit_per_s: float, least_s: float) -> float:
    """Seconds a direction is measured for: enough segments, at least `least_s`, 12 s at most."""
    return max(least_s, min(_MAX_S, _SEGMENTS * SEGMENT_BYTES * 8 / rate_bit_per_s))


@contextlib.asynccontextmanager
async def _server(session: Session) -> AsyncIterator[None]:
    address = session.node.bed_address
    process = await session.start(
        [
            # Nobody may come when the controller dies: it then ends by itself.
            *("timeout", "60", "iperf3", "--server", "--one-off", "--forceflush"),
            *("--bind", address, "--port", str(IPERF_PORT)),
        ]
    )
    try:
        try:
            async with asyncio.timeout(10):
                while "listening" not in (line := await process.stdout.readline()):
                    if not line:
                        said = (await process.stderr.read()).strip()
                        raise CellFailure(f"{session.node.name}: iperf3 cannot listen: {said}")
        except TimeoutError:
            raise CellFailure(f"{session.node.name}: iperf3 does not listen after 10 s") from None
        yield
    finally:
        process.terminate()
        process.close()


async def _one_way(
    sender: Session, receiver: Session, seconds: float, most_mbit_per_s: float
) -> float:
    # The receiver is iperf3's client, since it is the client that reports as JSON.
    async with _server(sender):
        done = await receiver.run(
            [
                *("iperf3", "--json", "--reverse", "--client", sender.node.bed_address),
                *("--port", str(IPERF_PORT), "--time", str(math.ceil(seconds))),
                *("--interval", str(_INTERVAL_S)),
            ],
            timeout_s=seconds + 30,
            check=False,
        )
    path = f"{sender.node.name} to {receiver.node.name}"
    return received_mbit_per_s(done.stdout, path, most_mbit_per_s)


def received_mbit_per_s(iperf_json: str, path: str, most_mbit_per_s: float) -> float:
    """The median of what the receiver counted in each interval, or the mean.

    Args:
        iperf_json: what its iperf3 said.
        path: sender and receiver, for errors.
        most_mbit_per_s: a median above this is an artefact of bursts.

    Raises:
        CellFailure: iperf3 reported an error or something else than JSON with intervals.
    """
    try:
        report: dict[str, Any] = json.loads(iperf_json)
        if "error" in report:
            raise CellFailure(f"goodput {path}: {report['error']}")
        sums = [interval["sum"] for interval in report["intervals"]]
        # The last interval may be a sliver.
        rates = [
            float(each["bits_per_second"]) / 1e6
            for each in sums[1:]
            if each["seconds"] > _INTERVAL_S / 2
        ]
        median, mean = statistics.median(rates), statistics.mean(rates)
        return median if median <= most_mbit_per_s else min(median, mean)
    except (ValueError, KeyError, TypeError):
        raise CellFailure(f"goodput {path}: iperf3 said {iperf_json[:200]!r}") from None


async def measure(
    client: Session, server: Session, rate_bit_per_s: float, mtu_bytes: int, least_s: float
) -> Goodput:
    """Measure both directions, one after the other (together their ACKs would disturb)."""
    seconds = measuring_time_s(rate_bit_per_s, least_s)
    most = BURST * link.expected_goodput_bit_per_s(rate_bit_per_s, mtu_bytes) / 1e6
    return Goodput(
        up_mbit_per_s=await _one_way(client, server, seconds, most),
        down_mbit_per_s=await _one_way(server, client, seconds, most),
    )


def judge(
    goodput: Goodput, rate_bit_per_s: float, mtu_bytes: int, tolerance: float, when: str
) -> list[Reading]:
    """Both directions against the expected goodput, each within `tolerance` (a fraction)."""
    expected = link.expected_goodput_bit_per_s(rate_bit_per_s, mtu_bytes) / 1e6
    return [
        Reading(
            gate=f"goodput_{direction}_{when}",
            ok=abs(measured / expected - 1) <= tolerance,
            measured=round(measured, 3),
            expected=f"{expected:.3f} within {tolerance:.1%}",
            unit="Mbit/s",
        )
        for direction, measured in (
            ("up", goodput.up_mbit_per_s),
            ("down", goodput.down_mbit_per_s),
        )
    ]


def shortfall(goodput: Goodput, rate_bit_per_s: float, mtu_bytes: int) -> float:
    """What is missing of the expected goodput in the worse direction, as a fraction; at least 0."""
    expected = link.expected_goodput_bit_per_s(rate_bit_per_s, mtu_bytes) / 1e6
    return max(0.0, 1 - min(goodput.up_mbit_per_s, goodput.down_mbit_per_s) / expected)


async def management_is_unshaped(client: Session) -> Reading:
    """Send bytes to the controller: the shaped class must not have seen them.

    Counters decide, not speed: SSH on a small CPU quota may be slower than the link.
    """
    before = (await shaping.show(client))["up"]
    if before is None:
        return Reading(
            "management_unshaped",
            ok=False,
            measured="link not shaped",
            expected="a shaped link",
        )
    await client.run(["head", "-c", str(_MANAGEMENT_BYTES), "/dev/zero"])
    after = (await shaping.show(client))["up"]
    passed = after["sent_bytes"] - before["sent_bytes"] if after else _MANAGEMENT_BYTES
    return Reading(
        gate="management_unshaped",
        ok=passed < _MANAGEMENT_BYTES // 4,
        measured=passed,
        expected=f"of {_MANAGEMENT_BYTES} bytes to the controller next to none in the shaped class",
        unit="bytes",
    )
