"""What the trials under docs/evidence share: processes with a deadline, a log and an end.

A trial runs from a checkout with nothing but the standard library, so that whoever doubts a line of
the documentation can run it again.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
INSTALL_DEADLINE_S = 1800.0
CASE_DEADLINE_S = 300.0
# What would lead Python, Java, Maven, Spark or a system on trial elsewhere.
ELSEWHERE = (
    *("PYTHON", "JAVA_", "_JAVA_", "JDK_", "MAVEN_", "SPARK_", "PYSPARK_", "HADOOP_"),
    *("BIGDL_", "KERAS_", "TF_", "TENSORFLOW_", "TFOS_"),
)
BARE = {key: value for key, value in os.environ.items() if not key.startswith(ELSEWHERE)}
"""The caller's environment, without those."""


class TrialError(Exception):
    """The trial cannot go on; the message says why."""


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started as the first of its own group, and that group."""
    for how, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0)):
        if process.poll() is None:
            os.killpg(process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)


def start(command: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a command in a group of its own, in the directory of `log`, to which it writes."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=log.parent,
            start_new_session=True,
        )


def call(
    command: Sequence[str], log: Path, env: Mapping[str, str], deadline_s: float
) -> int | None:
    """Runs a command, all it says in `log`; its exit status, None where it was too slow."""
    process = start(command, log, env)
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end(process)


def ask(*command: str) -> list[str]:
    """The lines that a short command prints; none where it fails."""
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.check_output(command, stderr=subprocess.DEVNULL, env=BARE, timeout=60)
        return said.decode().splitlines()
    return []


def install(command: Sequence[str], log: Path) -> None:
    """Says and runs a command that installs something.

    Raises:
        TrialError: it failed, or was too slow.
    """
    print(*command, flush=True)
    if call(command, log, BARE, INSTALL_DEADLINE_S) != 0:
        raise TrialError(f"that failed, or took over {INSTALL_DEADLINE_S:.0f} s: see {log}")


@dataclass(frozen=True)
class Ending:
    """How a case ended."""

    status: int | None
    """Its exit status; None where it was too slow."""
    took_s: float
    output: str

    def says(self, pattern: str) -> bool:
        return re.search(pattern, self.output) is not None

    def lines(self, pattern: str) -> list[str]:
        """The first eight lines that have `pattern`, each once, to 400 characters of each."""
        found = (
            line.strip()[:400] for line in self.output.splitlines() if re.search(pattern, line)
        )
        return list(dict.fromkeys(found))[:8]

    def __str__(self) -> str:
        how = "too slow" if self.status is None else f"exit status {self.status}"
        return f"{how}, {self.took_s:.0f} s"


def run(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Ending:
    """Runs a case, all it says in `log`."""
    before = time.monotonic()
    status = call(command, log, env, CASE_DEADLINE_S)
    return Ending(status, time.monotonic() - before, log.read_text(errors="replace"))


def spark(home: str, java: str, python: str, scala: str, into: Path) -> dict[str, str]:
    """The environment of a Spark at `home` that listens on ADDRESS; its settings go to DIR/conf."""
    # Whoever else is on this machine must not be able to send work to it.
    defaults = into / "conf/spark-defaults.conf"
    defaults.touch(mode=0o600)
    defaults.write_text(
        "spark.authenticate true\n"
        f"spark.authenticate.secret {secrets.token_hex(16)}\n"
        "spark.master.rest.enabled false\n"
        "spark.ui.enabled false\n"
        "spark.ui.showConsoleProgress false\n"
        f"spark.driver.host {ADDRESS}\n"
    )
    return BARE | {
        "JAVA_HOME": java,
        "JAVA_TOOL_OPTIONS": f'-Djava.io.tmpdir="{into / "scratch"}"',
        "SPARK_HOME": home,
        "SPARK_CONF_DIR": str(into / "conf"),
        "SPARK_LOCAL_DIRS": str(into / "scratch"),
        "SPARK_LOCAL_IP": ADDRESS,
        "SPARK_SCALA_VERSION": scala,
        "PYSPARK_PYTHON": python,
    }


def report(into: Path, name: str, rows: Sequence[str]) -> None:
    """Prints a case's row and keeps it as its excerpt, without the name of the directory."""
    print(*rows, sep="\n  ", flush=True)
    text = "\n".join(rows).replace(str(into), "DIR") + "\n"
    (into / "excerpts" / f"{name}.txt").write_text(text)
