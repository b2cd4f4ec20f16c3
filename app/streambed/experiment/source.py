"""YAML as plain data, with the line of every key and item, and keys written twice.

A merge key (`<<: *name`) gives a mapping what another one has; its own keys win.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from streambed.errors import StreambedError
from streambed.experiment.mistakes import Mistakes, Place

Key = str | int
_MERGE = "tag:yaml.org,2002:merge"

Where = tuple[Key, ...]
"""The way to a value: keys of mappings and indices of lists."""


@dataclass
class Source:
    """A parsed file: `data` is made of dict, list, str, int, float, bool and None."""

    name: str
    text: str
    data: object = None
    lines: dict[Where, int] = field(default_factory=dict)

    def place(self, where: Where) -> Place:
        """The line of a value, or of the nearest thing around it that has one."""
        for length in range(len(where), -1, -1):
            line = self.lines.get(where[:length])
            if line is not None:
                return Place(self.name, line)
        return Place(self.name, 1)


def _parser() -> YAML:
    return YAML(typ="safe", pure=True)


def read(path: Path, mistakes: Mistakes) -> Source:
    """Parse a file; keys written twice go to `mistakes`.

    Raises:
        StreambedError: the file is not there, not UTF-8, or not YAML (with its line).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise StreambedError(f"{path}: cannot be read: {reason}") from error
    return parse(text, str(path), mistakes)


def parse(text: str, name: str, mistakes: Mistakes) -> Source:
    """Parse text; `name` stands for the file in messages."""
    source = Source(name=name, text=text)
    yaml = _parser()
    try:
        node = yaml.compose(io.StringIO(text))
        if node is not None:
            source.data = _convert(yaml, node, (), source, mistakes)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise StreambedError(f"{Place(name, line)}: not YAML: {error.problem}") from error
    except (YAMLError, ValueError) as error:
        raise StreambedError(f"{name}: not YAML: {error}") from error
    return source


def scalar(text: str) -> object:
    """One value of an option, typed as it would be in a file (`2` is an int)."""
    try:
        value = _parser().load(text)
    except YAMLError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _convert(yaml: YAML, node: Node, where: Where, source: Source, mistakes: Mistakes) -> object:
    source.lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        merged: dict[Key, object] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged |= _merged(yaml, value_node, where, source, mistakes)
        result: dict[Key, object] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            line = key_node.start_mark.line + 1
            key = _key(yaml, key_node, source.name, line, mistakes)
            inner = (*where, key)
            if key in result:
                first = source.lines[inner]
                mistakes.add(
                    Place(source.name, line),
                    f"key {str(key)!r} is written twice (first on line {first}); allowed is once",
                )
                continue
            source.lines[inner] = line
            result[key] = _convert(yaml, value_node, inner, source, mistakes)
        return {**merged, **result}
    if isinstance(node, SequenceNode):
        return [
            _convert(yaml, item, (*where, index), source, mistakes)
            for index, item in enumerate(node.value)
        ]
    value: object = yaml.constructor.construct_object(node)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _merged(
    yaml: YAML, node: Node, where: Where, source: Source, mistakes: Mistakes
) -> dict[Key, object]:
    """What a merge key brings; its lines are those of the other mapping."""
    found = _convert(yaml, node, where, source, mistakes)
    if isinstance(found, dict):
        return found
    place = Place(source.name, node.start_mark.line + 1)
    mistakes.add(place, "`<<` takes a mapping, as in `<<: *name`")
    return {}


def _key(yaml: YAML, node: Node, name: str, line: int, mistakes: Mistakes) -> Key:
    if isinstance(node, ScalarNode):
        key = yaml.constructor.construct_object(node)
        if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
            return key
        return str(node.value)
    mistakes.add(Place(name, line), "a key is a plain word, not a list or a mapping")
    return f"<line {line}>"
