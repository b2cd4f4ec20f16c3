"""The model and the images of a cell, brought to the nodes that need them.

A built-in model is trained once on a node (the controller has no deep-learning package), checked,
and cached on the controller by the hash of everything that goes into it. What the model says
offline about every image, the reference of gate 2, is computed once the same way.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed import paths
from streambed.experiment.content import image_facts
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.placement import Placement
from streambed.pipelines import model_files, records
from streambed.pipelines.errors import SpecError
from streambed.runner.display import Display
from streambed.runner.failure import CellFailure
from streambed.runner.program import Program
from streambed.runner.remote import Fleet, Session

HOME = "/var/lib/streambed"
MIN_TRAINED_ACCURACY = 0.97
_SEED = 1
_TRAIN_TIMEOUT_S = 900.0
_REFERENCE_TIMEOUT_S = 600.0
# What decides the weights: the code that trains, the packages it runs on, the images.
_RECIPE = (
    "app/streambed/pipelines/train.py",
    "app/streambed/pipelines/models.py",
    "app/streambed/pipelines/weights.py",
    "requirements-node.lock",
)


@dataclass(frozen=True)
class DeployedModel:
    """Paths are on the nodes; `sha256` names the weights (or the user's file).

    `tag` is what each result record says of the model that made it, worked out here.
    """

    spec: dict[str, Any]
    dataset_on_node: str
    reference_on_node: str
    sha256: str
    offline_accuracy: float
    tag: str


async def deploy(
    fleet: Fleet, placement: Placement, config: StreamingConfiguration, display: Display
) -> DeployedModel:
    """Make sure model, images and reference are where the programs of a cell look for them.

    Raises:
        CellFailure: training failed or did not reach 0.97, or the files cannot be used.
    """
    master = fleet.on(placement.master)
    nodes = {node.name: fleet.on(node) for node in (placement.producer, *placement.brokers)}
    nodes[placement.master.name] = master
    dataset = await deploy_dataset(nodes.values(), config.dataset)
    local = await _local_model(master, config, display)
    tag = _tag(local, config.dataset)
    spec, sha256 = await _deploy_model(master, local)
    # `collect` compares labels beside a broker, the stages of an ablation at the master.
    judges = {node.name: fleet.on(node) for node in (placement.master, *placement.brokers)}
    reference, accuracy = await _deploy_reference(
        master, list(judges.values()), spec, sha256, dataset, display
    )
    return DeployedModel(spec, dataset, reference, sha256, accuracy, tag)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _has(session: Session, path: str) -> bool:
    return (await session.run(["test", "-e", path], check=False)).status == 0


# --- images ---------------------------------------------------------------------------------


async def deploy_dataset(sessions: Iterable[Session], dataset: str) -> str:
    """`mnist` is there already; a directory goes there as one archive, named by its content."""
    if dataset == "mnist":
        return dataset
    archive = _pack(Path(dataset))
    digest = hashlib.sha256(archive.getvalue()).hexdigest()[:16]
    target = f"{HOME}/datasets/{digest}"
    local = paths.cache_dir() / "datasets" / f"{digest}.tar"
    local.parent.mkdir(exist_ok=True)
    local.write_bytes(archive.getvalue())
    for session in sessions:
        if not await _has(session, target):
            await session.put(local, f"{target}.tar")
            # Unpacked beside, then moved: a directory of that name is always complete.
            script = 'rm -rf "$1.part" && mkdir "$1.part" && tar -xf "$1.tar" -C "$1.part"'
            script += ' && mv "$1.part" "$1" && rm "$1.tar"'
            await session.run(["sh", "-c", script, "unpack", target], timeout_s=300)
    return target


def _pack(folder: Path) -> io.BytesIO:
    """A deterministic archive: sorted names, no times, no owners."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=anonymous)
    return archive


# --- model ----------------------------------------------------------------------------------


async def _local_model(
    master: Session, config: StreamingConfiguration, display: Display
) -> model_files.ModelSpec:
    """The model's files on the controller."""
    if config.model in model_files.SHIPPED:
        weights = config.weights or str(await _trained(master, config.model, display))
        return model_files.ModelSpec(config.model, weights)
    source, _, class_name = config.model.rpartition(":")
    return model_files.ModelSpec("file", config.weights, source, class_name)


async def _deploy_model(
    master: Session, local: model_files.ModelSpec
) -> tuple[dict[str, Any], str]:
    """The spec with paths on the node, and the digest of the files."""
    files = {name: getattr(local, name) for name in ("path", "weights")}
    there = {name: Path(path) for name, path in files.items() if path is not None}
    on_node = {name: await _put_by_hash(master, path) for name, path in there.items()}
    digests = [_file_hash(path) for path in there.values()]
    if local.kind in model_files.SHIPPED:
        return {"kind": local.kind, **on_node}, digests[0]
    digest = hashlib.sha256("".join([*digests, str(local.class_name)]).encode()).hexdigest()
    return {"kind": local.kind, "class_name": local.class_name, **on_node}, digest


def _tag(local: model_files.ModelSpec, dataset: str) -> str:
    """What each result record will say of this model."""
    try:
        return records.hex_tag(model_files.read(local, image_facts(dataset).image_shape).key)
    except SpecError as error:
        raise CellFailure(str(error)) from None


async def _put_by_hash(session: Session, local: Path) -> str:
    target = f"{HOME}/models/{_file_hash(local)[:16]}{local.suffix}"
    if not await _has(session, target):
        await session.put(local, target)
    return target


async def _trained(master: Session, kind: str, display: Display) -> Path:
    recipe = hashlib.sha256(f"{kind} {_SEED}".encode())
    for name in _RECIPE:
        recipe.update((paths.ROOT / name).read_bytes())
    folder = paths.cache_dir() / "models"
    folder.mkdir(exist_ok=True)
    local = folder / f"{kind}-{recipe.hexdigest()[:16]}.npz"
    facts = local.with_suffix(".json")
    if local.exists() and facts.exists():
        if json.loads(facts.read_text())["sha256"] == _file_hash(local):
            return local
        local.unlink()
    display.stage(f"training {kind} (once)")
    out = f"{HOME}/models/{local.name}"
    spec = {"model": kind, "out": out, "seed": _SEED}
    async with Program(master, "train", spec, lambda event: _show(event, kind, display)) as train:
        done = await train.until("done", timeout_s=_TRAIN_TIMEOUT_S)
        await train.end(timeout_s=30)
    if done["accuracy"] < MIN_TRAINED_ACCURACY:
        raise CellFailure(
            f"{kind} was trained to an accuracy of {done['accuracy']:.4f} on the test images; "
            f"at least {MIN_TRAINED_ACCURACY} is needed"
        )
    await master.get(out, local)
    part = facts.with_suffix(".part")
    part.write_text(json.dumps({"sha256": _file_hash(local), "accuracy": done["accuracy"]}))
    part.replace(facts)
    return local


def _show(event: dict[str, Any], kind: str, display: Display) -> None:
    if event.get("event") == "progress":
        display.stage(f"training {kind} (once): {event['fraction']:.0%}")


# --- reference ------------------------------------------------------------------------------


async def _deploy_reference(
    master: Session,
    judges: Iterable[Session],
    model: dict[str, Any],
    model_sha256: str,
    dataset: str,
    display: Display,
) -> tuple[str, float]:
    """Labels and margins of every image, on the nodes where labels are compared."""
    name = f"{model_sha256[:16]}-{Path(dataset).name}.npz"
    on_node = f"{HOME}/references/{name}"
    folder = paths.cache_dir() / "references"
    folder.mkdir(exist_ok=True)
    local, facts = folder / name, folder / f"{name}.json"
    if not (local.exists() and facts.exists()):
        display.stage("classifying every image offline (once)")
        spec = {"model": model, "out": on_node, "dataset": dataset}
        async with Program(master, "reference", spec) as reference:
            done = await reference.until("done", timeout_s=_REFERENCE_TIMEOUT_S)
            await reference.end(timeout_s=30)
        await master.get(on_node, local)
        part = facts.with_suffix(".part")
        part.write_text(json.dumps({"accuracy": done["accuracy"]}))
        part.replace(facts)
    for session in judges:
        if not await _has(session, on_node):
            await session.put(local, on_node)
    return on_node, float(json.loads(facts.read_text())["accuracy"])
