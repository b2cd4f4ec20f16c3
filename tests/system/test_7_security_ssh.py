"""SSH lets nobody in but who has the key of the bed."""

import subprocess
from pathlib import Path

import pytest
from tests.system.tools import Bed


@pytest.mark.parametrize("user", ["root", "streambed"])
def test_ssh_takes_neither_another_key_nor_a_password(bed: Bed, user: str, tmp_path: Path) -> None:
    """From the controller, whose own key is taken all the time."""
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    options = (
        *("-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'hosts'}"),
    )
    for node in bed.inventory.nodes:
        where = f"{user}@{node.address}"
        for ways in ("publickey", "password,keyboard-interactive"):
            asked = ("-o", f"PreferredAuthentications={ways}")
            command = ["ssh", *options, *asked, where, "true"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            # It names every way that the node would take.
            assert (done.returncode, "denied (publickey)." in done.stderr) == (255, True), done
