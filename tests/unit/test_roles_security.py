"""Secrets that are made, rules that are rendered, and ports that roles agree on."""

import ipaddress
import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from cryptography import x509
from tests.unit.test_roles_plugins import load

from streambed.experiment import placement
from streambed.pipelines.training import mpi
from streambed.pipelines.training.asked import TrainingSpec
from streambed.pipelines.training.names import CHAINERMN, EXTRAS, TORCH

ROOT = Path(__file__).parents[2]
secrets = load("ansible/action_plugins/streambed_secrets.py")
firewall = load("roles/firewall/filter_plugins/firewall.py")
SERVERS = {"client": "10.83.1.11", "cloud": "10.83.1.12"}
ACCOUNTS = ["kafka-admin", "spark"]


def made(directory: Path, *, renew: bool = False, servers: dict[str, str] | None = None) -> Any:
    found = secrets.Secrets(directory, Path.read_text)
    found.ensure("duo", servers or SERVERS, ACCOUNTS, renew=renew)
    return found.made


def certificate(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.pem").read_bytes())


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    assert set(made(directory)) == {*ACCOUNTS, "ca.key", "ca.pem", "client.pem", "cloud.pem"}
    assert made(directory) == []
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    passwords = {(directory / name).read_text() for name in ACCOUNTS}
    assert len(passwords) == len(ACCOUNTS)
    # What stands in properties, JAAS and StorageTool's arguments needs no quoting.
    assert all(re.fullmatch(r"[0-9a-f]{48}\n", each) for each in passwords)


def test_a_certificate_is_for_its_address_and_signed_by_the_authority(tmp_path: Path) -> None:
    made(tmp_path)
    found, authority = certificate(tmp_path, "cloud"), certificate(tmp_path, "ca")
    found.verify_directly_issued_by(authority)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.IPAddress(ipaddress.ip_address("10.83.1.12"))]
    assert (tmp_path / "cloud.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_renewal_leaves_authority_and_passwords(tmp_path: Path) -> None:
    made(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made(tmp_path, renew=True) == ["client.pem", "cloud.pem"]
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"client.pem", "cloud.pem"}


def test_what_is_about_to_run_out_or_moved_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    assert made(tmp_path, servers={"cloud": "10.83.7.12"}) == ["cloud.pem"]
    monkeypatch.setattr(secrets, "RENEW_DAYS", secrets.SERVER_DAYS + 1)
    assert made(tmp_path, servers={"client": "10.83.1.11"}) == ["client.pem"]


def test_a_certificate_of_another_authority_of_that_name_is_made_anew(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "ca.pem").unlink()
    assert set(made(tmp_path)) == {"ca.key", "ca.pem", "client.pem", "cloud.pem"}
    assert made(tmp_path) == []


def test_an_encrypted_file_is_never_replaced(tmp_path: Path) -> None:
    made(tmp_path)
    plain = {path: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "cloud.pem").write_text("$ANSIBLE_VAULT;1.1;AES256\n00\n")
    vault = secrets.Secrets(tmp_path, plain.__getitem__)
    vault.ensure("duo", SERVERS, ACCOUNTS, renew=False)
    assert vault.made == []
    with pytest.raises(AnsibleError, match="ansible-vault decrypt"):
        vault.ensure("duo", SERVERS, ACCOUNTS, renew=True)


def flows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read("firewall/defaults/main.yml")["firewall_flows"]
    return found


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "roles" / path).read_text())
    return found


GROUPS = {
    "all": ["client", "broker", "master", "worker"],
    "clients": ["client"],
    "kafka_brokers": ["broker"],
    "spark_master": ["master"],
    "spark_workers": ["worker"],
}
ADDRESSES = {name: f"10.0.0.{number}" for number, name in enumerate(GROUPS["all"], 1)}


def passes(source: str, target: str, port: int) -> bool:
    """Whether both nodes' rules let a connection through; switched ports are closed."""
    out = firewall.flow_rules(flows(), source, GROUPS, ADDRESSES)["output"]
    into = firewall.flow_rules(flows(), target, GROUPS, ADDRESSES)["input"]
    return any(_matches(rule, "daddr", ADDRESSES[target], port) for rule in out) and any(
        _matches(rule, "saddr", ADDRESSES[source], port) for rule in into
    )


def _matches(rule: str, where: str, address: str, port: int) -> bool:
    found = re.match(rf"ip {where} {{ (.*?) }} tcp dport {{ (.*?) }}(.*) accept", rule)
    assert found is not None, rule
    if "@switched" in found[3] or address not in found[1].split(", "):
        return False
    bounds = [each.split("-") for each in found[2].split(", ")]
    return any(int(bound[0]) <= port <= int(bound[-1]) for bound in bounds)


@pytest.mark.parametrize(
    ("source", "target", "port", "passed"),
    [
        ("client", "broker", 9092, True),
        ("worker", "broker", 9092, True),
        ("client", "broker", 9093, False),
        ("client", "broker", 9095, False),
        ("broker", "client", 5201, True),
        ("worker", "master", 7077, True),
        ("client", "master", 7077, False),
        ("client", "worker", 7078, False),
        ("master", "worker", 7003, True),
        ("worker", "master", 7001, True),
        ("broker", "worker", 7003, False),
        ("client", "master", 8080, False),
        ("worker", "master", 18080, False),
        ("worker", "client", 22, False),
    ],
)
def test_only_listed_flows_pass(source: str, target: str, port: int, passed: bool) -> None:
    assert passes(source, target, port) is passed


def test_every_rule_names_addresses_of_the_inventory_only() -> None:
    for node in GROUPS["all"]:
        rules = firewall.flow_rules(flows(), node, GROUPS, ADDRESSES)
        for rule in rules["input"] + rules["output"]:
            addresses = re.findall(r"10\.0\.0\.\d+", rule)
            assert addresses
            assert set(addresses) <= set(ADDRESSES.values()) - {ADDRESSES[node]}


def closed(node: str, groups: dict[str, list[str]] = GROUPS) -> dict[str, list[str]]:
    found: dict[str, list[str]] = firewall.closing_rules(flows(), node, groups, ADDRESSES)
    return found


def test_of_a_machine_of_others_only_our_ports_are_closed() -> None:
    """At the bed's addresses; a tunnel's end and a standby's controller are nobody else's."""
    own = {
        re.sub(r".* dport { (.*?) } counter drop", r"\1", rule)
        for rule in closed("master")["input"]
    }
    assert own == {"5201", "7077, 8080", "7001-7019", "18080"}
    assert all(rule.startswith("ip daddr { 10.0.0.3 } ") for rule in closed("master")["input"])
    standby = closed("client", {**GROUPS, "kafka_standby": ["client"]})["input"]
    assert {"9092", "9095", "9093", "5201"} == {
        re.findall(r"dport { (\S+) }", r)[0] for r in standby
    }
    for node in GROUPS["all"]:
        rules = closed(node)
        assert len(rules["input"]) == len(set(rules["input"]))
        assert all(f"{ADDRESSES[node]} " not in rule for rule in rules["output"])


def test_ranks_reach_each_other_where_a_bed_has_their_engine() -> None:
    by_engine = read("firewall/defaults/main.yml")["firewall_engine_flows"]
    assert set(by_engine) == set(EXTRAS)
    low, high = mpi.PORTS
    assert [flow["ports"] for flow in by_engine[CHAINERMN]] == [[f"{low}-{high}"]]
    assert 7001 <= TrainingSpec("", "", "", TORCH, "").ears_port <= 7019
    groups, addresses = {"spark_workers": ["one", "two"]}, {"one": "10.0.0.1", "two": "10.0.0.2"}
    for engine, closed_ports in ((CHAINERMN, 1), (TORCH, 0)):
        rules = firewall.flow_rules(by_engine[engine], "one", groups, addresses)
        assert [len(rules[way]) for way in ("input", "output")] == [1, 1]
        # Any free port may be somebody else's on a machine that others use.
        closing = firewall.closing_rules(by_engine[engine], "one", groups, addresses)
        assert len(closing["input"]) == closed_ports


def test_ssh_stays_open_to_the_controller_alone() -> None:
    rules = firewall.ssh_rules(["192.0.2.9", "2001:db8::/64"], 2222)
    assert rules["input"] == [
        "ip saddr { 192.0.2.9 } tcp dport 2222 accept",
        "ip6 saddr { 2001:db8::/64 } tcp dport 2222 accept",
    ]
    with pytest.raises(AnsibleError, match="firewall_management"):
        firewall.ssh_rules([], 22)
    with pytest.raises(AnsibleError, match="'somewhere'"):
        firewall.ssh_rules(["somewhere"], 22)


def test_the_firewall_knows_the_ports_of_the_other_roles() -> None:
    kafka, spark = read("kafka/defaults/main.yml"), read("spark/defaults/main.yml")
    opened = {port for flow in flows() for port in flow["ports"]}
    assert opened == {
        *(str(kafka[f"kafka_{name}port"]) for name in ("", "controller_", "open_")),
        *(
            str(spark[f"spark_{n}_port"])
            for n in ("master", "master_ui", "worker", "worker_ui", "history")
        ),
        "7001-7019",
        "5201",
    }
    checked = set(re.findall(r"\d{4,5}", read("preflight/defaults/main.yml")["preflight_ports"]))
    assert checked == opened - {"7001-7019"} | {"7001", "7020", "7100", "7200"}
    assert read("firewall/defaults/main.yml")["firewall_open_port"] == kafka["kafka_open_port"]
    assert (
        kafka["kafka_port"],
        kafka["kafka_open_port"],
    ) == (placement.KAFKA_PORT, placement.KAFKA_OPEN_PORT)


def test_kafkas_rules_are_in_kafkas_words_and_give_nobody_everything() -> None:
    operations = {
        *("read", "write", "create", "delete", "alter", "describe"),
        *("describe_configs", "alter_configs"),
    }
    rules = read("kafka/defaults/main.yml")["kafka_acls"]
    for rule in rules:
        assert set(rule["operations"]) <= operations
        (on,) = {"topic", "group", "cluster"} & rule.keys()
        assert rule[on] is True or re.match(r"(streambed|spark-kafka|perf-consumer)-", rule[on])
    allowed = {(r["user"], r.get("topic"), o) for r in rules for o in r["operations"]}
    assert ("producer", "streambed-images-", "read") not in allowed
    assert ("classifier", "streambed-images-", "write") not in allowed
    assert ("admin", "streambed-", "write") not in allowed


def helper(arguments: list[str], config: Path) -> subprocess.CompletedProcess[str]:
    source = (ROOT / "roles/firewall/files/streambed_plaintext.py").read_text()
    code = source.replace("/etc/streambed/plaintext.json", str(config))
    command = ["python3", "-IS", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], ["open", "9092"], ["on"]])
def test_the_plaintext_helper_refuses_what_it_does_not_know(
    arguments: list[str], tmp_path: Path
) -> None:
    config = tmp_path / "plaintext.json"
    config.write_text(json.dumps({"port": 9095}))
    done = helper(arguments, config)
    assert (done.returncode, "usage" in done.stderr) == (2, True)


def test_the_plaintext_helper_refuses_on_a_node_without_a_broker(tmp_path: Path) -> None:
    done = helper(["open"], tmp_path / "none.json")
    assert (done.returncode, "no such way" in done.stderr) == (2, True)
