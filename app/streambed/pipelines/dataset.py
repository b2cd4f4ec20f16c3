"""`dataset`: convert a user's images once into images.npy and labels.npy, which load at once."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed.pipelines import datasets
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse


@dataclass(frozen=True)
class DatasetSpec:
    """Reads `source` ("mnist" or a directory), writes directory `out`."""

    source: str
    out: str
    split: str = "test"


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `dataset`; ends with event `done`."""
    del commands
    import numpy as np

    spec = parse(DatasetSpec, raw)
    dataset = datasets.load(spec.source, spec.split)
    out = Path(spec.out)
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "images.npy", dataset.images)
    np.save(out / "labels.npy", dataset.labels)
    (out / "classes.json").write_text(json.dumps(list(dataset.classes)) + "\n")
    emit(
        "done",
        at=time.time(),
        images=len(dataset.images),
        image_shape=list(dataset.image_shape),
        payload_bytes=dataset.image_bytes,
        classes=list(dataset.classes),
        out=spec.out,
    )
