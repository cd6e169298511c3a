"""Artifacts in a task's `source` and `target`: files that the cluster fetches before a try or stores after.

A source or target is an artifact if it has a `file` or `s3` with the name of a `storage`; any other is data
that the task gets as it is. Gateway and clusters tell them apart here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from waypost.json_pointer import located, parts_of

ArtifactKind: TypeAlias = Literal["file", "s3"]
KINDS: Final[tuple[ArtifactKind, ...]] = ("file", "s3")
STORAGE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
PATH_BYTES: Final = 1_024
"""The most bytes of a path, as S3 has it for keys."""
RECORD: Final = "artifacts"
"""The field of a task's output with what was fetched and stored."""


FILLED_IN: Final = "an artifact stands in the document as one: policy sees no more than a placeholder"
"""The error of a source or target that a placeholder makes an artifact."""


class Artifact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One file in a storage of the region's cluster, and its place in the workspace."""

    storage: Annotated[str, Meta(description="The name of a storage in the settings of clusters.")]
    path: Annotated[str, Meta(description="The file's path in the storage: relative, without `..`.")]
    workspace: Annotated[
        str | None, Meta(description="Its path in the workspace. By default the last part of `path`.")
    ] = None
    sha256: Annotated[
        str | None, Meta(description="Of a source: the SHA-256 that it must have, in hexadecimal digits.")
    ] = None

    @property
    def file(self) -> str:
        """Returns the file's path in the workspace."""
        return self.path.rpartition("/")[2] if self.workspace is None else self.workspace


class LocatedArtifact(Struct, frozen=True, kw_only=True, gc=False):
    """An artifact with its kind, as a source or target names it."""

    kind: ArtifactKind
    artifact: Artifact


def is_artifact(data: Mapping[str, Any] | None) -> bool:
    """Returns whether a source or target is a file that the cluster fetches or stores."""
    return data is not None and any(_names_storage(data.get(kind)) for kind in KINDS)


def read_artifact(data: Mapping[str, Any]) -> LocatedArtifact:
    """Reads an artifact in which `artifact_faults` has found nothing wrong."""
    kind = next(kind for kind in KINDS if kind in data)
    return LocatedArtifact(kind=kind, artifact=msgspec.convert(data[kind], Artifact))


def artifact_faults(
    data: Mapping[str, Any], *, of_target: bool, filled_in: bool
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields what is wrong with an artifact: the names that lead to the place in `data`, and a sentence.

    `filled_in` says whether its placeholders are; before, values that have one are not looked at, but for
    the name of the storage: policy permits that before the run.
    """
    kind = next(kind for kind in KINDS if _names_storage(data.get(kind)))
    for other in data:
        if other != kind:
            yield (other,), f"an artifact is one {kind}, with nothing beside it"
    try:
        artifact = msgspec.convert(data[kind], Artifact)
    except msgspec.ValidationError as error:
        pointer, sentence = located(error)
        yield (kind, *parts_of(pointer)), sentence
        return
    if not STORAGE.fullmatch(artifact.storage):
        yield (kind, "storage"), "is no name of a storage: lower-case letters, digits and dashes"
    for name, text in (("path", artifact.path), ("workspace", artifact.workspace)):
        if text is not None and (filled_in or "${" not in text) and (fault := path_fault(text)):
            yield (kind, name), fault
    sha256 = artifact.sha256
    if sha256 is not None and of_target:
        yield (kind, "sha256"), "only a source has one: that of a target is in the task's output"
    elif sha256 is not None and (filled_in or "${" not in sha256) and not SHA256.fullmatch(sha256):
        yield (kind, "sha256"), "is no SHA-256: 64 digits from 0 to 9 and a to f"


def path_fault(path: str) -> str:
    """Returns why a text is no path of an artifact; empty if it is one."""
    if not path or path.startswith("/"):
        return "is no relative path"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "has an empty part, `.` or `..`"
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        return "has a control character"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "has half of a character"
    return f"has more than {PATH_BYTES} bytes" if size > PATH_BYTES else ""


def _names_storage(value: Any) -> bool:
    return isinstance(value, Mapping) and "storage" in value
