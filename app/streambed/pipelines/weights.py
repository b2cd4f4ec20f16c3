"""Weights files: NumPy archives that say what network they belong to, the same bytes every time."""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines.errors import SpecError

DESCRIPTION = "streambed"
"""Name of the array that holds the description as JSON text."""


@dataclass(frozen=True)
class Description:
    """What the weights are for: network, shape of one image, number of classes."""

    kind: str
    image_shape: tuple[int, ...]
    classes: int


def pack(arrays: dict[str, npt.NDArray[Any]], description: Description) -> bytes:
    """An .npz without time stamps, so that equal weights have equal bytes."""
    content = dict(arrays)
    content[DESCRIPTION] = np.array(json.dumps(asdict(description), sort_keys=True))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(content):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(content[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return out.getvalue()


def unpack(data: bytes, where: str) -> tuple[dict[str, npt.NDArray[Any]], Description]:
    """Arrays and description from the bytes of a weights file named `where`."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        raw = json.loads(str(arrays.pop(DESCRIPTION)))
        shape = tuple(int(length) for length in raw["image_shape"])
        return arrays, Description(str(raw["kind"]), shape, int(raw["classes"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SpecError(f"{where}: not a weights file of Streambed: {error}") from None


def read(path: str) -> bytes:
    """The bytes of a weights file."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
