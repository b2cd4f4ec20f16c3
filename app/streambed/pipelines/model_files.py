"""A model as plain bytes: what the driver reads once, ships, and a worker builds and keeps.

The protocol for a user's own model is a class in a Python file: `Class(weights)` gets the path of
its weights file (None without one), which it must read at once, and has
`predict(images: uint8[n, ...]) -> int[n]`. A method `scores(images) -> float[n, classes]`, where
there is one, tells the offline reference how close a decision was.
"""

import hashlib
import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from streambed.pipelines.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SHIPPED = ("mlp", "lenet5")


class Model(Protocol):
    """Whatever classifies images."""

    def predict(self, images: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.int32]":
        """One label per image; images uint8[n, ...]."""


@dataclass(frozen=True)
class ModelSpec:
    """`kind` is mlp, lenet5 or file; with file, `path` and `class_name` name the user's class."""

    kind: str
    weights: str | None = None
    path: str | None = None
    class_name: str | None = None

    def __post_init__(self) -> None:
        if self.kind in SHIPPED:
            if self.weights is None:
                raise ValueError(f"model {self.kind} needs a weights file")
        elif self.kind != "file":
            raise ValueError(f"kind {self.kind!r}; allowed: {', '.join(SHIPPED)}, file")
        elif self.path is None or self.class_name is None:
            raise ValueError("a model of kind file needs path and class_name")


@dataclass(frozen=True)
class ModelFiles:
    """Everything a worker needs to build the model; picklable. `key` is a hash of the rest."""

    key: str
    kind: str
    image_shape: tuple[int, ...]
    weights: bytes | None
    source: str | None = None
    class_name: str | None = None


def read(spec: ModelSpec, image_shape: tuple[int, ...]) -> ModelFiles:
    """Read the files; SpecError when one is missing or made for images of another shape."""
    data = None if spec.weights is None else _read_bytes(spec.weights)
    if spec.kind in SHIPPED:
        from streambed.pipelines import weights

        _, description = weights.unpack(data or b"", str(spec.weights))
        if description.kind != spec.kind or description.image_shape != image_shape:
            raise SpecError(
                f"{spec.weights}: weights of {description.kind} for images of shape "
                f"{description.image_shape}; asked for {spec.kind} and {image_shape}"
            )
    source = None if spec.path is None else _read_bytes(spec.path).decode()
    key = hashlib.sha256()
    for part in (spec.kind, str(image_shape), source or "", spec.class_name or ""):
        key.update(part.encode() + b"\0")
    key.update(data or b"")
    return ModelFiles(key.hexdigest(), spec.kind, image_shape, data, source, spec.class_name)


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None


def build(files: ModelFiles) -> Model:
    """The model, ready to be called."""
    if files.kind in SHIPPED:
        return _build_shipped(files)
    return _build_users(files)


def _build_shipped(files: ModelFiles) -> Model:
    from chainer.serializers import NpzDeserializer

    from streambed.pipelines import models, weights

    arrays, description = weights.unpack(files.weights or b"", "the model's weights")
    network = models.build(description.kind, description.image_shape, description.classes)
    NpzDeserializer(arrays).load(network)
    return models.ChainerModel(network, description.image_shape)


def _build_users(files: ModelFiles) -> Model:
    module_name = f"streambed_model_{files.key[:12]}"
    # Gone when the model is built: a worker is killed, not ended, and would leave it behind.
    with tempfile.TemporaryDirectory(prefix="streambed-model-") as folder:
        module_path = Path(folder) / f"{module_name}.py"
        module_path.write_text(files.source or "")
        weights_path = None
        if files.weights is not None:
            weights_path = Path(folder) / "weights.npz"
            weights_path.write_bytes(files.weights)
        try:
            module = _import(module_name, module_path)
            model: Any = getattr(module, str(files.class_name))(
                None if weights_path is None else str(weights_path)
            )
        except (Exception, SystemExit) as error:
            raise SpecError(f"the model {files.class_name} cannot be built: {error!r}") from error
    if not callable(getattr(model, "predict", None)):
        raise SpecError(f"the model {files.class_name} has no method predict(images)")
    return cast("Model", model)


def _import(name: str, path: Path) -> ModuleType:
    module_spec = importlib.util.spec_from_file_location(name, path)
    if module_spec is None or module_spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    module_spec.loader.exec_module(module)
    return module


class Broken:
    """Stands for a model that cannot be built: each call tells why."""

    def __init__(self, error: SpecError) -> None:
        self._error = error

    def predict(self, images: Any) -> Any:  # noqa: ARG002
        """Raises the SpecError that building the model raised."""
        raise self._error


_built: dict[str, Model] = {}


def cached(key: str, files: Any) -> Model:
    """The model called `key`, built from `files()` the first time this process asks for it.

    One that cannot be built is not tried again: it raises SpecError when it is called.
    """
    if key not in _built:
        try:
            _built[key] = build(files())
        except SpecError as error:
            _built[key] = Broken(error)
    return _built[key]
