"""Waiting for nodes: how often a login is tried, and what is said when there is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from streambed import inventory
from streambed.beds import ssh
from streambed.errors import StreambedError

LATE, DENIED = "Connection refused", "admin@a: Permission denied (publickey)."


@pytest.fixture
def lab(tmp_path: Path) -> inventory.Inventory:
    """One machine of somebody else."""
    (tmp_path / "hosts.yml").write_text(
        "all: {vars: {bed_name: tiny, ansible_user: admin}, hosts: {a: {ansible_host: 192.0.2.1}}}"
    )
    return inventory.load(tmp_path)


def _answer(monkeypatch: pytest.MonkeyPatch, *words: str | None) -> list[str | None]:
    """Has ssh say these, one after the other, and then the last for ever; what it said."""
    said: list[str | None] = []

    def refusal(node: inventory.Node) -> str | None:
        said.append(words[min(len(said), len(words) - 1)])
        return said[-1]

    monkeypatch.setattr(ssh, "_refusal", refusal)
    return said


@pytest.mark.parametrize("words", [DENIED, "Host key verification failed."])
def test_a_wrong_login_is_not_tried_again_at_machines_of_others(
    lab: inventory.Inventory, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    said = _answer(monkeypatch, LATE, words)
    with pytest.raises(StreambedError, match=r"node a \(192\.0\.2\.1\) refuses 'admin'") as refused:
        ssh.wait_for_all(lab, timeout_s=20)
    assert said == [LATE, words]
    assert refused.value.message.endswith(words)
    assert refused.value.hint.endswith("ssh -p 22 admin@192.0.2.1")


def test_a_node_that_was_just_made_may_refuse_at_first(
    lab: inventory.Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _answer(monkeypatch, DENIED, None)
    ssh.wait_for_all(replace(lab, provider="podman"), timeout_s=20)
    assert said == [DENIED, None]


def test_a_node_that_never_answers_is_named_with_the_last_words(
    lab: inventory.Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, LATE)
    with pytest.raises(StreambedError, match=r"node a .* does not answer .*: Connection refused"):
        ssh.wait_for_all(lab, timeout_s=0.0)
