"""Seals of an audit trail: each is a signed digest of the entries since the last seal, chained to that one.

Pure.

What is recorded is durable before it is acted upon; a seal follows within seconds. With the public key and
the seals of yesterday every entry is found that was edited, deleted, added or reordered since, and a trail
whose end was cut off.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

FIRST: Final = ""
"""What the first seal names as the one before it."""
ENTRIES_MAXIMUM: Final = 1_000
"""The most entries under one seal."""


class Seal(Struct, frozen=True, kw_only=True):
    """A signed digest of a range of the trail. Digests are SHA-256 in hexadecimal digits."""

    number: int
    """1 for the first seal, then one more each."""
    before: str
    """The digest of the seal before; empty for the first."""
    at: float
    """When it was made, in wall-clock seconds since 1970."""
    entries: tuple[tuple[int, str], ...]
    """The number and the digest of each entry under it."""
    signature: str = ""
    """ECDSA P-256 over the SHA-256 of the seal without its signature; DER, base64."""


class Finding(Struct, frozen=True, kw_only=True):
    """A problem that verification found in a trail: its place and its text."""

    entry: int | None = None
    """The number of the entry; None: it is about a seal."""
    seal: int | None = None
    """The number of the seal; None: it is about what no seal covers."""
    detail: str


def digest_of(entry: Mapping[str, Any]) -> str:
    """The digest of an entry, computed over its JSON with sorted names."""
    return hashlib.sha256(msgspec.json.encode(entry, order="deterministic")).hexdigest()


def seal_digest(seal: Seal) -> str:
    """The digest of a whole seal, signature included, to which the next seal is chained."""
    return hashlib.sha256(msgspec.json.encode(seal, order="deterministic")).hexdigest()


def make_seal(
    entries: Mapping[int, Mapping[str, Any]],
    last: Seal | None,
    *,
    at: float,
    key: ec.EllipticCurvePrivateKey,
) -> Seal:
    """Makes the seal over `entries`, by their numbers, that follows `last`."""
    unsigned = Seal(
        number=1 if last is None else last.number + 1,
        before=FIRST if last is None else seal_digest(last),
        at=at,
        entries=tuple((number, digest_of(entry)) for number, entry in sorted(entries.items())),
    )
    signature = key.sign(_signed_bytes(unsigned), ec.ECDSA(hashes.SHA256()))
    return msgspec.structs.replace(unsigned, signature=base64.b64encode(signature).decode())


def verify(
    entries: Mapping[int, Mapping[str, Any]],
    seals: Sequence[Seal],
    *,
    key: ec.EllipticCurvePublicKey,
    known: Iterable[Seal] = (),
) -> list[Finding]:
    """Verifies a trail and its seals; returns all findings, none for a trail as it was sealed.

    `known` are seals that were kept elsewhere, such as those of an earlier export: without them a trail whose
    end was cut off, seals and all, looks whole. Entries behind the last seal are not sealed yet and are not
    looked at.
    """
    findings = _chain_findings(seals, key)
    findings += _known_findings(seals, known)
    sealed = {number: (seal, digest) for seal in seals for number, digest in seal.entries}
    for number, (seal, digest) in sorted(sealed.items()):
        if number not in entries:
            findings.append(Finding(entry=number, seal=seal.number, detail="was deleted"))
        elif digest_of(entries[number]) != digest:
            findings.append(Finding(entry=number, seal=seal.number, detail="was edited"))
    last = max(sealed, default=0)
    findings += [
        Finding(entry=number, detail="was added behind what was sealed")
        for number in sorted(entries)
        if number < last and number not in sealed
    ]
    return findings


def _chain_findings(seals: Sequence[Seal], key: ec.EllipticCurvePublicKey) -> list[Finding]:
    """The findings about the seals alone: signatures, and that each names the one before."""
    findings, before = [], FIRST
    for place, seal in enumerate(seals, start=1):
        if not _is_signed(seal, key):
            findings.append(Finding(seal=seal.number, detail="is not signed by this key: edited or forged"))
        if seal.number != place:
            detail = f"stands at place {place}: seals are missing or in another order"
            findings.append(Finding(seal=seal.number, detail=detail))
        elif seal.before != before:
            detail = "does not follow the seal before it: that one was replaced, or the trail is forked"
            findings.append(Finding(seal=seal.number, detail=detail))
        before = seal_digest(seal)
    return findings


def _known_findings(seals: Sequence[Seal], known: Iterable[Seal]) -> list[Finding]:
    """The findings from comparing these seals with seals that were kept elsewhere."""
    by_number = {seal.number: seal for seal in seals}
    findings = []
    for seal in known:
        there = by_number.get(seal.number)
        if there is None:
            findings.append(
                Finding(seal=seal.number, detail="was kept elsewhere and is gone: the end was cut off")
            )
        elif there != seal:
            detail = "is another than the one kept elsewhere: the trail is forked"
            findings.append(Finding(seal=seal.number, detail=detail))
    return findings


def _is_signed(seal: Seal, key: ec.EllipticCurvePublicKey) -> bool:
    try:
        signature = base64.b64decode(seal.signature, validate=True)
        key.verify(signature, _signed_bytes(seal), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(seal: Seal) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(seal, signature=""), order="deterministic")
