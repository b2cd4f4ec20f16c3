"""Training engines that a bed is asked to have: extras, which no other bed downloads or installs.

They are named by the inventory (`training_engines`, a variable of the workers), or with
`./streambed up --engines`, which is remembered with the bed's state until it is asked for something
else or taken down. Plays find both by themselves (`bed_engines` in ansible/group_vars/all.yml),
also by hand.
"""

import json
from collections.abc import Iterable, Sequence

from streambed import paths
from streambed.artifacts import engines as artifacts
from streambed.beds.files import write_atomically
from streambed.errors import StreambedError
from streambed.experiment.mistakes import unknown
from streambed.inventory import Inventory
from streambed.pipelines.training.names import EXTRAS

NONE = "none"
_VARIABLE = "training_engines"
_FILE = "engines.json"


def parse(text: str) -> tuple[str, ...]:
    """What `--engines` says: names with commas between, or `none`.

    Raises:
        StreambedError: a name that is no engine's.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == [NONE]:
        return ()
    _check(names, f"--engines {text}")
    return tuple(dict.fromkeys(names))


def ask(bed: Inventory, names: Sequence[str]) -> None:
    """Remember what this bed is to have from now on, beside what its inventory names."""
    write_atomically(paths.state_dir(bed.name) / _FILE, json.dumps(list(names)) + "\n")


def forget(bed: Inventory) -> None:
    """What was asked of a bed ends with it."""
    (paths.state_dir(bed.name) / _FILE).unlink(missing_ok=True)


def wanted(bed: Inventory) -> tuple[str, ...]:
    """The engines that the bed is to have.

    Raises:
        StreambedError: the inventory names one that does not exist.
    """
    found: list[str] = []
    for node in bed.group("spark_workers"):
        named = node.variables.get(_VARIABLE) or []
        listed = [named] if isinstance(named, str) else [str(name) for name in named]
        _check(listed, f"{bed.path}: {node.name}: {_VARIABLE}")
        found += listed
    return tuple(dict.fromkeys([*found, *_asked(bed)]))


def refuse_missing(bed: Inventory, names: Iterable[str]) -> None:
    """Refuse engines that the bed is not to have; those that need nothing are there always.

    Raises:
        StreambedError: with the command that adds them.
    """
    needed = [name for name in EXTRAS if name in set(names)]
    there = wanted(bed)
    missing = [name for name in needed if name not in there]
    if missing:
        listed = ",".join(dict.fromkeys([*there, *missing]))
        raise StreambedError(
            f"bed {bed.name} has no training engine {', '.join(missing)}: an extra, which is "
            "downloaded and installed on its workers only when you ask for it",
            hint=f"./streambed up -i {bed.path} --engines {listed}",
        )
    for name in needed:
        artifacts.locked(name)


def _asked(bed: Inventory) -> list[str]:
    # Read without `state_dir`, which would make the directory: a plan touches nothing.
    path = paths.ROOT / ".streambed" / bed.name / _FILE
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in names if name in EXTRAS] if isinstance(names, list) else []


def _check(names: Iterable[str], where: str) -> None:
    for name in names:
        if name not in EXTRAS:
            raise StreambedError(f"{where}: {unknown('training engine', name, EXTRAS)}, or none")
