"""What the system tests use: the command line, the nodes as root, and a look at the host."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from streambed import inventory, paths
from streambed.beds import disks, podman

T = TypeVar("T")

LAUNCHER = str(paths.ROOT / "streambed")
PROGRAMS = Path(__file__).parent / "nodes"
"""What runs on nodes, sent there as text."""
PODMAN = podman.prefix()
"""With our settings: with those of the host podman may take the other network backend, which
lists none of a bed's networks and, when it stops a node, never gives its address back."""
RUN_TIMEOUT_S = 900


def streambed(
    *arguments: str, status: int = 0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `./streambed` to its end; its exit status must be `status`."""
    done = subprocess.run(
        [LAUNCHER, *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        env=os.environ | (env or {}),
        cwd="/",  # the launcher works from anywhere
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == status, f"exit status {done.returncode}, not {status}:\n{said}"
    assert "Traceback" not in said, said
    return done


def start(*arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start `./streambed` in a process group of its own and go on."""
    return subprocess.Popen(
        # Where the tests run in the background, an interrupt is ignored, and that is inherited.
        ["env", "--default-signal=INT", LAUNCHER, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
        start_new_session=True,
    )


def until(condition: Callable[[], T | None], what: str, timeout_s: float = 120) -> T:
    """Wait for something true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")


def line_with(process: "subprocess.Popen[str]", text: str) -> str:
    """Read what `./streambed` says until a line holds `text`."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"{text!r} was never said:\n{''.join(seen)}")


def rows(results: Path, run: str, *options: str) -> list[dict[str, Any]]:
    """`results RUN --json`."""
    done = streambed("results", run, "--results", str(results), "--json", *options)
    parsed: list[dict[str, Any]] = json.loads(done.stdout)
    return parsed


@dataclass(frozen=True)
class Bed:
    """A bed of the tests, as its inventory describes it."""

    path: str

    @property
    def name(self) -> str:
        """What its containers and its state are called after."""
        return self.inventory.name

    @property
    def inventory(self) -> inventory.Inventory:
        """The nodes."""
        return inventory.load(self.path)

    @property
    def small(self) -> str:
        """`experiments/small.yml`, patient and brief."""
        return self.patient("small")

    def patient(self, name: str, contended_above: str = "25 %") -> str:
        """An experiment of the clone, brief, and for machines that others use too; its path.

        Others may take a quarter of the processors before a cell is repeated, and a link that they
        stop for moments may be slower by some per cent; warm-up and gates take no longer than links
        far below what the bed can do need. What the tests look at holds all the same.
        """
        experiment = yaml.safe_load((paths.ROOT / "experiments" / f"{name}.yml").read_text())
        experiment["gates"] |= {"contended_above": contended_above}
        if name == "small":
            experiment["gates"] |= {"goodput_tolerance": "5 %", "goodput_time": "1 s"}
            experiment["warm_up"] |= {"rehearse": "1500 ms", "triggers": 1}
        path = Path(self.path).parent / f"{name}.yml"
        path.write_text(yaml.safe_dump(experiment, sort_keys=False))
        return str(path)

    def root(self, node: str, script: str, *, check: bool = True) -> str:
        """Run a shell script as root on a node, over SSH."""
        done = subprocess.run(
            [LAUNCHER, "ssh", "-i", self.path, node, script],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, f"{node}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, node: str, code: str, *arguments: str) -> str:
        """Run Python of the node's environment, with the application on its path."""
        command = "cd /opt/streambed/app && /opt/streambed/venv/bin/python -"
        done = subprocess.run(
            [LAUNCHER, "ssh", "-i", self.path, node, f"{command} {' '.join(arguments)}"],
            input=code,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{node}: {done.stdout}{done.stderr}"
        return done.stdout

    def program(self, node: str, name: str, *arguments: str) -> str:
        """Run one of `PROGRAMS` like this; what it printed."""
        return self.python(node, (PROGRAMS / f"{name}.py").read_text(), *arguments)

    def playbook(self, *options: str, name: str = "site") -> str:
        """Converge by hand, as docs/beds.md says; what Ansible printed."""
        done = self._playbook(name, options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused_playbook(self, *options: str, name: str = "site") -> str:
        """Converge to something that cannot be; what Ansible printed."""
        done = self._playbook(name, options)
        assert done.returncode != 0, done.stdout
        return done.stdout

    def _playbook(self, name: str, options: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        command = str(Path(sys.executable).parent / "ansible-playbook")
        return subprocess.run(
            [command, "-i", self.path, f"ansible/{name}.yml", *options],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def program_pid(self, node: str, program: str) -> str | None:
        """Process id of a node program, or None while it does not run."""
        found = self.root(
            node, f"pgrep -o -f 'streambed.pipelines [{program[0]}]{program[1:]}'", check=False
        )
        return found.strip() or None


def changes(recap: str) -> list[str]:
    """The lines of Ansible's recap with a change."""
    return [line for line in recap.splitlines() if "changed=" in line and "changed=0" not in line]


def write_inventory(
    folder: Path,
    bed_name: str,
    nodes: Mapping[str, Mapping[str, object]] | None = None,
    *,
    like: str = "duo",
) -> str:
    """An inventory of the clone under another name, with some variables of its nodes changed.

    State and keys stay in the clone, where those of every bed are.
    """
    hosts = yaml.safe_load((paths.ROOT / "inventory" / like / "hosts.yml").read_text())
    hosts["all"]["vars"]["bed_name"] = bed_name
    for node, variables in (nodes or {}).items():
        hosts["all"]["hosts"][node] |= variables
    folder.mkdir(exist_ok=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (folder / "group_vars").symlink_to(paths.ROOT / "inventory" / "group_vars")
    return str(folder)


def free_prefix(besides: Collection[str] = ()) -> str:
    """Three octets of a /24 that nothing here uses, nor the tests' bed will, and none of these."""
    besides = {*besides, os.environ.get("STREAMBED_BED_PREFIX", "")}
    taken = subprocess.run(
        ["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True
    ).stdout
    for third in range(100, 250):
        prefix = f"10.83.{third}"
        if f"{prefix}." not in taken and prefix not in besides:
            return prefix
    raise AssertionError("no free subnet in 10.83.100.0 to 10.83.249.0")


def verdict(row: Mapping[str, Any], *, quotas: bool = True) -> dict[str, Any]:
    """What must not depend on the door through which a bed came: gates, ids, labels.

    What else the host does is no matter of the door; nor, without `quotas`, are those of nodes.
    """
    others: tuple[str, ...] = ("cpu_taken_by_others",)
    if not quotas:
        others += ("quotas_in_force", "cpu_within_quota")
    gates = {
        name: reading["ok"] for name, reading in row["gates"].items() if not name.startswith(others)
    }
    counts = {name: row[name] for name in ("lost", "duplicates", "mismatches")}
    return {"status": row["status"], "gates": gates, **counts}


def leftovers(bed_name: str) -> list[str]:
    """Whatever of a bed of this clone is still on the host: containers, networks, links."""
    mark = paths.clone_hash(bed_name)
    listings = {
        "container": [*PODMAN, "ps", "--all", "--format", "{{.Names}}"],
        "network": [*PODMAN, "network", "ls", "--format", "{{.Name}}"],
        "volume": [*PODMAN, "volume", "ls", "--format", "{{.Name}}"],
        "disk": ["ls", disks.FOLDER],
        "link": ["ip", "-o", "link"],
        "process": ["pgrep", "-a", "-f", mark],
    }
    found = []
    for kind, command in listings.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found += [f"{kind}: {line}" for line in done.stdout.splitlines() if mark in line]
    return found
