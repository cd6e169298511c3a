"""YAML as a way to write JSON: bounded before anything is built, and nothing in it that JSON could not hold."""

import math
from typing import Any

import yaml

SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}


class YamlError(Exception):
    """`pointer` is None where the text is not YAML at all, or passes a bound."""

    def __init__(self, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.pointer = pointer


def read_yaml(text: bytes, *, maximum_nesting: int, maximum_nodes: int) -> Any:
    """The one document in `text` as JSON values. Aliases are expanded up to `maximum_nodes` in all. Raises `YamlError`."""
    try:
        _check_depth(text, maximum_nesting)
        loader = yaml.CSafeLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _Builder(loader, maximum_nodes).build(node, "")
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise YamlError(f"not YAML: {error.problem or error.context}{place}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise YamlError(f"not YAML: {str(error).splitlines()[0][:200]}") from error


def _check_depth(text: bytes, maximum: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > maximum:
                raise YamlError(f"nested more than {maximum} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    def __init__(self, loader: "yaml.CSafeLoader", maximum_nodes: int) -> None:
        self._loader, self._left = loader, maximum_nodes
        self._open: set[int] = set()

    def build(self, node: yaml.Node, pointer: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise YamlError("aliases expand to too large a document")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, pointer)
        if id(node) in self._open:
            raise YamlError("an alias refers to what it is part of", pointer)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                return [self.build(item, f"{pointer}/{index}") for index, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return self._mapping(node, pointer)
        finally:
            self._open.discard(id(node))
        raise YamlError(f"{node.tag} has no meaning in JSON", pointer)

    def _mapping(self, node: yaml.MappingNode, pointer: str) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in node.value:
            name = self.build(key, pointer)
            if not isinstance(name, str):
                raise YamlError(f"the key {name!r} is not a string: put quotes around it", pointer)
            if name in built:
                raise YamlError(f"the key {name} is there twice", pointer)
            built[name] = self.build(value, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
        return built

    def _scalar(self, node: yaml.ScalarNode, pointer: str) -> Any:
        if node.tag not in SCALARS:
            raise YamlError(f"{node.value[:40]!r} is read as {node.tag.rpartition(':')[2]}: put quotes around it", pointer)
        value = self._loader.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            raise YamlError(f"{node.value} is not a JSON number", pointer)
        return value
