"""The figures of a training, from what its programs told."""

from collections.abc import Iterable, Mapping
from typing import Any

from streambed.results.measures import TrainingMeasures


def measures(
    done: Mapping[str, Any], judged: Mapping[str, Any], cold_start_s: float
) -> TrainingMeasures:
    """The figures of a training that ran to its end.

    Args:
        done: event `done` of program `training`.
        judged: event `done` of program `evaluate`, or of an engine without a weights file its own
            top1, top5 and loss.
        cold_start_s: until the application had its executors.
    """
    prepare_s, launch_s, train_s = done["prepare_s"], done["launch_s"], done["train_s"]
    whole_s = prepare_s + launch_s + train_s + done["evaluate_s"]
    return TrainingMeasures(
        train_s=train_s,
        image_rate_per_s=done["images"] / train_s if train_s > 0 else None,
        top1=judged["top1"],
        top5=judged["top5"],
        loss=judged["loss"],
        train_loss=done["curve"][-1]["loss"],
        wait_share=_wait_share(done["curve"], train_s),
        prepare_s=prepare_s,
        prepare_share=prepare_s / whole_s if whole_s > 0 else None,
        launch_s=launch_s,
        evaluate_s=done["evaluate_s"],
        images_trained=done["images"],
        updates=done["updates"],
        all_ranks=done["curve"][-1]["ranks"],
        resumed=done["losses"],
        lost_s=done["lost_s"],
        weights_sha256=done["sha256"],
        cold_start_s=cold_start_s,
    )


def _wait_share(curve: Iterable[Mapping[str, Any]], train_s: float) -> float | None:
    waits = [entry.get("wait_s") for entry in curve]
    if train_s <= 0 or any(wait is None for wait in waits):
        return None
    return sum(float(wait) for wait in waits if wait is not None) / train_s
