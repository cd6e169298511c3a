"""`waypost audit key|export|verify`: makes the sealing key, exports and verifies the sealed audit trail."""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cyclopts import Parameter
from msgspec import Struct

from gateway.cli.arguments import Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, format_time, visible
from gateway.submission.audit_sealing import AuditKeyError, make_audit_key
from observability.audit import Seal
from observability.audit_of_trail import ARCHIVED, Restoration
from observability.audit_verification import Finding, Verification, verify
from waypost.distinct_names import distinct

MAXIMUM_SHOWN: Final = 100


class Line(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of an exported audit trail: an entry, or a seal (the signed digest of entries)."""

    entry: dict[str, Any] | None = None
    seal: Seal | None = None
    decision: dict[str, Any] | None = None
    """In an archive: a decision that goes with this part of the trail, which no seal is over."""
    document: Any = None
    """The document that the decision is about."""


@command
def key(path: Annotated[Path, Parameter(help="The file to be made; 0600.")], /) -> None:
    """Make the key with which a gateway signs (seals) its audit trail, and print its public key.

    Keep the public key where auditors find it, and not on the gateway's machine alone.
    """
    try:
        public = make_audit_key(path)
    except (AuditKeyError, OSError) as error:
        raise CliError(str(error)) from error
    sys.stdout.write(public)


@command
def export(*, url: Url = None, token: Token = None) -> None:
    """Write the audit trail as lines of JSON: its entries and their seals (signed digests)."""
    for line in _trail_lines(url, token):
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


@command
def check(
    export_file: Annotated[
        Path | None, Parameter(help="An export. Default: what the gateway has now.")
    ] = None,
    /,
    *,
    key: Annotated[
        tuple[Path, ...],
        Parameter(
            negative="",
            help="The public key of the seals, a PEM file. Where the gateway's key was exchanged: all that it"
            " had, --key each, in their order.",
        ),
    ],
    known: Annotated[
        Path | None,
        Parameter(help="An earlier export, kept elsewhere: shows an end that was cut off, and a fork."),
    ] = None,
    archive: Annotated[
        Path | None,
        Parameter(
            help="The folder of the gateway's archive, or a copy: its part of the trail is verified too."
        ),
    ] = None,
    url: Url = None,
    token: Token = None,
) -> int:
    """Verify the audit trail: name each entry that was edited, deleted, added, repeated or reordered.

    Entries that have no seal (signed digest) yet are counted: nothing shows that they are genuine.
    Verification fails if any of these is more than a minute older or newer than the newest seal, or if
    there are more than 1,000.
    """
    keys = [_public_key(path) for path in key]
    entries, seals = _trail(_trail_lines(url, token) if export_file is None else _read(export_file))
    if archive is not None:
        entries, seals = _with_archived(archive, entries, seals)
    result = verify(entries, seals, keys=keys, known=() if known is None else _known_seals(known))
    _print_result(result)
    if found := len(result.findings):
        detail = f"the trail is not as it was sealed: {found} finding{'s' if found > 1 else ''}"
        raise CliError(detail, code=Exit.FAILED)
    sys.stdout.write(f"{result.sealed} entries under {len(seals)} seals are as they were sealed\n")
    return Exit.DONE


def _print_result(result: Verification) -> None:
    for finding in result.findings[:MAXIMUM_SHOWN]:
        sys.stdout.write(f"{_sentence(finding)}\n")
    for told in result.restorations:
        sys.stdout.write(f"{_restore_sentence(told)}\n")
    if result.unsealed:
        are = "entry is" if result.unsealed == 1 else "entries are"
        sys.stdout.write(f"{result.unsealed} {are} not sealed: nothing shows that this is genuine\n")
    if result.archived is not None:
        file, last = visible(result.archived.file), result.archived.last_seal
        sys.stdout.write(f"seals 1 to {last} are in the archive, the last in {file}: not verified;")
        sys.stdout.write(" --archive FOLDER verifies them too\n")


def _sentence(finding: Finding) -> str:
    if finding.entry is not None and finding.last_entry is not None:
        return f"entries {finding.entry} to {finding.last_entry} {finding.detail}"
    if finding.entry is not None:
        return f"entry {finding.entry} {finding.detail}"
    return finding.detail if finding.seal is None else f"seal {finding.seal} {finding.detail}"


def _restore_sentence(told: Restoration) -> str:
    upto = "" if told.replaced_seal is None else f" (seals up to {told.replaced_seal})"
    return visible(
        f"entry {told.entry}: {told.actor} restored the store at {format_time(told.at)} from a backup of"
        f" {format_time(told.backup_made_at)}: what was sealed after seal {told.last_seal} until then{upto}"
        " is not in this trail"
    )


def _with_archived(
    folder: Path, entries: list[dict[str, Any]], seals: list[Seal]
) -> tuple[list[dict[str, Any]], list[Seal]]:
    """Puts the archived parts of the trail before the given one, as far as entries say where they are."""
    files = {entry["detail"]["last_seal"]: entry["detail"]["file"] for entry in _about_archive(entries)}
    while seals and (name := files.get(seals[0].number - 1)) is not None:
        if Path(name).name != name:
            raise CliError(f"the trail names a file of the archive by {name!r}, which is no name of a file")
        older, older_seals = _trail(_read(folder / name))
        if not older_seals or older_seals[-1].number != seals[0].number - 1:
            raise CliError(f"{folder / name} does not end with seal {seals[0].number - 1}")
        files |= {entry["detail"]["last_seal"]: entry["detail"]["file"] for entry in _about_archive(older)}
        entries, seals = older + entries, older_seals + seals
    return entries, seals


def _about_archive(entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (entry for entry in entries if entry.get("kind") == ARCHIVED)


def _known_seals(path: Path) -> list[Seal]:
    seals = _trail(_read(path))[1]
    if not seals:
        raise CliError(f"{path} holds no seal: nothing can be compared with it")
    return seals


def _trail_lines(url: str | None, token: str | None) -> Iterator[Line]:
    """Yields all lines of the gateway's audit trail, requested page by page."""
    after = {"entry": 0, "seal": 0}
    with connect(url, token) as client:
        while True:
            page = read_answer(client.get(api_path("audit", "trail"), params=after), "entries")
            yield from (Line(entry=entry) for entry in page["entries"])
            yield from (Line(seal=msgspec.convert(seal, Seal)) for seal in page["seals"])
            following = {"entry": page["last_entry"], "seal": page["last_seal"]}
            if following == after:
                return
            after = following


def _read(path: Path) -> Iterator[Line]:
    decode = msgspec.json.Decoder(Line).decode
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CliError(f"{path} cannot be read: {reason}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found = decode(line)
            # Of two equal names one reader takes the first, another the last.
            json.loads(line, object_pairs_hook=distinct)
        except (ValueError, RecursionError) as error:
            raise CliError(f"{path}, line {number}, is no line of an export: {error}") from error
        if [found.entry, found.seal, found.decision].count(None) != 2:
            raise CliError(
                f"{path}, line {number}, is no line of an export: it is one entry, seal or decision"
            )
        if found.entry is not None and type(found.entry.get("seq")) is not int:
            raise CliError(f"{path}, line {number}, is no line of an export: /entry/seq is no number")
        yield found


def _trail(lines: Iterator[Line]) -> tuple[list[dict[str, Any]], list[Seal]]:
    entries: list[dict[str, Any]] = []
    seals: list[Seal] = []
    for line in lines:
        if line.entry is not None:
            entries.append(line.entry)
        if line.seal is not None:
            seals.append(line.seal)
    return entries, seals


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from error
    if b"PRIVATE KEY-----" in text:
        raise CliError(f"{path} holds a private key: `waypost audit key` has printed the public half")
    try:
        key = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CliError(f"{path} holds no public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CliError(f"{path} holds no ECDSA key")
    return key
