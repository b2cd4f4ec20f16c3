"""Run a probing script as root, when that can be had."""

import os
import shutil
import subprocess
import sys

_PROBE_TIMEOUT_S = 60


def available() -> bool:
    """Whether commands can run as root: asks for sudo's password on a terminal, never elsewhere."""
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    question = ["sudo", "-v"] if sys.stdin.isatty() else ["sudo", "-n", "true"]
    return subprocess.run(question, stderr=subprocess.DEVNULL, check=False).returncode == 0


def mend() -> str:
    """How the user gets root's rights for the commands that need them."""
    return "sudo -v" if shutil.which("sudo") else "run it as root: there is no sudo"


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script as root and hand back what came of it."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return subprocess.run(
        [*prefix, "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PROBE_TIMEOUT_S,
        check=False,
    )
