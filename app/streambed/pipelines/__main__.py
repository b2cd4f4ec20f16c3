"""`python -m streambed.pipelines PROGRAM`: pick a node program and run it under the protocol."""

import importlib
import sys

from streambed.pipelines.errors import EXIT_BAD_SPEC
from streambed.pipelines.protocol import run_program

PROGRAMS = {
    "describe": "streambed.pipelines.describe",
    "clock": "streambed.pipelines.clock",
    "topics": "streambed.pipelines.topics",
    "replicas": "streambed.pipelines.replicas",
    "produce": "streambed.pipelines.produce",
    "read": "streambed.pipelines.read",
    "perf": "streambed.pipelines.perf",
    "cameras": "streambed.pipelines.cameras",
    "classify": "streambed.pipelines.classify",
    "batch": "streambed.pipelines.batch",
    "consume": "streambed.pipelines.consume",
    "loop": "streambed.pipelines.loop",
    "predict": "streambed.pipelines.predict",
    "collect": "streambed.pipelines.collect",
    "train": "streambed.pipelines.train",
    "training": "streambed.pipelines.training.program",
    "evaluate": "streambed.pipelines.evaluate",
    "reference": "streambed.pipelines.reference",
    "dataset": "streambed.pipelines.dataset",
    "sample": "streambed.pipelines.sample",
}


def main(arguments: list[str]) -> int:
    """Run the program named by the only argument; returns its exit status."""
    if len(arguments) != 1 or arguments[0] not in PROGRAMS:
        sys.stderr.write(f"usage: python -m streambed.pipelines {{{','.join(PROGRAMS)}}}\n")
        return EXIT_BAD_SPEC
    return run_program(lambda: importlib.import_module(PROGRAMS[arguments[0]]).program)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
