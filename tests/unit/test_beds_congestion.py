import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from streambed import inventory
from streambed.beds import congestion
from streambed.beds.names import names_of
from streambed.beds.podman_provider import create_arguments
from streambed.errors import StreambedError
from streambed.host import root
from streambed.inventory import Node
from streambed.paths import ROOT


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a kernel with reno and bbr says what it allows."""
    (tmp_path / "allowed").write_text("reno bbr\n")
    (tmp_path / "available").write_text("reno bbr cubic\n")
    monkeypatch.setattr(congestion, "ALLOWED", tmp_path / "allowed")
    monkeypatch.setattr(congestion, "AVAILABLE", tmp_path / "available")
    return tmp_path / "allowed"


def test_what_is_missing_is_allowed_beside_what_was(kernel: Path) -> None:
    congestion.allow(["cubic", "cubic", "bbr"])
    assert kernel.read_text() == "reno bbr cubic\n"


def test_a_host_that_allows_all_is_left_alone(
    kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "run_script", None)
    congestion.allow(["bbr", "reno"])
    assert kernel.read_text() == "reno bbr\n"


@pytest.mark.usefixtures("kernel")
def test_one_that_the_kernel_lacks_is_named_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = subprocess.CompletedProcess("", 1, stderr="No such file or directory")
    monkeypatch.setattr(root, "run_script", lambda _: refused)
    with pytest.raises(StreambedError, match=r"vegas.*it has reno bbr cubic"):
        congestion.allow(["vegas"])


def test_roles_and_containers_have_the_same_one_by_default() -> None:
    variables = yaml.safe_load((ROOT / "roles/base/defaults/main.yml").read_text())
    assert f"default('{Node.tcp_congestion_control}')" in variables["base_tcp_congestion_control"]
    client = inventory.load("duo").node("client")
    other = replace(client, tcp_congestion_control="bbr")
    for node in (client, other):
        setting = f"--sysctl={congestion.SETTING}={node.tcp_congestion_control}"
        assert setting in create_arguments(node, names_of("duo"))
