"""No secret is where it must not be: on a command line, a node, in a log, a result or git.

After the tests of runs, so that there are logs, results and manifests to look through.
"""

import base64
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.system import searching
from tests.system.tools import PODMAN, Bed, line_with, start

from streambed import paths
from streambed.beds.names import names_of


def secrets_of(bed: Bed) -> list[str]:
    """Passwords, and of each private key a line that no other file has."""
    folder = paths.state_dir(bed.name)
    found = []
    for path in [*(folder / "secrets").iterdir(), *(folder / "ssh").rglob("*_ed25519")]:
        lines = path.read_text().splitlines()
        if path.name == "ca.pem":
            continue
        if not lines[0].startswith("-----BEGIN"):
            found.append(lines[0])
        elif "OPENSSH" in lines[0]:
            found.append(lines[3])  # those before have the public half
        else:
            found.append(lines[1][-40:])
    assert len(found) >= 8
    assert all(len(secret) >= 32 for secret in found)
    return found


ALLOWED = [
    *("/etc/kafka/node.pem", "/etc/kafka/jaas.conf", "/etc/kafka/client.properties"),
    *("/etc/kafka/first-users", "/etc/spark/secret.env", "/etc/spark/kafka.jaas"),
    *("/etc/streambed/spark.conf", "/etc/streambed/kafka/classifier.jaas"),
    *(f"/etc/streambed/kafka/{user}.properties" for user in ("admin", "classifier", "producer")),
    "/etc/ssh/ssh_host_ed25519_key",
]


PLANTED = "planted-5f2b7c1e9a4d8036"
"""As a control: what is planted is found."""

IN_A_CELL = (
    *("CoarseGrainedExecutorBackend", "deploy.SparkSubmit", "deploy.master.Master", "kafka.Kafka"),
    *("pipelines produce", "pipelines collect", "pipelines classify", "pipelines.spark_daemon"),
)
"""Programs that know a secret."""


@contextlib.contextmanager
def command_lines() -> Iterator[set[str]]:
    """Every command line that this host shows meanwhile, those of its containers among them."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True)
class Watched:
    """A cell with Spark's pages and event log: its results, and what `ps` showed of it."""

    results: Path
    commands: set[str]


@pytest.fixture(scope="module")
def watched(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One cell, in which something else has a planted secret on its command line."""
    results = tmp_path_factory.mktemp("watched")
    cell = ("--set", "bandwidth=20 Mbit/s", "--set", "trigger=1 s", "--set", "spark_pages=on")
    experiment = bed.patient("small", contended_above="90 %")
    command = ("run", experiment, "-i", bed.path, "--results", str(results), *cell)
    with command_lines() as seen, start(*command) as running:
        try:
            line_with(running, "classifying\n")
            bed.root("client", f"bash -c 'exec -a {PLANTED} sleep 2'")
            assert running.stderr is not None
            running.stderr.read()
            running.wait(300)
        finally:
            running.kill()
    return Watched(results, seen)


def test_no_command_line_shows_a_secret(bed: Bed, watched: Watched) -> None:
    for program in IN_A_CELL:
        assert any(program in line for line in watched.commands), program
    assert any(line.startswith(PLANTED) for line in watched.commands)
    secrets = secrets_of(bed)
    shown = [line[:60] for line in watched.commands if any(secret in line for secret in secrets)]
    assert shown == []


SEARCHING = Path(searching.__file__).read_text()


def test_no_secret_is_on_a_node_but_in_its_file(bed: Bed, watched: Watched) -> None:
    code = f"{SEARCHING}\nlook({secrets_of(bed)!r}, {ALLOWED!r})\n"
    for node in bed.inventory.nodes:
        assert json.loads(bed.python(node.name, code)) == [], node.name
    assert bed.root("cloud", "find /var/lib/spark/events -type f -name '*.zstd'") != ""


PLANT = """
import base64, pathlib, subprocess
import pyarrow as pa
pathlib.Path("/tmp/planted.txt").write_bytes(base64.b64encode(b"{planted}"))
with pa.output_stream("/tmp/planted.zstd", compression="zstd") as out:
    out.write(b"password={planted}")
subprocess.run(["logger", "{planted}"], check=True)
"""


def test_what_is_planted_on_a_node_is_found(bed: Bed) -> None:
    bed.python("client", PLANT.format(planted=PLANTED))
    found = json.loads(bed.python("client", f"{SEARCHING}\nlook([{PLANTED!r}], [])\n"))
    bed.root("client", "rm /tmp/planted.txt /tmp/planted.zstd")
    assert {"journal", "/tmp/planted.txt", "/tmp/planted.zstd"} <= set(found)


def test_no_secret_is_in_a_log_a_result_or_git(bed: Bed, results: Path, watched: Watched) -> None:
    tracked = subprocess.run(
        ["git", "-C", str(paths.ROOT), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.split()
    files = [paths.ROOT / name for name in tracked]
    logs = (paths.state_dir(bed.name) / "log", paths.cache_dir() / "log")
    for folder in (*logs, results, watched.results):
        files += folder.rglob("*")
    files = [path for path in files if path.is_file()]
    assert any(path.name == "provision.log" for path in files)
    mine = {path.name for path in files if path.is_relative_to(watched.results)}
    assert {"cells.parquet", "resources.parquet", "results.npz", "manifest.json"} <= mine
    assert searching.found_in(files, secrets_of(bed)) == []


def test_no_secret_is_in_what_podman_tells(bed: Bed) -> None:
    names = names_of(bed.name)
    told = ""
    for node in bed.inventory.nodes:
        container = names.container(node.name)
        for words in (("inspect",), ("logs",)):
            done = subprocess.run(
                [*PODMAN, *words, container], capture_output=True, text=True, check=True
            )
            told += done.stdout + done.stderr
    assert all(node.name in told for node in bed.inventory.nodes)
    assert [s for s in secrets_of(bed) if any(f.decode() in told for f in searching.forms(s))] == []


def test_a_secret_is_found_in_every_kind_of_file(tmp_path: Path) -> None:
    line = f"password={PLANTED}"
    (tmp_path / "a.log").write_text(line)
    (tmp_path / "a.json").write_text(base64.b64encode(PLANTED.encode()).decode())
    np.savez_compressed(tmp_path / "a.npz", a=np.frombuffer(line.encode(), np.uint8))
    parquet.write_table(pa.table({"a": [line]}), tmp_path / "a.parquet", compression="zstd")
    with pa.output_stream(str(tmp_path / "a.zstd"), compression="zstd") as out:
        out.write(line.encode())
    (tmp_path / "b.log").write_text("password=another")
    # What a program that was killed may leave: nothing, or what cannot be unpacked.
    for name in ("b.npz", "b.parquet", "b.zstd"):
        (tmp_path / name).touch()
    for name in ("c.npz", "c.parquet"):
        (tmp_path / name).write_text(line)
    found = searching.found_in(sorted(tmp_path.iterdir()), [PLANTED])
    assert [Path(path).suffix for path in found] == [
        *(".json", ".log", ".npz", ".parquet", ".zstd"),
        *(".npz", ".parquet"),
    ]
