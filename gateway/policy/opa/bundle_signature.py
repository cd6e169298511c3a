"""Signs bundle archives and verifies them, in OPA's own format: a JWT over the hash of every file.

OPA accepts a signature without a key's name, and, where it is not set up to verify, a bundle without any
signature. Here both are refused.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from msgspec import Struct

from gateway.policy.opa.bundle_archive import (
    MANIFEST,
    SIGNATURES,
    ArchiveError,
    Files,
    Manifest,
    manifest_of,
    pack,
    parsed_json,
    unpack,
)
from waypost.files.permissions import write_private

ALGORITHM: Final = "ES256"
HASH: Final = "SHA-256"


class BundleKeyError(Exception):
    """Raised for a file without a key that can sign or verify bundles. The text says why."""


class SigningKey(Struct, frozen=True, kw_only=True):
    """A private key that signs bundles, with the key id by which verifiers find its public key."""

    key: EllipticCurvePrivateKey
    key_id: str


class VerificationKey(Struct, frozen=True, kw_only=True):
    """A public key that verifies bundle signatures, with the key id that the signatures must name."""

    key: EllipticCurvePublicKey
    key_id: str


class _SignedFile(Struct, frozen=True, kw_only=True):
    """The entry of one file in a bundle's signature: its name, digest and algorithm."""

    name: str
    hash: str
    algorithm: str


def make_signing_key(path: Path) -> None:
    """Creates a key for signing bundles and writes it to the PEM file `path` (mode 0600)."""
    key = generate_private_key(SECP256R1())
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public_half(key: SigningKey) -> str:
    """Returns the public key that belongs to a signing key, as PEM, for those who verify bundles."""
    public = key.key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_signing_key(path: Path, key_id: str) -> SigningKey:
    """Reads a key for signing bundles from the PEM file `path`.

    Raises `BundleKeyError` if the file has no unencrypted private key on the curve P-256, and `OSError` if it
    cannot be read.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleKeyError(f"{path} has no private key that can be read") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise BundleKeyError(f"{path} has no private key for {ALGORITHM} (EC on P-256)")
    return SigningKey(key=key, key_id=key_id)


def read_verification_key(path: Path, key_id: str) -> VerificationKey:
    """Reads a key for verifying bundles from the PEM file `path`.

    Raises `BundleKeyError` if the file has no public key on the curve P-256, and `OSError` if it cannot be
    read.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleKeyError(f"{path} has no public key that can be read") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise BundleKeyError(f"{path} has no public key for {ALGORITHM} (EC on P-256)")
    return VerificationKey(key=key, key_id=key_id)


def sign(archive: bytes, key: SigningKey) -> bytes:
    """Signs a bundle archive with `key`; returns the archive with that signature only.

    Raises `ArchiveError` if the archive is damaged, or its manifest or another JSON file in it is invalid.
    """
    files = {name: content for name, content in unpack(archive).items() if name != SIGNATURES}
    manifest_of(files)
    hashes = [{"name": name, "hash": hash_of(name, files), "algorithm": HASH} for name in sorted(files)]
    token = jwt.encode({"files": hashes}, key.key, ALGORITHM, headers={"kid": key.key_id})
    return pack({**files, SIGNATURES: msgspec.json.encode({"signatures": [token]})})


def verify(archive: bytes, key: VerificationKey) -> Manifest:
    """Verifies that `key` has signed every file of a bundle archive; returns the bundle's manifest.

    Raises `ArchiveError` if the signature is missing or not by `key`, or a file is unsigned, changed or
    missing; and for a damaged archive or a wrong manifest.
    """
    files = unpack(archive)
    if SIGNATURES not in files:
        raise ArchiveError("it is not signed")
    signed = _signed_hashes(files, key)
    present = files.keys() - {SIGNATURES}
    if extra := sorted(present - signed.keys()):
        raise ArchiveError(f"{extra[0]:.100} is not signed")
    if missing := sorted(signed.keys() - present):
        raise ArchiveError(f"{missing[0]:.100} was signed and is not there")
    for name in sorted(present):
        if hash_of(name, files) != signed[name]:
            raise ArchiveError(f"{name:.100} is another than was signed")
    return manifest_of(files)


def _signed_hashes(files: Files, key: VerificationKey) -> dict[str, str]:
    """Verifies a bundle's signature with `key`; returns the file hashes that were signed, by file name.

    Raises `ArchiveError` unless there is exactly one signature, by `key`, without scope and over SHA-256
    hashes.
    """
    try:
        found = parsed_json(files, SIGNATURES)
        if not isinstance(found, dict) or not isinstance(found.get("signatures"), list):
            raise ArchiveError(f"its {SIGNATURES} has no list of signatures")
        if more := sorted(found.keys() - {"signatures"}):
            raise ArchiveError(f"its {SIGNATURES} has more than signatures: {more[0]!r:.100}")
        if len(tokens := found["signatures"]) != 1 or not isinstance(token := tokens[0], str):
            raise ArchiveError(f"its {SIGNATURES} must have exactly one signature, a text")
        payload: dict[str, Any] = jwt.decode(token, key.key, algorithms=[ALGORITHM])
        # OPA's own tools put the name of the key among the claims.
        if jwt.get_unverified_header(token).get("kid", payload.get("keyid")) != key.key_id:
            raise ArchiveError(f"its signature does not name the key {key.key_id!r}")
        if payload.get("scope"):
            # OPA takes it only where it is set up for that scope.
            raise ArchiveError(f"its signature is for a scope, {payload['scope']!r:.100}: it must have none")
        signed = msgspec.convert(payload.get("files"), list[_SignedFile])
    except (jwt.InvalidTokenError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(f"its signature is not good: {error}") from error
    if other := next((file for file in signed if file.algorithm != HASH), None):
        raise ArchiveError(f"{other.name:.100} was signed by its {other.algorithm:.40}, not its {HASH}")
    hashes = {file.name: file.hash for file in signed}
    if len(hashes) < len(signed):
        raise ArchiveError("its signature names a file twice")
    return hashes


def hash_of(name: str, files: Files) -> str:
    """Returns the hash of a bundle's file as OPA computes it: for JSON that of the value, not of the text."""
    content = files[name]
    if name == MANIFEST or name.endswith(".json"):
        content = _canonical(parsed_json(files, name, number=_Number)).encode()
    return hashlib.sha256(content).hexdigest()


class _Number(str):
    """A JSON number that keeps its text: OPA keeps `1.50` and `1E5`, and hashes these texts."""

    __slots__ = ()


def _canonical(value: Any) -> str:
    """Encodes a JSON value in the form that OPA hashes: sorted names, no spaces, strings as Go writes."""
    if isinstance(value, _Number):
        return "".join(value)
    if isinstance(value, dict):
        pairs = (f"{_canonical(name)}:{_canonical(value[name])}" for name in sorted(value))
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
