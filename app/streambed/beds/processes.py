"""Long commands of a bed: logged, ended with us, and found again when we were killed.

Each carries the bed's id in its environment, which its descendants inherit (ssh masters that
ansible leaves behind too). Whoever holds the bed's lock may end every process that has it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from streambed import paths
from streambed.errors import StreambedError
from streambed.waiting import wait_until

_MARK = "STREAMBED_BED_ID"


def environment(bed_id: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a bed's command: marked, our tools first, this clone's settings."""
    environ = dict(os.environ)
    bin_directory = str(Path(sys.executable).parent)
    environ["PATH"] = os.pathsep.join([bin_directory, environ.get("PATH", os.defpath)])
    environ[_MARK] = bed_id
    environ["ANSIBLE_CONFIG"] = str(paths.ROOT / "ansible.cfg")
    environ["PYTHONUNBUFFERED"] = "1"
    # Without a locale Ansible refuses to start.
    if not any(key in environ for key in ("LC_ALL", "LANG", "LC_CTYPE")):
        environ["LC_ALL"] = "C.UTF-8"
    environ.update(extra or {})
    return environ


@contextmanager
def running(
    argv: Sequence[str],
    *,
    bed_id: str,
    log: BinaryIO,
    extra_environment: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A command at work in the clone's directory, its words in `log`, ended when the block is.

    The kernel ends it when this process is killed (setpriv); Ctrl-C reaches us alone, and we
    end the command and all its children in an orderly way.
    """
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *argv],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=paths.ROOT,
        env=environment(bed_id, extra_environment),
        pass_fds=pass_fds,
        process_group=0,
    )
    try:
        yield process
        process.wait()
    except BaseException:
        _end_group(process)
        raise


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number, grace_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def marked(bed_id: str) -> list[int]:
    """The processes that carry the bed's id, but for this one and those it comes from."""
    own = set(_ancestors(os.getpid()))
    wanted = f"{_MARK}={bed_id}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            variables = (directory / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in variables and int(directory.name) not in own:
            found.append(int(directory.name))
    return found


def end_leftovers(bed_id: str) -> int:
    """End what an earlier, killed command of this bed left running; the number found.

    Only for the holder of the bed's lock: nothing else of the bed can be at work then.

    Raises:
        StreambedError: a process does not end.
    """
    found = marked(bed_id)
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = marked(bed_id)
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        try:
            wait_until(lambda: not marked(bed_id), timeout_s=3.0, what="processes to end")
        except StreambedError:
            if number == signal.SIGKILL:
                raise
    return len(found)


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        # The command's name, in parentheses, may hold anything.
        pid = int(status.rpartition(")")[2].split()[1])
