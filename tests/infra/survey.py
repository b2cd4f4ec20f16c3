"""One look at every node, all nodes at once: what most checks are made on.

A check that asked its node itself would cost an SSH command, and a small node half a second of it:
minutes for eight nodes, one after the other. The few checks that do are made while nodes are looked
at (conftest.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testinfra.host import Host
from tests.infra.nodes import ONE_SHOTS, services, switchable

from streambed.inventory import Inventory, Node

TRIED_PORTS = (5201, 7001, 7003, 7077, 7078, 8080, 8081, 9092, 9093, 9095, 18080)
"""Every node tries these of every node, and so does the controller."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Seen:
    """What one node showed."""

    root: Mapping[str, Any]
    """By `look.py`."""
    run_user: Mapping[str, Any]
    """By `look_as_run_user.py`."""
    clock: tuple[float, float, float]
    """The controller's clock before, the node's, the controller's after; unix seconds."""


@dataclass
class Survey:
    """Looks at every node."""

    bed: Inventory
    connect: Callable[[Node, str], Host]
    _looks: dict[str, Future[Seen]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start to look; nobody waits."""
        pool = ThreadPoolExecutor(len(self.bed.nodes))
        self._looks = {one.name: pool.submit(self._look, one) for one in self.bed.nodes}
        pool.shutdown(wait=False)

    def of(self, node: Node) -> Seen:
        """What a node showed; what went wrong there is raised for that node alone."""
        return self._looks[node.name].result()

    def _look(self, node: Node) -> Seen:
        host, run_user = self.connect(node, node.user), self.connect(node, "streambed")
        host.check_output("true")  # connected, so that only the answer takes time
        before = time.time()
        there = float(host.check_output("date +%s.%N"))
        clock = (before, there, time.time())
        request = {
            "services": [
                {"unit": each.unit, "name": each.user, "writable": each.writable}
                for each in services(node)
            ],
            "one_shots": {
                unit: writable
                for unit, writable in ONE_SHOTS.items()
                if unit != "streambed-link.service" or "clients" in node.groups
            },
            "tried": [(other.bed_address, p) for other in self.bed.nodes for p in TRIED_PORTS],
            # Placed, and started by the cells that use it.
            "standby": ["kafka.service"] if "kafka_standby" in node.groups else [],
            "broker": "kafka_brokers" in node.groups,
            "master": f"http://{node.bed_address}:8080/json/"
            if "spark_master" in node.groups
            else None,
        }
        return Seen(
            root=_ask(host, "look.py", request),
            run_user=_ask(run_user, "look_as_run_user.py", {"units": switchable(node)}),
            clock=clock,
        )


def _ask(host: Host, program: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a program of this folder on a node."""
    code = (_FOLDER / program).read_text()
    said = host.check_output("python3 -IS -c %s %s", code, json.dumps(request))
    found: dict[str, Any] = json.loads(said)
    return found
