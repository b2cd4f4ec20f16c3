"""Checks of a converged, idle bed over SSH: pytest tests/infra --inventory inventory/duo."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
import testinfra
import testinfra.host
import yaml
from tests.infra.nodes import ROOT, Service, services
from tests.infra.rights import SudoBackend
from tests.infra.survey import Seen, Survey

from streambed import inventory as inventories
from streambed.beds import ssh
from streambed.inventory import Inventory, Node

_INVENTORY = pytest.StashKey[Inventory]()
_SOCKETS = pytest.StashKey[str]()
_HOSTS: dict[tuple[str, str], testinfra.host.Host] = {}
_CONNECTING = threading.Lock()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--inventory", default="inventory/duo", help="the bed to check")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "on(*groups): run once for each node of these groups")
    config.addinivalue_line("markers", "sealed: only where nothing but Streambed runs on a node")
    config.stash[_INVENTORY] = inventories.load(config.getoption("--inventory"))
    # Short: the name of a Unix socket is limited to 108 bytes.
    config.stash[_SOCKETS] = tempfile.mkdtemp(prefix="sb-", dir="/tmp")


def pytest_unconfigure(config: pytest.Config) -> None:
    for host in _HOSTS.values():
        host.backend.run_local(*_closing(host))
    shutil.rmtree(config.stash[_SOCKETS], ignore_errors=True)


def _closing(host: testinfra.host.Host) -> tuple[str, str]:
    return "ssh -O exit -o ControlPath=%s", host.backend.control_path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per node (`node`), or per service and node (`service`)."""
    bed = metafunc.config.stash[_INVENTORY]
    marker = metafunc.definition.get_closest_marker("on")
    groups = set(marker.args) if marker else set()
    nodes = [node for node in bed.nodes if not groups or groups & node.groups]
    if "service" in metafunc.fixturenames:
        found = [(node, service) for node in nodes for service in services(node)]
        metafunc.parametrize(
            ("node", "service"), found, ids=[f"{node.name}-{each.unit}" for node, each in found]
        )
    elif "node" in metafunc.fixturenames:
        metafunc.parametrize("node", nodes, ids=[node.name for node in nodes])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A check for groups or beds that this bed is not is not one of its checks.

    Those that ask nodes themselves come first: meanwhile all nodes are looked at.
    """
    sealed = config.stash[_INVENTORY].in_containers
    found = [
        item
        for item in items
        if "NOTSET" not in item.name and (sealed or item.get_closest_marker("sealed") is None)
    ]
    items[:] = sorted(found, key=lambda item: "seen" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure that concerns a unit, what its journal said last."""
    report = yield
    if report.when == "call" and report.failed and isinstance(item, pytest.Function):
        service, node = item.funcargs.get("service"), item.funcargs.get("node")
        if isinstance(service, Service) and isinstance(node, Node):
            host = _connect(item.config, node, node.user)
            journal = host.run("journalctl --no-pager -n 30 -u %s", service.unit).stdout
            report.sections.append((f"journal of {service.unit}", journal))
    return report


def _connect(config: pytest.Config, node: Node, user: str) -> testinfra.host.Host:
    with _CONNECTING:
        return _connected(config, node, user)


def _connected(config: pytest.Config, node: Node, user: str) -> testinfra.host.Host:
    key = (node.name, user)
    if key not in _HOSTS:
        control = f"{config.stash[_SOCKETS]}/{node.name}-{user}"
        options = [
            "-o ControlMaster=auto",
            f"-o ControlPath={control}",
            "-o ControlPersist=60",
            "-o BatchMode=yes",
        ]
        if node.key_file:
            options.append("-o IdentitiesOnly=yes")
        if node.known_hosts:
            options.append(f"-o UserKnownHostsFile={node.known_hosts}")
        if node.proxy_jump:
            options.append(f"-J {node.proxy_jump}")
        if node.proxy_command:
            options.append(f"-o {shlex.quote(f'ProxyCommand={node.proxy_command}')}")
        where = f"{user}@{node.address}:{node.port}"
        how = {
            "ssh_identity_file": str(node.key_file) if node.key_file else None,
            "ssh_extra_args": " ".join(options),
            "controlpersist": 0,
        }
        if user == node.user != "root":
            backend = SudoBackend(where, password=ssh.become_password(node), **how)
            _HOSTS[key] = testinfra.host.Host(backend)
            backend.set_host(_HOSTS[key])
        else:
            _HOSTS[key] = testinfra.get_host(f"ssh://{where}", **how)
        _HOSTS[key].backend.control_path = control
    return _HOSTS[key]


@pytest.fixture(scope="session")
def bed(pytestconfig: pytest.Config) -> Inventory:
    return pytestconfig.stash[_INVENTORY]


@pytest.fixture(scope="session", autouse=True)
def survey(pytestconfig: pytest.Config, bed: Inventory) -> Survey:
    """All nodes, looked at once, from the first check on."""
    found = Survey(bed, lambda node, user: _connect(pytestconfig, node, user))
    found.begin()
    return found


@pytest.fixture
def seen(survey: Survey, node: Node) -> Seen:
    """What the node showed."""
    return survey.of(node)


@pytest.fixture
def host(pytestconfig: pytest.Config, node: Node) -> testinfra.host.Host:
    """The node, as root: the inventory's user, or with sudo."""
    return _connect(pytestconfig, node, node.user)


@pytest.fixture
def run_user(pytestconfig: pytest.Config, node: Node) -> testinfra.host.Host:
    """The node, as the user that runs are made as."""
    return _connect(pytestconfig, node, "streambed")


@pytest.fixture(scope="session")
def versions() -> dict[str, str]:
    """The pins."""
    pins = yaml.safe_load((ROOT / "ansible/versions.yml").read_text())
    return {name: str(version) for name, version in pins["streambed_versions"].items()}


@pytest.fixture(scope="session")
def wheels() -> dict[str, str]:
    """The Python packages of the nodes, by normalised name."""
    lock = Path(ROOT / "requirements-node.lock").read_text()
    pins = (line.split()[0].split("==") for line in lock.splitlines() if "==" in line)
    return {name.lower().replace("_", "-"): version for name, version in pins}
