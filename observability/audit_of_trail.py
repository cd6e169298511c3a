"""Finds the audit entries that are about the trail itself: restores, and parts in an archive. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from observability.audit import Seal, digest_of

RESTORED: Final = "BackupRestored"
"""The kind of the entries that record a restore of the store."""
ARCHIVED: Final = "TrailArchived"
"""The kind of the entries that record that the oldest part of the trail was archived."""


class Restoration(Struct, frozen=True, kw_only=True):
    """A sealed audit entry by which the store was restored from a backup, with the trail up to then."""

    entry: int
    """The number of the entry."""
    at: float
    """The time of the restore, in seconds since 1970."""
    actor: str
    """The account and machine by which it was restored."""
    backup_made_at: float
    last_seal: int
    """The number of the newest seal in the backup: later seals were made after the restore."""
    replaced_seal: int | None
    """The number of the newest seal of the trail that was replaced; None where it is not known."""


class ArchivedPart(Struct, frozen=True, kw_only=True):
    """A sealed audit entry by which the trail before it is in an archive, up to a seal."""

    entry: int
    """The number of the entry."""
    file: str
    """The name of the archive's file that holds the last seals of the part."""
    last_seal: int
    last_seal_digest: str
    """The digest of that seal, which the next one contains."""


def about_the_trail(
    entries: Mapping[int, Mapping[str, Any]],
    under: Mapping[int, tuple[Seal, str]],
    unsigned: Collection[int],
) -> Mapping[int, Mapping[str, Any]]:
    """Returns the audit entries about the trail itself that are as they were when they were sealed.

    `under` has the seal of each entry, with the digest in it; `unsigned` are seals that count for nothing.
    """
    found = {}
    for number, entry in sorted(entries.items()):
        if entry.get("kind") not in (RESTORED, ARCHIVED) or number not in under:
            continue
        seal, digest = under[number]
        if seal.number not in unsigned and digest == digest_of(entry):
            found[number] = entry
    return found


def restorations_of(about: Mapping[int, Mapping[str, Any]]) -> Iterator[Restoration]:
    """Yields the restores of the store among the entries that `about_the_trail` returns."""
    for number, entry in about.items():
        if entry["kind"] == RESTORED:
            yield msgspec.convert({**entry, **entry["detail"], "entry": number}, Restoration)


def archived_part(about: Mapping[int, Mapping[str, Any]], seals: Sequence[Seal]) -> ArchivedPart | None:
    """Finds the sealed entry by which the trail before the first seal is in an archive; None if none says so.

    Its digest must be the one that the first seal contains: so the two parts are one chain.
    """
    for number, entry in about.items():
        if entry["kind"] == ARCHIVED:
            part = msgspec.convert({**entry["detail"], "entry": number}, ArchivedPart)
            if seals and (part.last_seal + 1, part.last_seal_digest) == (seals[0].number, seals[0].before):
                return part
    return None
