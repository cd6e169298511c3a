"""Shortens a workflow document to those parts of its tasks that rules read.

The engine would read the rest for nothing. Decisions are recorded with the whole document.
"""

from collections.abc import Collection
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, defstruct

TaskParts: TypeAlias = Collection[tuple[str, ...]]
"""Paths in a task, such as `("run", "image")`."""


class DocumentShortener:
    """A shortener of JSON documents: of each task it keeps what is at one of the paths `parts`."""

    def __init__(self, parts: TaskParts) -> None:
        self._tasks = msgspec.json.Decoder(list[_object({path[:2] for path in parts})])  # type: ignore[misc]

    def shorten(self, document: bytes) -> bytes:
        """The shortened document; the whole one where it is not as workflows are."""
        try:
            workflow = _decode(document)
            spec = _decode(workflow["spec"])
            spec["tasks"] = Raw(msgspec.json.encode(self._tasks.decode(spec["tasks"])))
        except (msgspec.DecodeError, KeyError):
            return document
        workflow["spec"] = Raw(msgspec.json.encode(spec))
        return msgspec.json.encode(workflow)


_decode = msgspec.json.Decoder(dict[str, Raw]).decode


def _object(paths: Collection[tuple[str, ...]]) -> type[Struct]:
    """The type of an object of which only what is at `paths` is kept."""
    names = sorted({path[0] for path in paths})
    fields: list[tuple[str, Any, Any]] = []
    for number, name in enumerate(names):
        below = {path[1:] for path in paths if path[0] == name}
        fields.append((f"part{number}", (Raw if () in below else _object(below)) | UnsetType, UNSET))
    renamed = {f"part{number}": name for number, name in enumerate(names)}
    return defstruct("Kept", fields, rename=renamed, gc=False)
