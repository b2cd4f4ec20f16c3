"""Faults made in a running cell; each tells when it acted, and what proves that it did."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from streambed import console
from streambed.beds.provider import NodeCondition, Provider
from streambed.beds.providers import provider_of
from streambed.errors import StreambedError
from streambed.experiment import fault
from streambed.experiment.placement import Placement
from streambed.inventory import Node
from streambed.runner import clocks, shaping
from streambed.runner.failure import BedFailure, CellFailure
from streambed.runner.remote import Fleet
from streambed.runner.rights import as_root

# Prints the process and the time of its end; a zombie that nobody has waited for has ended.
_KILL = """\
set -eu
pid=$({find} || true)
case "$pid" in ''|0) echo 'there is no such process' >&2; exit 3;; esac
kill -9 "$pid"
at=$(date +%s.%N)
left=100
while [ -e "/proc/$pid" ] && [ "$(awk '/^State/ {{print $2}}' "/proc/$pid/status")" != Z ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || {{ echo "process $pid is still there" >&2; exit 4; }}
    sleep 0.05
done
echo "$pid $at"
"""

# Here while a fault is being made that would outlive its script, were that killed; see `undo`.
LEFT = "/var/lib/streambed/fault"

# Whatever becomes of the controller, the link comes back: a table of its own, gone with the script.
_CUT = """\
set -eu
trap 'rm -f {left}; nft delete table inet streambed_fault' EXIT
trap 'exit 1' HUP INT TERM
: > {left}
{{
    echo 'table inet streambed_fault {{'
    for way in input:saddr output:daddr; do
        echo "chain ${{way%:*}} {{ type filter hook ${{way%:*}} priority -150; policy accept;"
        echo "ip ${{way#*:}} {{ {peers} }} counter drop; }}"
    done
    echo '}}'
}} | nft --file -
date +%s.%N
sleep {seconds:g} & wait "$!"
nft list table inet streambed_fault | awk '/packets/ {{for (i = 1; i < NF; i++)
    if ($i == "packets") sum += $(i + 1)}} END {{print sum + 0}}'
"""

# A file as large as what is free does not fit: its list of blocks takes room too, and the broker
# goes on writing. What was refused, wholly or in part, is asked for again in ever smaller parts.
_FILL = """\
set -eu
trap 'rm -f "$1"/.streambed-filled.* {left}' EXIT
trap 'exit 1' HUP INT TERM
: > {left}
part=$(df --output=avail --block-size=1 "$1" | tail -n 1)
date +%s.%N
while [ "$part" -ge 4096 ]; do
    fallocate --length "$part" "$1/.streambed-filled.$part" 2>/dev/null || true
    part=$((part / 2))
done
df --output=avail --block-size=1 "$1" | tail -n 1
sleep {seconds:g} & wait "$!"
"""

_UNDO = """\
nft delete table inet streambed_fault 2>/dev/null || true
rm -f {folder}/.streambed-filled.* {left}
"""
_BROKERS_DISK = "/var/lib/kafka"


@dataclass(frozen=True)
class Injected:
    """A fault that was made.

    `at_s`: unix seconds, by the clock of `node`; `proof`: what shows that it acted, in words;
    `acted` is false when that shows the contrary.
    """

    kind: str
    at_s: float
    node: str
    proof: str
    acted: bool = True


@runtime_checkable
class Freezes(Protocol):
    """A provider that can stop a node's time."""

    def freeze(self, node: str) -> None:
        """Stop every process of the node."""

    def thaw(self, node: str) -> None:
        """Let them go on."""


@dataclass(frozen=True)
class Situation:
    """Where a fault is made."""

    fleet: Fleet
    placement: Placement
    bandwidth_mbit_per_s: float | None

    @property
    def provider(self) -> Provider:
        """What has made the bed's nodes."""
        return provider_of(self.fleet.inventory, say=console.say)

    @property
    def victim(self) -> Node:
        """The node that is stopped or frozen."""
        node = fault.victim_node(self.fleet.inventory)
        assert node is not None  # `fault.refusal` has asked
        return node


async def inject(kind: str, there: Situation) -> Injected:
    """Make a fault and wait until it is over, as far as it does not end by itself.

    Raises:
        CellFailure: it could not be made.
    """
    try:
        return await _MAKERS[kind](there)
    except StreambedError as error:
        # What makes the nodes refused; whether the bed is whole, the next connection tells.
        raise BedFailure(f"fault {kind}: {error.message}") from error


async def undo(node: Node) -> None:
    """Take away what a killed run's fault left on a node that has `LEFT`.

    Raises:
        CellFailure: it could not be.
    """
    await as_root(node, _UNDO.format(folder=_BROKERS_DISK, left=LEFT))


def _of_unit(unit: str) -> str:
    return f"systemctl show --property=MainPID --value {unit}"


def _python_worker(daemon: str) -> str:
    """Finds the newest child of the oldest process whose command line has `daemon`, a pattern.

    Python workers are forks of the daemon and have its command line; it is the oldest of them.
    """
    return f"pgrep -n -P \"$(pgrep -o -f '{daemon}')\""


async def _kill(kind: str, node: Node, find: str) -> Injected:
    pid, at = (await as_root(node, _KILL.format(find=find))).split()
    return Injected(kind, float(at), node.name, f"process {pid} on {node.name} is gone")


def _killing(kind: str, where: Callable[[Placement], Node], find: str) -> "_Maker":
    async def make(there: Situation) -> Injected:
        return await _kill(kind, where(there.placement), find)

    return make


async def _link_cut(there: Situation) -> Injected:
    node = there.placement.producer
    peers = ", ".join(sorted(peer.bed_address for peer in there.placement.peers))
    script = _CUT.format(peers=peers, seconds=fault.CUT_S, left=LEFT)
    at, packets = (await as_root(node, script, timeout_s=fault.CUT_S + 30)).split()
    return Injected(
        "link_cut",
        float(at),
        node.name,
        f"{packets} packets between {node.name} and the cluster were dropped",
        acted=int(packets) > 0,
    )


async def _link_slow(there: Situation) -> Injected:
    bandwidth = there.bandwidth_mbit_per_s
    assert bandwidth is not None  # `fault.refusal` has asked
    rate_bit_per_s = bandwidth * 1e6
    client = there.fleet.on(there.placement.producer)
    await shaping.set_rate(there.fleet, fault.SLOW_SHARE * rate_bit_per_s)
    at, began = await clocks.now(client), time.monotonic()
    try:
        before = (await shaping.show(client))["up"]["sent_bytes"]
        await asyncio.sleep(fault.SLOW_S)
        after = (await shaping.show(client))["up"]["sent_bytes"]
        measured = (after - before) * 8 / (time.monotonic() - began)
    finally:
        await shaping.set_rate(there.fleet, rate_bit_per_s)
    return Injected(
        "link_slow",
        at,
        client.node.name,
        f"the link carried {measured / 1e6:.3f} Mbit/s of {bandwidth:g}",
        acted=0 < measured < 2 * fault.SLOW_SHARE * rate_bit_per_s,
    )


async def _disk_full(there: Situation) -> Injected:
    broker = there.placement.brokers[0]
    script = _FILL.format(seconds=fault.FULL_S, left=LEFT)
    printed = await as_root(broker, script, _BROKERS_DISK, timeout_s=fault.FULL_S + 30)
    at, free = printed.split()
    return Injected(
        "disk_full",
        float(at),
        broker.name,
        f"{free} bytes were free in {_BROKERS_DISK} of {broker.name}",
        acted=int(free) < 2**20,
    )


async def _node_stop(there: Situation) -> Injected:
    node, provider = there.victim, there.provider
    witness = there.fleet.on(there.placement.producer)
    at = await clocks.now(witness)
    try:
        await asyncio.to_thread(provider.stop, node.name)
        condition = await _condition(provider, node)
    finally:
        await asyncio.to_thread(provider.start, node.name)
    await there.fleet.reconnect(node)
    proof = f"{node.name} was {condition}"
    return Injected("node_stop", at, witness.node.name, proof, acted=condition == "stopped")


async def _node_freeze(there: Situation) -> Injected:
    node, provider = there.victim, there.provider
    if not isinstance(provider, Freezes):
        raise CellFailure(f"fault node_freeze: provider {provider.name} cannot freeze a node")
    witness = there.fleet.on(there.placement.producer)
    at = await clocks.now(witness)
    await asyncio.to_thread(provider.freeze, node.name)
    try:
        condition = await _condition(provider, node)
        await asyncio.sleep(fault.FROZEN_S)
    finally:
        await asyncio.to_thread(provider.thaw, node.name)
    await there.fleet.reconnect(node)
    proof = f"{node.name} was {condition}"
    return Injected("node_freeze", at, witness.node.name, proof, acted=condition == "paused")


async def _condition(provider: Provider, node: Node) -> NodeCondition:
    """What its provider says of a node; asked in a thread, since the cell goes on meanwhile."""
    states = await asyncio.to_thread(provider.states)
    return next(state.condition for state in states if state.name == node.name)


_Maker = Callable[[Situation], Awaitable[Injected]]

# The brackets keep a pattern from finding the shell that looks for it. The driver's JVM is older
# than the daemon and has its module among its settings: only the daemon has the worker's behind it.
_MAKERS: Mapping[str, _Maker] = {
    "worker_kill": _killing("worker_kill", lambda p: p.workers[-1], _of_unit("spark-worker")),
    "executor_kill": _killing(
        "executor_kill", lambda p: p.workers[-1], "pgrep -o -f '[C]oarseGrainedExecutorBackend'"
    ),
    "python_worker_kill": _killing(
        "python_worker_kill",
        lambda p: p.workers[-1],
        _python_worker("[p]ipelines.spark_daemon pyspark.worker"),
    ),
    "driver_kill": _killing(
        "driver_kill", lambda p: p.master, "pgrep -o -u streambed -f '[d]eploy.SparkSubmit'"
    ),
    "broker_of_three_kill": _killing(
        "broker_of_three_kill", lambda p: p.brokers[-1], _of_unit("kafka")
    ),
    "only_broker_kill": _killing("only_broker_kill", lambda p: p.brokers[0], _of_unit("kafka")),
    "link_cut": _link_cut,
    "link_slow": _link_slow,
    "producer_kill": _killing(
        "producer_kill", lambda p: p.producer, "pgrep -n -u streambed -f '[p]ipelines produce'"
    ),
    "node_stop": _node_stop,
    "node_freeze": _node_freeze,
    "disk_full": _disk_full,
}
