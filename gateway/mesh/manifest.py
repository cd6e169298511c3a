"""Writes resources as YAML files, and reads such files; in what is written every parser sees the same."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import yaml

from gateway.documents.yaml_plain_scalars import WORDS, plain_scalar
from gateway.mesh.rendering import Resource

MARK: Final = "# Made by `waypost mesh render` from "
"""The beginning of every file that is written: files that begin otherwise belong to somebody else."""
BYTES_MAXIMUM: Final = 16 * 2**20
NESTING_MAXIMUM: Final = 64


class QuotingDumper(yaml.CSafeDumper):
    """A YAML dumper that quotes what some version of YAML would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:
        # Values that are in two places are written twice: not every reader of manifests knows aliases.
        del data
        return True


def _represent_text(dumper: QuotingDumper, text: str) -> yaml.ScalarNode:
    value, fault = plain_scalar(text) if text else (None, None)
    style = '"' if fault or value != text or text.lower() in WORDS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


QuotingDumper.add_representer(str, _represent_text)


def dump(resource: Resource) -> str:
    """Returns `resource` as YAML; equal ones give equal text."""
    text: str = yaml.dump(resource, Dumper=QuotingDumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def manifest(resources: Sequence[Resource], source: str) -> str:
    """Returns the file with `resources`, which were rendered from the file `source`."""
    return f"{MARK}{source}: edit that file, not this one.\n" + "---\n".join(map(dump, resources))


class ManifestError(Exception):
    """Raised for a file that is no YAML with Kubernetes' objects; the text says why."""


def parse_manifest(content: bytes) -> list[Resource]:
    """Reads the objects in a YAML file; of a `List` its items. Raises `ManifestError`."""
    if len(content) > BYTES_MAXIMUM:
        raise ManifestError(f"has more than {BYTES_MAXIMUM} bytes")
    try:
        text = content.decode()
        _check_nesting(text)
        return list(_objects(yaml.load_all(text, Loader=yaml.CSafeLoader)))
    except UnicodeDecodeError as error:
        raise ManifestError(f"is not UTF-8: byte {error.start} cannot be there") from error
    except yaml.YAMLError as error:
        raise ManifestError(f"is not YAML: {' '.join(str(error).split())[:200]}") from error


def _check_nesting(text: str) -> None:
    # PyYAML 6.0.3 builds values by recursion in C: 50,000 brackets end the process.
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > NESTING_MAXIMUM:
                raise ManifestError(f"is nested more than {NESTING_MAXIMUM} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _objects(documents: Iterable[Any]) -> Iterator[Resource]:
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise ManifestError("has a document that is no object of Kubernetes: it has no `kind`")
        if document["kind"] == "List":
            yield from _objects(document.get("items") or ())
        else:
            yield document
