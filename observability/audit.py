"""Seals an audit trail: signs a digest of the entries since the last seal, chained to that seal.

Pure. An entry is durable before its action is carried out; a seal follows within seconds. A trail and its
seals are checked by `audit_verification`.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

FIRST: Final = ""
"""The value of `Seal.before` in the first seal, which has no seal before it."""
ENTRIES_MAXIMUM: Final = 1_000
"""The most entries under one seal."""


class Seal(Struct, frozen=True, kw_only=True):
    """A seal: the signed digest of a range of entries of the audit trail.

    Digests are SHA-256 in hexadecimal digits.
    """

    number: int
    """The number of the seal, counted from 1."""
    before: str
    """The digest of the seal before; empty for the first."""
    at: float
    """The time of sealing, in wall-clock seconds since 1970."""
    entries: tuple[tuple[int, str], ...]
    """The number and the digest of each entry under the seal."""
    signature: str = ""
    """The signature (ECDSA P-256, DER, base64) of the SHA-256 of the seal without this field."""


def digest_of(entry: Mapping[str, Any]) -> str:
    """Returns the digest of an entry of the audit trail: that of its JSON with sorted names."""
    return hashlib.sha256(msgspec.json.encode(entry, order="deterministic")).hexdigest()


def seal_digest(seal: Seal) -> str:
    """Returns the digest of a whole audit seal, signature included, which the next seal contains."""
    return hashlib.sha256(msgspec.json.encode(seal, order="deterministic")).hexdigest()


def make_seal(
    entries: Mapping[int, Mapping[str, Any]],
    last: Seal | None,
    *,
    at: float,
    key: ec.EllipticCurvePrivateKey,
) -> Seal:
    """Creates the audit seal that follows the seal `last`: digests of `entries`, signed with `key`.

    `entries` are audit entries by number; `last` is None for the first seal.
    """
    unsigned = Seal(
        number=1 if last is None else last.number + 1,
        before=FIRST if last is None else seal_digest(last),
        at=at,
        entries=tuple((number, digest_of(entry)) for number, entry in sorted(entries.items())),
    )
    signature = key.sign(_signed_bytes(unsigned), ec.ECDSA(hashes.SHA256()))
    return msgspec.structs.replace(unsigned, signature=base64.b64encode(signature).decode())


def is_signed(seal: Seal, key: ec.EllipticCurvePublicKey) -> bool:
    """Returns whether an audit seal (a signed digest of audit entries) has a valid signature under `key`."""
    try:
        signature = base64.b64decode(seal.signature, validate=True)
        key.verify(signature, _signed_bytes(seal), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(seal: Seal) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(seal, signature=""), order="deterministic")
