"""The pure parts of the roles: what refuses a node, what counts as in place, what is packed."""

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml

ROOT = Path(__file__).parents[2]
NEEDS: dict[str, Any] = {
    "os": "debian",
    "os_version": "12",
    "architecture": "x86_64",
    "python": "3.11",
    "memory_bytes": 2**31,
    "disk_bytes": 2**31,
    "address": "192.0.2.1",
    "peers": {"cloud": "192.0.2.2"},
    "clock_tolerance_s": 5.0,
    "host": "camera",
    "addresses": {"camera": "192.0.2.1", "cloud": "192.0.2.2"},
    "interface": None,
    "ports": [9092],
    "own": {
        "paths": ["/opt/kafka", "/etc/systemd/system/streambed-*"],
        "tables": [["inet", "streambed"]],
    },
}
FIT: dict[str, Any] = {
    "os": {"id": "debian", "version": "12"},
    "architecture": "x86_64",
    "python": "3.11.2",
    "systemd": True,
    "memory_bytes": 2**31,
    "disk_free_bytes": {"/opt": 2**32},
    "interface": "eth0",
    "routes": {"192.0.2.2": {"dev": "eth0", "src": "192.0.2.1"}},
    "clock": {"asked": 1000.0, "node": 1006.0},
    "answered": 1007.0,  # slow, but not wrong
    "shaping_missing": [],
    "firewall_missing": [],
    "foreign_qdiscs": [],
    "listening": [
        {"address": "0.0.0.0", "port": 22, "user": "root"},
        {"address": "127.0.0.1", "port": 9092, "user": "ann"},
        {"address": "192.0.2.1", "port": 9092, "user": "kafka"},
    ],
    "before": None,
    "paths": {"/opt/others": "directory"},
    "users": {"kafka": None},
    "tables": ["inet others"],
}


def load(path: str) -> ModuleType:
    name = f"roles_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


preflight = load("roles/preflight/filter_plugins/preflight.py")
probe_module = load("roles/preflight/files/probe.py")
place = load("ansible/action_plugins/streambed_place.py")
kafka = load("roles/kafka/filter_plugins/kafka_uuid.py")


def test_a_fit_node_is_not_refused() -> None:
    assert preflight.refusals(FIT, NEEDS) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"os": {"id": "ubuntu", "version": "22.04"}}, "it runs ubuntu 22.04"),
        ({"architecture": "aarch64"}, "it is a aarch64"),
        ({"python": "3.10.12"}, "its Python is 3.10.12"),
        ({"python": "3.1.1"}, "its Python is 3.1.1"),
        ({"systemd": False}, "systemd does not run"),
        ({"memory_bytes": 2**30}, "1.0 GiB of memory"),
        ({"disk_free_bytes": {"/opt": 1}}, "free in /opt"),
        ({"interface": None}, "no interface carries 192.0.2.1"),
        ({"routes": {}}, "no route leads from it to cloud (192.0.2.2"),
        (
            {"routes": {"192.0.2.2": {"dev": "eth1", "src": "198.51.100.1"}}},
            "what goes to cloud (192.0.2.2) leaves by eth1 as 198.51.100.1, not by eth0",
        ),
        (
            {"routes": {"192.0.2.2": {"dev": "eth0", "src": "192.0.2.7"}}},
            "leaves by eth0 as 192.0.2.7, not by eth0 as 192.0.2.1",
        ),
        ({"clock": {"asked": 1000.0, "node": 991.0}}, "-9.0 s off"),
        ({"clock": {"asked": 1000.0, "node": 1013.0}}, "+6.0 s off"),
        ({"shaping_missing": ["sch_htb"]}, "lacks sch_htb"),
        ({"firewall_missing": ["nf_tables"]}, "lacks nf_tables, which the firewall needs"),
        ({"foreign_qdiscs": ["tbf 8001:"]}, "eth0 has a queueing discipline of somebody else"),
        (
            {"listening": [{"address": "::", "port": 9092, "user": "ann"}]},
            "port 9092 is taken by a process of user ann",
        ),
        ({"paths": {"/opt/kafka": "link /opt/k"}}, "it has /opt/kafka from somebody else"),
        ({"users": {"kafka": {"home": "/srv"}}}, "it has user kafka from somebody else"),
        ({"tables": ["inet streambed"]}, "it has the nftables table inet streambed from"),
    ],
)
def test_an_unfit_node_is_refused_with_the_reason(seen: dict[str, Any], said: str) -> None:
    (reason,) = preflight.refusals({**FIT, **seen}, NEEDS)
    assert said in reason


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"interface": "eth1"}, "192.0.2.1 is on eth0, not on eth1"),
        (
            {"addresses": {"camera": "192.0.2.1", "cloud": "192.0.2.1"}},
            "cloud has the same address",
        ),
    ],
)
def test_an_inventory_that_is_wrong_is_refused_with_the_reason(
    asked: dict[str, Any], said: str
) -> None:
    (reason,) = preflight.refusals(FIT, {**NEEDS, **asked})
    assert said in reason


def test_what_is_noted_as_ours_or_need_not_be_is_no_stranger() -> None:
    seen = {**FIT, "paths": {"/opt/kafka": "link /opt/k"}}
    assert preflight.refusals({**seen, "before": {"sysctls": {}}}, NEEDS) == []
    assert preflight.refusals(seen, {**NEEDS, "own": None}) == []


def test_a_node_without_python_is_refused() -> None:
    (reason,) = preflight.refusals({"python": None}, NEEDS)
    assert "no python3" in reason


def test_only_what_differs_is_not_in_place() -> None:
    rights = {"owner": "root", "group": "root", "mode": "0644"}
    wanted = [
        {"path": "/same", "content": "a\n", **rights},
        {"path": "/other-content", "content": "a\n", **rights},
        {"path": "/other-mode", "content": "a\n", **rights},
        {"path": "/absent", "content": "a\n", **rights},
        {"path": "/directory", **rights},
        {"path": "/link", "target": "/there"},
    ]
    observed = {
        "paths": {
            "/same": place.signature(wanted[0]),
            "/other-content": place.signature({**wanted[0], "content": "b\n"}),
            "/other-mode": place.signature({**wanted[0], "mode": "0600"}),
            "/directory": "directory 0644 root root",
            "/link": "link /there",
        }
    }
    differing = [each["path"] for each in place.not_in_place(wanted, observed)]
    assert differing == ["/other-content", "/other-mode", "/absent"]


def test_without_a_probe_nothing_is_in_place() -> None:
    wanted = [{"path": "/link", "target": "/there"}]
    assert place.not_in_place(wanted, {}) == wanted


def test_the_probe_describes_a_file_as_the_filter_expects_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content\n")
    file.chmod(0o640)
    request = {"address": "127.0.0.1", "controller_time": 0.0, "users": ["root"]}
    request |= {"peers": ["127.0.0.2"], "sysctls": ["vm.max_map_count", "vm.absent"]}
    request |= {"shaping": False, "firewall": False}
    probe = subprocess.run(
        [
            *(sys.executable, "-IS", ROOT / "roles/preflight/files/probe.py"),
            json.dumps({**request, "units": [], "paths": [f"{tmp_path}/*"]}),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    observed = json.loads(probe.stdout)
    wanted = {
        "path": str(file),
        "content": "content\n",
        "owner": file.owner(),
        "group": file.group(),
        "mode": "0640",
    }
    assert place.not_in_place([wanted], observed) == []
    assert observed["users"]["root"]["home"] == "/root"
    assert observed["clock"]["node"] > 1e9
    assert observed["before"] is None
    assert observed["interface"] == "lo"
    assert observed["routes"]["127.0.0.2"]["dev"] == "lo"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = probe_module.listeners()
    mine = {"address": "127.0.0.1", "port": port, "user": file.owner()}
    assert mine in found
    assert observed["sysctls"].keys() == {"vm.max_map_count"}
    assert observed["sysctls"]["vm.max_map_count"] > 0


def test_a_java_that_listens_at_an_ipv4_address_is_seen_there() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (found,) = (each for each in probe_module.listeners() if each["port"] == port)
    assert found["address"] == "127.0.0.1"


def test_no_kernel_setting_of_a_machine_is_lowered() -> None:
    ours = yaml.safe_load((ROOT / "roles/base/defaults/main.yml").read_text())["base_sysctls"]
    text = (ROOT / "roles/base/templates/sysctl.conf.j2").read_text()
    # As Ansible's lookup sets it.
    template = jinja2.Environment(trim_blocks=True, autoescape=False).from_string(text)

    def lines(**variables: Any) -> list[str]:
        rendered = template.render(
            base_sysctls=ours, base_tcp_congestion_control="cubic", **variables
        )
        first, *others = (line for line in rendered.splitlines() if not line.startswith("#"))
        assert first == "net.ipv4.tcp_congestion_control = cubic"
        return others

    least = [f"{name} = {value}" for name, value in ours.items()]
    assert lines() == least  # a node image
    assert lines(preflight_observed={"sysctls": dict.fromkeys(ours, 1)}) == least
    more = {"vm.max_map_count": 1048576, "net.core.rmem_max": 2**26}
    found = lines(preflight_observed={"sysctls": more})
    assert found == [f"{name} = {more.get(name, value)}" for name, value in ours.items()]


def test_kafka_uuid_is_stable_and_no_option() -> None:
    uuids = {kafka.kafka_uuid(str(text)) for text in range(500)}
    assert len(uuids) == 500
    assert all(len(uuid) == 22 and not uuid.startswith("-") for uuid in uuids)
    assert kafka.kafka_uuid("duo") == kafka.kafka_uuid("duo")


def test_the_application_is_packed_by_content_and_installed(tmp_path: Path) -> None:
    source, link = tmp_path / "streambed", tmp_path / "app"
    (source / "pipelines/__pycache__").mkdir(parents=True)
    for name in (
        "__init__.py",
        "py.typed",
        "cli.py",
        "pipelines/a.py",
        "pipelines/__pycache__/a.pyc",
    ):
        (source / name).write_text(f"# {name}")

    def installed() -> str:
        command: list[str | Path] = [sys.executable, ROOT / "roles/app/files/pack.py", source]
        packed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        target = tmp_path / f"app-{packed['hash']}"
        subprocess.run(
            [sys.executable, "-I", ROOT / "roles/app/files/install.py", target, link],
            input=packed["archive"].encode(),
            check=True,
        )
        assert link.resolve() == target
        assert (link / ".complete").exists()
        return (link / "HASH").read_text().strip()

    first = installed()
    assert {path.name for path in (link / "streambed").iterdir() if path.is_file()} == {
        "__init__.py",
        "py.typed",
    }
    assert installed() == first
    (source / "pipelines/a.py").write_text("changed = True")
    assert installed() != first
    assert (link / "streambed/pipelines/a.py").read_text() == "changed = True"
    assert len(list(tmp_path.glob("app-*"))) == 1
