"""A training as its driver would tell of it, for tests of gates, figures and reports."""

from typing import Any

from streambed.experiment.training import TrainingConfiguration

NODES = {"10.9.0.21": "worker1", "10.9.0.22": "worker2"}
CONFIG = TrainingConfiguration(workers=2, epochs=3)
STEPS = CONFIG.steps(60_000)


def done(**more: Any) -> dict[str, Any]:
    """Event `done` of two ranks that trained for three epochs."""
    entry = {"ranks": 2, "stretch": 1, "train_s": 50.0, "evaluate_s": 5.0, "wait_s": 5.0}
    given: dict[str, Any] = {
        "train_s": 150.0,
        "evaluate_s": 15.0,
        "prepare_s": 20.0,
        "launch_s": 15.0,
        "lost_s": 0.0,
        "losses": 0,
        "images": 180_000,
        "updates": STEPS.updates,
        "ranks": [
            {"rank": n, "address": a, "pid": 7, "shard": n, "versions": {"engine": "chainermn"}}
            for n, a in enumerate(NODES)
        ],
        "curve": [{**entry, "epoch": n, "loss": 1 / n} for n in (1, 2, 3)],
        "top1": 0.99,
        "out": "x.npz",
        "sha256": "0" * 64,
    }
    return {**given, **more}
