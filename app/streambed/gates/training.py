"""Gates 2 and 6 for a training: each image as often as asked, by the ranks asked for; learnt."""

from collections.abc import Mapping
from typing import Any

from streambed.experiment.schema import Gates
from streambed.experiment.training import TrainingConfiguration
from streambed.gates.reading import Reading
from streambed.pipelines.training.names import RANKED, SHIFT
from streambed.pipelines.training.steps import Steps

SAME_TOP1 = 0.001
"""Ten images of 10,000 may be decided by rounding: another library adds up in another order."""

Told = Mapping[str, Any]
"""An event of program `training`."""


def images_trained(done: Told, steps: Steps) -> Reading:
    """What the ranks counted, against the arithmetic; a loss may change how the last is cut."""
    if not done["losses"]:
        ok, words = done["images"] == steps.trained_images, ""
    elif steps.iterations is None:
        ok = done["images"] >= steps.images * steps.epochs
        words = ", or some more after a loss"
    else:
        # Each epoch's last batch is what is left, which other ranks share in another way.
        most = done["updates"] * steps.batch_size
        ok = most - len(done["curve"]) * steps.batch_size <= done["images"] <= most
        words = ", or a part of a batch more or less for each epoch after a loss"
    return Reading(
        "images_trained",
        ok=ok,
        measured=done["images"],
        expected=f"{steps.trained_images}{words}",
        unit="images",
    )


def updates_act(done: Told, steps: Steps) -> Reading:
    """`batch_size`, `epochs`, `iterations`: so many updates, and each epoch told of."""
    epochs = [entry["epoch"] for entry in done["curve"]]
    whole = -(-steps.updates // steps.per_epoch)
    told = epochs == list(range(1, whole + 1))
    resumed = done["losses"] > 0
    return Reading(
        "updates_act",
        ok=told and (done["updates"] == steps.updates or (resumed and _nearly(done, steps))),
        measured=f"{done['updates']} updates, {len(epochs)} epochs",
        expected=f"{steps.updates} updates, {whole} epochs, one after the other",
    )


def _nearly(done: Told, steps: Steps) -> bool:
    """After a loss: fewer ranks may cut an epoch into an update more or less."""
    more = abs(int(done["updates"]) - steps.updates)
    return more <= len(done["curve"])


def ranks_act(config: TrainingConfiguration, done: Told, nodes: Mapping[str, str]) -> Reading:
    """`workers`, `ranks`: which processes trained on which node, as they introduced themselves.

    Args:
        config: of the cell.
        done: the event; after a loss its ranks are those of what was left.
        nodes: address → name of the nodes in use.
    """
    places = sorted(nodes.get(rank["address"], str(rank["address"])) for rank in done["ranks"])
    processes = {(rank["address"], rank["pid"]) for rank in done["ranks"]}
    parts = sorted(rank["shard"] for rank in done["ranks"])
    wanted = sorted(name for name in nodes.values() for _ in range(config.ranks))
    if done["losses"]:
        there = set(places) <= set(wanted) and len(places) > 0
        counted = all(places.count(name) == config.ranks for name in set(places))
        right = there and counted
    else:
        right = places == wanted
    return Reading(
        "ranks_act",
        ok=right and len(processes) == len(places) and parts == list(range(len(parts))),
        measured=", ".join(places) or "none",
        expected=f"{config.ranks} on each of {', '.join(nodes.values())}, each with its own images",
    )


def executors_act(executors: Mapping[str, str], nodes: Mapping[str, str]) -> Reading:
    """`workers`: one executor on each of the nodes in use, and none elsewhere, when it began.

    Args:
        executors: id → host.
        nodes: address → name of the nodes in use.
    """
    hosts = sorted(executors.values())
    return Reading(
        "workers_act",
        ok=hosts == sorted(nodes),
        measured=", ".join(nodes.get(host, host) for host in hosts) or "none",
        expected=f"one executor on each of {', '.join(nodes.values())}",
    )


def engine_acts(engine: str, done: Told) -> Reading:
    """`engine`: what each rank says that it computes with; of spark-mlp Spark's own block size."""
    if engine not in RANKED:
        return Reading(
            "engine_acts",
            ok=done.get("block_size") is not None and not done["ranks"],
            measured=f"Spark, blocks of {done.get('block_size')}",
            expected="Spark's perceptron, no ranks",
        )
    found = {rank["versions"]["engine"] for rank in done["ranks"]}
    versions = {", ".join(sorted(rank["versions"].values())) for rank in done["ranks"]}
    return Reading(
        "engine_acts",
        ok=found == {engine} and len(versions) == 1,
        measured="; ".join(sorted(versions)) or "none",
        expected=f"{engine} in every rank, of the same versions",
    )


def shards_written(prepared: Told, images: int, augment: str) -> Reading:
    """Preprocessing, `augment`: every part was written once, with each image in each variant."""
    parts = sorted(shard["shard"] for shard in prepared["shards"])
    written = sum(shard["images"] for shard in prepared["shards"])
    variants = {shard["variants"] for shard in prepared["shards"]}
    wanted = 2 if augment == SHIFT else 1
    whole = parts == list(range(len(parts))) and images <= written < images + max(1, len(parts))
    return Reading(
        "shards_written",
        ok=whole and variants == {wanted},
        measured=f"{written} images in {len(parts)} shards, variants {sorted(variants)}",
        expected=f"{images} images, none missing; {wanted} variants of each (augment: {augment})",
    )


def learnt_as_told(told: float, top1: float) -> Reading:
    """The engine's own top-1, against that of the weights file, evaluated by another program."""
    return Reading(
        "top1_as_offline",
        ok=abs(told - top1) <= SAME_TOP1,
        measured=round(told, 4),
        expected=f"{top1:.4f}, evaluated offline by the weights file, within {SAME_TOP1:g}",
    )


def learnt(config: TrainingConfiguration, top1: float, limits: Gates) -> list[Reading]:
    """`gates.min_accuracy`, of what trained LeNet-5 for `min_accuracy_epochs` whole epochs."""
    at_least = limits.min_accuracy
    short = config.partial or config.epochs < limits.min_accuracy_epochs
    if at_least is None or config.engine not in RANKED or short:
        return []
    expected = f"at least {at_least:g}"
    return [Reading("accuracy", ok=top1 >= at_least, measured=round(top1, 4), expected=expected)]
