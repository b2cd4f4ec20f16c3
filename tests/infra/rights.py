"""Root's rights on a node, by sudo where the login is another user's."""

from __future__ import annotations

import subprocess
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend


class SudoBackend(SshBackend):  # type: ignore[misc]  # testinfra ships no types
    """Every command through sudo, which reads its password from standard input: no list of
    processes shows it.
    """

    def __init__(self, *arguments: Any, password: str | None, **more: Any) -> None:
        super().__init__(*arguments, sudo=True, **more)
        self._password = password

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """The command as root."""
        asking = "-n" if self._password is None else "-S -p ''"
        return str(self.quote(f"sudo {asking} /bin/sh -c %s", command))

    def run_local(self, command: str, *args: str) -> CommandResult:
        """The base class's, with the password in the pipe."""
        quoted = self.encode(self.quote(command, *args))
        given = "" if self._password is None else f"{self._password}\n"
        done = subprocess.run(
            quoted, shell=True, input=given.encode(), capture_output=True, check=False
        )
        return self.result(done.returncode, quoted, done.stdout, done.stderr)
