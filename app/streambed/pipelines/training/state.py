"""What a training has reached: weights and momentum as named arrays, in the bytes of an .npz.

Names are those of the artefact, whichever engine trains: `weights/conv1/W`, `momentum/conv1/W`.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines import weights
from streambed.pipelines.errors import ServiceError

WEIGHTS, MOMENTUM = "weights/", "momentum/"

Arrays = Mapping[str, npt.NDArray[Any]]


def pack(arrays: Arrays) -> bytes:
    """The arrays as one file."""
    out = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(out, **named)
    return out.getvalue()


def unpack(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays again.

    Raises:
        ServiceError: the bytes are not such a file.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ServiceError(f"a checkpoint cannot be read: {error}") from None


def checkpoint(data: bytes, epochs: int, updates: int) -> bytes:
    """The file of a packed state: the same arrays, and how far it is as `reached/...`, int64."""
    reached = {"reached/epochs": np.int64(epochs), "reached/updates": np.int64(updates)}
    return pack({**unpack(data), **{name: np.array(value) for name, value in reached.items()}})


def artefact(data: bytes, description: weights.Description) -> bytes:
    """The weights file that the streaming classifier loads, from a packed state."""
    arrays = {
        name.removeprefix(WEIGHTS): array
        for name, array in unpack(data).items()
        if name.startswith(WEIGHTS)
    }
    return weights.pack(arrays, description)
