"""Packs and unpacks policy bundle archives as OPA loads them: .tar.gz files of rules, data and a manifest.

Archives to unpack may come from anywhere: their size is bounded, and they may contain only plain files with
plain names.
"""

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from gateway.policy.bundle import Bundle
from gateway.policy.opa import batches
from waypost.distinct_names import distinct

MANIFEST: Final = ".manifest"
DATA: Final = "data.json"
DELTA: Final = "patch.json"
SIGNATURES: Final = ".signatures.json"
ARCHIVE_MAXIMUM_BYTES: Final = 16 * 1_048_576
CONTENT_MAXIMUM_BYTES: Final = 64 * 1_048_576
"""The maximum size of an unpacked archive in bytes: a small archive could fill the memory."""
FILES_MAXIMUM: Final = 5_000
NAME: Final = re.compile(r"/?((?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_.][A-Za-z0-9._-]*)")

Files: TypeAlias = Mapping[str, bytes]
"""The files of a bundle: content by name, without a leading slash."""


class ArchiveError(Exception):
    """Raised for an archive that is not a usable policy bundle. The text says why."""


class Manifest(Struct, frozen=True, kw_only=True):
    """The manifest of a policy bundle: its revision, its roots, and its sequence number among releases.

    `sequence` only grows. OPA accepts a bundle that is older than its own; Waypost does not.
    """

    revision: str
    roots: tuple[str, ...]
    sequence: int
    engine: str = ""
    """The only engine that can evaluate the bundle: `opa`; empty for any."""


def pack_bundle(bundle: Bundle, *, sequence: int = 0) -> bytes:
    """Packs a policy bundle into an archive, without its tests and schemas.

    The same bundle gives the same bytes. Its manifest has the bundle's revision, which OPA names in each
    answer, and one root: no other bundle, and nobody who writes to OPA's API, can add rules or data.
    """
    metadata = {"sequence": sequence} | ({"engine": bundle.engine} if bundle.engine else {})
    manifest = {"revision": bundle.revision, "roots": [""], "rego_version": 1, "metadata": metadata}
    files = {
        MANIFEST: msgspec.json.encode(manifest),
        DATA: bundle.source.data.encode(),
        batches.MODULE_NAME: batches.MODULE.encode(),
        **{name: text.encode() for name, text in bundle.source.modules},
    }
    return pack(files)


def pack(files: Files) -> bytes:
    """Packs files (content by name) into a .tar.gz archive without times and owners.

    So the same files give the same bytes.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in files.items():
            entry = tarfile.TarInfo(f"/{name}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def unpack(archive: bytes) -> Files:
    """Unpacks an archive into its files, by name; leaves out entries of folders.

    Raises `ArchiveError` if it is damaged or too large, has a name twice, or an entry of another kind.
    """
    content = _decompressed(archive)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as entries:
            files = _read_files(entries)
            # At a header that it cannot read, tarfile ends as at the end of the archive.
            if content[entries.offset :].strip(b"\0"):
                raise ArchiveError("it is damaged, or something follows it")
            return files
    except (tarfile.TarError, EOFError, OverflowError, ValueError, RecursionError) as error:
        raise ArchiveError(f"it is no archive: {error}") from error


def _read_files(entries: tarfile.TarFile) -> Files:
    files: dict[str, bytes] = {}
    for number, entry in enumerate(entries):
        if number >= FILES_MAXIMUM:
            raise ArchiveError(f"it has more than {FILES_MAXIMUM} entries")
        if entry.isdir():
            continue
        name = NAME.fullmatch(entry.name)
        # What a sparse file says of its size is no bound: it may become any number of zeros.
        plain = entry.isreg() and not entry.issparse()
        content = entries.extractfile(entry) if plain else None
        if name is None or ".." in entry.name or content is None:
            raise ArchiveError(f"{entry.name!r:.100} is no plain file in the bundle")
        if name[1] in files:
            raise ArchiveError(f"{name[1]:.100} is there twice")
        files[name[1]] = content.read()
    return files


def _decompressed(archive: bytes) -> bytes:
    if len(archive) > ARCHIVE_MAXIMUM_BYTES:
        raise ArchiveError(f"it has more than {ARCHIVE_MAXIMUM_BYTES} bytes")
    # Not by `gzip`, which knows no bound on what comes out.
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = reader.decompress(archive, CONTENT_MAXIMUM_BYTES)
    except zlib.error as error:
        raise ArchiveError(f"it is no archive: {error}") from error
    if reader.unconsumed_tail:
        raise ArchiveError(f"it becomes more than {CONTENT_MAXIMUM_BYTES} bytes")
    if not reader.eof or reader.unused_data:
        raise ArchiveError("it is cut off, or something follows it")
    return content


def manifest_of(files: Files) -> Manifest:
    """Parses the manifest among the `files` of a bundle archive.

    Raises `ArchiveError` if its revision, roots or sequence number is missing or invalid, if its roots are
    not `[""]` (rules outside a bundle's roots may come from elsewhere), and if the bundle has YAML files, a
    patch, or manifests or signatures in subfolders.
    """
    _check_names(files)
    found = parsed_json(files, MANIFEST)
    try:
        metadata = found["metadata"]
        own = {"sequence": metadata["sequence"], "engine": metadata.get("engine", "")}
        manifest = msgspec.convert({**found, **own}, Manifest)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ArchiveError(f"its .manifest has no revision, roots or metadata.sequence: {error}") from error
    if not manifest.revision or manifest.roots != ("",) or manifest.sequence < 0:
        raise ArchiveError('its .manifest must have a revision, the roots [""] and a sequence from 0 on')
    return manifest


def _check_names(files: Files) -> None:
    """Raises `ArchiveError` if a bundle has YAML files, a patch, or manifests or signatures in subfolders."""
    for name in files:
        if name.endswith((MANIFEST, SIGNATURES)) and name not in (MANIFEST, SIGNATURES):
            raise ArchiveError(f"{name:.100}: there must be one such file, at the top")
        if name.endswith((".yaml", ".yml")):
            raise ArchiveError(f"{name:.100}: data must be JSON")
        if name == DELTA:
            raise ArchiveError(f"it has a {DELTA}, a change of the bundle before it; it must be whole")


def parsed_json(files: Files, name: str, *, number: Callable[[str], Any] | None = None) -> Any:
    """Parses the JSON file `name` of a bundle; `number` converts the text of each number to a value.

    Raises `ArchiveError` if the file is missing, is not JSON, or has an object with a name twice.
    """
    if name not in files:
        raise ArchiveError(f"it has no {name}")
    try:
        return json.loads(
            files[name].decode("utf-8"), object_pairs_hook=distinct, parse_int=number, parse_float=number
        )
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"its {name} is not JSON: {error}") from error
