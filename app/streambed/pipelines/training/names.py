"""Words that the controller and the node programs share."""

CHAINERMN, TORCH, SPARK_MLP = "chainermn", "torch", "spark-mlp"
ENGINES = (CHAINERMN, TORCH, SPARK_MLP)

EXTRAS = (CHAINERMN, TORCH)
"""Engines that need packages of their own: a bed has them only when it is asked to."""

RANKED = (CHAINERMN, TORCH)
"""Engines that train one network in ranks: processes that share each batch."""

NONE, SHIFT = "none", "shift"
AUGMENTS = (NONE, SHIFT)

NETWORK = "lenet5"


def environment(engine: str) -> str | None:
    """The Python of an engine's environment on the workers; None where it needs none."""
    return f"/opt/streambed/engine-{engine}/bin/python" if engine in EXTRAS else None
