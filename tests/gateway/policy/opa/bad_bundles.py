"""Bundles that must not come into force: forged, outdated, damaged, or harmful to unpack."""

import base64
import gzip
import hmac
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, SupportsBytes, TypeAlias

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from gateway.policy.opa.bundle_archive import (
    ARCHIVE_MAXIMUM_BYTES,
    CONTENT_MAXIMUM_BYTES,
    pack,
    pack_bundle,
    unpack,
)
from gateway.policy.opa.bundle_signature import SigningKey, hash_of, sign
from tests.gateway.policy.opa.keys import KEY, OTHER_KEY, SIGNS
from tests.opa_fixture import bundle_of

SEQUENCE: Final = 7
ODD_DATA: Final = (
    '{"n": [1, 1.0, 1.50, 1E5, 1e+2, -0.0, 123456789012345678901234567890], "\u00e9": 1, "Z": {},'
    '"\U00010000": [], "a<b>&": "x\u2028y\u2029\u96ea\U0001f409\\"\\\\/\\u0001\\b\\t\u007f"}'
)
PLAIN: Final = bundle_of("decision := 1")
ODD: Final = structs.replace(PLAIN, source=structs.replace(PLAIN.source, data=ODD_DATA))
ARCHIVE: Final = pack_bundle(ODD, sequence=SEQUENCE)
SIGNED: Final = sign(ARCHIVE, SIGNS)
"""The archive of a valid signed bundle."""
PUBLIC: Final = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
HIGHER: Final = b'{"revision":"x","roots":[""],"metadata":{"sequence":8}}'
DOUBLED: Final = b'{"signatures":[],' + unpack(SIGNED)[".signatures.json"][1:]
TWICE: Final = [{"name": "x", "hash": "y", "algorithm": "SHA-256"}] * 2
SPARSE: Final = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**12)}


def changed(**content: bytes | None) -> bytes:
    """Returns the signed bundle with changed files; None removes a file."""
    names = {
        "signatures": ".signatures.json",
        "manifest": ".manifest",
        "rules": "submission.rego",
        "more": "x.rego",
        "data": "data.json",
    }
    found = {**unpack(SIGNED), **{names[name]: text for name, text in content.items()}}
    return pack({name: text for name, text in found.items() if text is not None})


def with_token(*tokens: Any, **more: Any) -> bytes:
    return changed(signatures=signatures(*tokens, **more))


def token(
    key: Any = KEY,
    *,
    algorithm: str = "ES256",
    headers: dict[str, Any] | None = None,
    hashed_by: str | None = None,
    **claims: Any,
) -> str:
    """Returns a signature of the valid bundle's files, with other claims, header, key or hashes."""
    (found,) = json.loads(unpack(SIGNED)[".signatures.json"])["signatures"]
    payload = jwt.decode(found, options={"verify_signature": False}) | claims
    if hashed_by is not None:
        payload["files"] = [{**file, "algorithm": hashed_by} for file in payload["files"]]
    return jwt.encode(payload, key, algorithm, headers={"kid": "waypost"} if headers is None else headers)


def signed_with(more: Mapping[str, bytes]) -> bytes:
    """Returns the valid bundle with more or other files, all correctly signed, without checks."""
    found = {**unpack(ARCHIVE), **more}
    hashes = [{"name": name, "hash": hash_of(name, found), "algorithm": "SHA-256"} for name in sorted(found)]
    return pack({**found, ".signatures.json": signatures(token(files=hashes))})


def keyed_by_the_public_key() -> str:
    """Returns an HMAC signature keyed by the public key, which anybody can make."""
    content, _, _ = token("x" * 32, algorithm="HS256").rpartition(".")
    digest = hmac.digest(PUBLIC, content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def signatures(*tokens: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"signatures": list(tokens)} | more)


def manifest(**changes: Any) -> bytes:
    """Returns the valid bundle with a changed manifest, correctly signed."""
    found = json.loads(unpack(ARCHIVE)[".manifest"]) | changes
    return signed_with({".manifest": msgspec.json.encode(found)})


def tar(
    *entries: tuple[str, bytes],
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    pax: dict[str, str] | None = None,
) -> bytes:
    """Returns an archive of the valid bundle's files with `entries` added."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, content in unpack(SIGNED).items():
            good = tarfile.TarInfo(f"/{name}")
            good.size = len(content)
            archive.addfile(good, io.BytesIO(content))
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.linkname, entry.pax_headers = len(content), kind, link, pax or {}
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def raw(edit: Callable[[bytearray], bytes | bytearray]) -> bytes:
    """Returns the archive of the valid bundle after an edit of its tar bytes."""
    return gzip.compress(bytes(edit(bytearray(gzip.decompress(SIGNED)))))


def damaged(tar: bytearray) -> bytearray:
    """Breaks the checksum of a header in a tar archive."""
    at = tar.index(b"/submission.rego")
    tar[at + 1] ^= 1
    return tar


def many(kind: bytes) -> bytes:
    """Returns an archive of more entries of that kind than a bundle may have."""
    return tar(*((f"{number}", b"") for number in range(5_001)), kind=kind)


def headers(count: int, kind: bytes) -> bytes:
    """Returns an archive of `count` headers that only describe the next one, and no file."""
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = kind, 0 if kind == tarfile.XHDTYPE else 512
    block = entry.tobuf(tarfile.USTAR_FORMAT) + bytes(entry.size)
    return gzip.compress(block * count + bytes(1_024), 1)


class OnDemand:
    """An archive that is made when `bytes` of it are asked for: some take longer to make than to refuse."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = cache(make)

    def __bytes__(self) -> bytes:
        return self._make()


BadBundles: TypeAlias = Mapping[str, tuple[SupportsBytes, str]]
"""Bundles by their names, each with a part of the expected error."""

BOMB: Final = OnDemand(lambda: gzip.compress(bytes(CONTENT_MAXIMUM_BYTES + 1), 1))
"""An archive that becomes larger than any bundle may be."""
FORGED: Final[BadBundles] = {
    "stripped": (ARCHIVE, "it is not signed"),
    "of another key": (sign(ARCHIVE, SigningKey(key=OTHER_KEY, key_id="waypost")), "verification failed"),
    "of another name": (sign(ARCHIVE, SigningKey(key=KEY, key_id="other")), "does not name the key"),
    "without a key's name": (with_token(token(headers={})), "does not name the key"),
    "alg none": (with_token(token("", algorithm="none")), "alg"),
    "HMAC": (with_token(token("x" * 32, algorithm="HS256")), "alg"),
    "HMAC with the public key": (with_token(keyed_by_the_public_key()), "alg"),
    "no token": (with_token(), "exactly one signature"),
    "two tokens": (with_token(token(), token()), "exactly one signature"),
    "null for signatures": (changed(signatures=b'{"signatures":null}'), "has no list of signatures"),
    "an empty file of signatures": (changed(signatures=b""), "is not JSON"),
    "a token that is none": (with_token("x.y.z"), "signature is not good"),
    "a number for a token": (with_token(1), "exactly one signature, a text"),
    "a verifier of its own": (with_token(token(), plugin="x"), "more than signatures"),
    "another scope": (with_token(token(scope="write")), "for a scope"),
    "expired": (with_token(token(exp=1)), "expired"),
    "hashed by MD5": (with_token(token(hashed_by="MD5")), "was signed by its MD5"),
    "hashed by nothing": (with_token(token(hashed_by="NONE")), "was signed by its NONE"),
    "hashes that are none": (with_token(token(files=[{"name": ["x"]}])), "signature is not good"),
    "files that are none": (with_token(token(files=1)), "signature is not good"),
    "no files": (with_token(token(files=[])), "is not signed"),
    "a file named twice": (with_token(token(files=TWICE)), "names a file twice"),
    "signatures that are no JSON": (changed(signatures=b"{"), "is not JSON"),
    "signatures that are a list": (changed(signatures=b"[]"), "has no list of signatures"),
    "signatures named twice": (changed(signatures=DOUBLED), "there twice"),
    "other rules": (changed(rules=b"package waypost.submission\ndecision := 2"), "another than was signed"),
    "other data": (changed(data=b'{"tenants":{}}'), "another than was signed"),
    "an extra file": (changed(more=b"package x\ny := 1"), "x.rego is not signed"),
    "a file less": (changed(rules=None), "submission.rego was signed and is not there"),
    "another manifest": (changed(manifest=HIGHER), "another than was signed"),
    "no manifest": (changed(manifest=None), ".manifest was signed and is not there"),
}
"""The bundles that are not as they were signed, each with a part of the expected error."""
MISTAKEN: Final[BadBundles] = {
    "other roots": (manifest(roots=["waypost"]), 'the roots [""]'),
    "no roots": (manifest(roots=[]), 'the roots [""]'),
    "no revision": (manifest(revision=""), "must have a revision"),
    "no sequence": (manifest(metadata={}), "metadata.sequence"),
    "a sequence below 0": (manifest(metadata={"sequence": -1}), "a sequence from 0 on"),
    "a sequence that is no integer": (manifest(metadata={"sequence": "8"}), "metadata.sequence"),
    "a second manifest": (signed_with({"a/.manifest": HIGHER}), "one such file, at the top"),
    "a manifest of another name": (signed_with({"x.manifest": HIGHER}), "one such file, at the top"),
    "second signatures": (signed_with({"a/.signatures.json": b"{}"}), "one such file, at the top"),
    "a delta": (signed_with({"patch.json": b'{"data":[]}'}), "it must be whole"),
    "YAML": (signed_with({"data.yaml": b"y: 1"}), "must be JSON"),
}
"""The bundles that are correctly signed but must not be served."""
NO_ARCHIVES: Final[BadBundles] = {
    "nothing": (b"", "cut off"),
    "no gzip": (b"garbage", "no archive"),
    "no tar": (gzip.compress(b"garbage" * 200), "no archive"),
    "cut off": (SIGNED[:-10], "cut off"),
    "half": (SIGNED[: len(SIGNED) // 2], "cut off"),
    "a tar that is cut off": (raw(lambda tar: tar[:700]), "no archive"),
    "followed by more": (SIGNED + b"x", "something follows"),
    "followed by another archive": (SIGNED + ARCHIVE, "something follows"),
    "more files behind the end": (raw(lambda tar: tar + gzip.decompress(ARCHIVE)), "something follows"),
    "a header that is damaged": (raw(lambda tar: damaged(tar)), "damaged"),
    "..": (tar(("../etc/passwd", b"")), "no plain file"),
    ".. inside": (tar(("a/../../b", b"")), "no plain file"),
    ".. at the end": (tar(("a/..", b"")), "no plain file"),
    "an absolute path": (tar(("//etc/passwd", b"")), "no plain file"),
    "a dot": (tar(("./a.rego", b"")), "no plain file"),
    "a backslash": (tar(("a\\b", b"")), "no plain file"),
    "a line break": (tar(("a\nb", b"")), "no plain file"),
    "no name": (tar(("", b"")), "no plain file"),
    "a long name": (tar(("a" * 10_000 + "/..", b"")), "no plain file"),
    "the same twice": (tar(("a.rego", b"1"), ("/a.rego", b"2")), "a.rego is there twice"),
    "rules twice": (tar(("submission.rego", b"package x")), "submission.rego is there twice"),
    "signatures twice": (tar(("/.signatures.json", b"{}")), ".signatures.json is there twice"),
    "a link": (tar(("a.rego", b""), kind=tarfile.SYMTYPE, link="/etc/passwd"), "no plain file"),
    "a hard link": (tar(("a.rego", b""), kind=tarfile.LNKTYPE, link="submission.rego"), "no plain file"),
    "a device": (tar(("a.rego", b""), kind=tarfile.CHRTYPE), "no plain file"),
    "a pipe": (tar(("a.rego", b""), kind=tarfile.FIFOTYPE), "no plain file"),
    "a bomb": (BOMB, "becomes more than"),
    "a sparse file": (tar(("a.rego", b"1\n0\n1\n"), pax=SPARSE), "no plain file"),
    "more than may come": (bytes(ARCHIVE_MAXIMUM_BYTES + 1), "has more than"),
    "many files": (OnDemand(lambda: many(tarfile.REGTYPE)), "more than 5000 entries"),
    "many folders": (OnDemand(lambda: many(tarfile.DIRTYPE)), "more than 5000 entries"),
    "many extended headers": (OnDemand(lambda: headers(5_000, tarfile.XHDTYPE)), "no archive"),
    "many long names": (OnDemand(lambda: headers(5_000, tarfile.GNUTYPE_LONGNAME)), "no archive"),
    "many global headers": (OnDemand(lambda: headers(5_000, tarfile.XGLTYPE)), "no archive"),
    "a header of its own size": (tar(("a.rego", b"1"), pax={"size": "9" * 30}), "no archive"),
    "a header with no number": (tar(("a.rego", b"1"), pax={"mtime": "x", "size": "-1"}), ""),
}
"""The contents that are no archive of plain files."""
BAD: Final[BadBundles] = {**FORGED, **MISTAKEN, **NO_ARCHIVES}
