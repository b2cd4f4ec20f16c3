"""How the run user comes to a node: which keys are tried, and what is said when none does."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from streambed.inventory import Node
from streambed.runner import remote
from streambed.runner.failure import BedFailure


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key of the user's own, with a passphrase."""
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "secret", "-f", path], check=True)
    return path


@pytest.fixture
def agent(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent of the test's own that has the key, as `ssh-add` gives it, and another one."""
    socket = tmp_path / "agent"
    answer = tmp_path / "answer"
    answer.write_text("#!/bin/sh\necho secret\n")
    answer.chmod(0o700)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    asked = os.environ | {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"}
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", other], check=True)
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        try:
            subprocess.run(["ssh-add", "-q", other, key], env=asked, check=True)
            yield
        finally:
            process.terminate()


class _Server(asyncssh.SSHServer):
    """Lets one key in, and notes which were tried."""

    def __init__(self, wanted: asyncssh.SSHKey, tried: list[str]) -> None:
        self._wanted, self._tried = wanted, tried

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._tried.append(key.get_fingerprint())
        return key == self._wanted


async def _log_in(key: Path, provider: str) -> list[str]:
    """Logs in to a server that the key opens; the fingerprints of those that were tried."""
    tried: list[str] = []
    wanted = asyncssh.read_public_key(f"{key}.pub")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(
        lambda: _Server(wanted, tried), "127.0.0.1", 0, server_host_keys=[host_key]
    )
    async with server:
        port = server.get_port()
        known = key.with_name("known_hosts")
        public = host_key.export_public_key().decode()
        known.write_text(f"[127.0.0.1]:{port} {public}")
        node = Node(
            name="camera",
            address="127.0.0.1",
            bed_address="127.0.0.1",
            groups=frozenset(),
            cpus=None,
            memory_bytes=None,
            user="admin",
            port=port,
            key_file=key,
            known_hosts=known,
            proxy_jump=None,
            variables={"bed_provider": provider},
        )
        (await remote._connect(node)).close()
    return tried


def test_a_key_with_a_passphrase_is_told_and_no_stack_trace(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(BedFailure, match=rf"camera .* refuses 'streambed'.*ssh-add {key}"):
        asyncio.run(_log_in(key, "static"))


@pytest.mark.usefixtures("agent")
def test_the_agent_is_asked_for_that_key_alone(key: Path) -> None:
    mine = asyncssh.read_public_key(f"{key}.pub").get_fingerprint()
    assert set(asyncio.run(_log_in(key, "static"))) == {mine}


@pytest.mark.usefixtures("agent")
def test_machines_that_were_made_know_nothing_of_the_users_keys(key: Path) -> None:
    with pytest.raises(BedFailure, match="refuses 'streambed'"):
        asyncio.run(_log_in(key, "podman"))


def test_a_file_that_is_no_key_is_told(key: Path) -> None:
    key.write_text("no key\n")
    with pytest.raises(BedFailure, match="camera"):
        asyncio.run(_log_in(key, "static"))
