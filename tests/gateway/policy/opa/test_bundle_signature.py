"""Signatures of bundles: as OPA makes and verifies them, and stricter where it lets things pass."""

import gzip
import io
import json
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec import structs

from gateway.policy.opa.bundle_archive import (
    CONTENT_MAXIMUM_BYTES,
    ArchiveError,
    manifest_of,
    pack,
    pack_bundle,
    unpack,
)
from gateway.policy.opa.bundle_signature import (
    BundleKeyError,
    SigningKey,
    read_signing_key,
    read_verification_key,
    sign,
    verify,
)
from tests.gateway.policy.opa.keys import (
    KEY,
    OTHER_KEY,
    SIGNS,
    VERIFIES,
    write_private_key,
    write_public_key,
)
from tests.opa_fixture import OPA, bundle_of, needs_opa

ODD_DATA = (
    '{"n": [1, 1.0, 1.50, 1E5, 1e+2, -0.0, 123456789012345678901234567890], "\u00e9": 1, "Z": {},'
    '"\U00010000": [], "a<b>&": "x\u2028y\u2029\u96ea\U0001f409\\"\\\\/\\u0001\\b\\t\u007f"}'
)
PLAIN = bundle_of("decision := 1")
ODD = structs.replace(PLAIN, source=structs.replace(PLAIN.source, data=ODD_DATA))
ARCHIVE = pack_bundle(ODD, sequence=7)
SIGNED = sign(ARCHIVE, SIGNS)

BUILD = "build -b b.tar.gz -o o --verification-key key.pem --verification-key-id waypost --signing-alg ES256"
SIGN = "sign --signing-alg ES256 --signing-key ../key.pem --claims-file ../claims.json --bundle ."


def changed(**content: bytes | None) -> bytes:
    """The signed bundle with other files; None takes one away."""
    names = {
        "signatures": ".signatures.json",
        "manifest": ".manifest",
        "rules": "submission.rego",
        "more": "x.rego",
    }
    found = {**unpack(SIGNED), **{names[name]: text for name, text in content.items()}}
    return pack({name: text for name, text in found.items() if text is not None})


def with_token(*tokens: Any) -> bytes:
    return changed(signatures=msgspec.json.encode({"signatures": list(tokens)}))


def token(key: Any = KEY, *, algorithm: str = "ES256", headers: dict[str, Any] | None = None) -> str:
    (found,) = json.loads(unpack(SIGNED)[".signatures.json"])["signatures"]
    payload = jwt.decode(found, options={"verify_signature": False})
    return jwt.encode(payload, key, algorithm, headers={"kid": "waypost"} if headers is None else headers)


def test_a_signed_bundle_is_what_was_built() -> None:
    """The signature is one file more."""
    manifest = verify(SIGNED, VERIFIES)
    assert (manifest.revision, manifest.sequence) == (ODD.revision, 7)
    assert unpack(SIGNED).keys() - unpack(ARCHIVE).keys() == {".signatures.json"}
    assert sign(SIGNED, SIGNS) != SIGNED or unpack(sign(SIGNED, SIGNS)).keys() == unpack(SIGNED).keys()
    assert verify(sign(SIGNED, SIGNS), VERIFIES) == manifest


FORGED: dict[str, bytes] = {
    "stripped": ARCHIVE,
    "of another key": sign(ARCHIVE, SigningKey(key=OTHER_KEY, key_id="waypost")),
    "of another name": sign(ARCHIVE, SigningKey(key=KEY, key_id="other")),
    "without a key's name": with_token(token(headers={})),
    "unsigned token": with_token(token("", algorithm="none")),
    "HMAC": with_token(token("x" * 32, algorithm="HS256")),
    "no token": with_token(),
    "two tokens": with_token(token(), token()),
    "a token that is none": with_token("x.y.z"),
    "a number for a token": with_token(1),
    "signatures that are no JSON": changed(signatures=b"{"),
    "signatures that are a list": changed(signatures=b"[]"),
    "other rules": changed(rules=b"package waypost.submission\ndecision := 2"),
    "an extra file": changed(more=b"package x\ny := 1"),
    "a file less": changed(rules=None),
    "another manifest": changed(manifest=b'{"revision":"x","roots":[""],"metadata":{"sequence":8}}'),
}


@pytest.mark.parametrize("archive", FORGED.values(), ids=FORGED)
def test_what_was_not_signed_so_is_refused(archive: bytes) -> None:
    """Each file, by the one key, under its name."""
    with pytest.raises(ArchiveError):
        verify(archive, VERIFIES)


def tar(*entries: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.linkname = len(content), kind, link
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


BAD_ARCHIVES: dict[str, bytes] = {
    "nothing": b"",
    "no gzip": b"garbage",
    "no tar": gzip.compress(b"garbage" * 200),
    "cut off": SIGNED[:-10],
    "followed by more": SIGNED + b"x",
    "a second archive behind it": SIGNED + ARCHIVE,
    "..": tar(("../etc/passwd", b"")),
    ".. inside": tar(("a/../../b", b"")),
    ".. at the end": tar(("a/..", b"")),
    "a dot": tar(("./a.rego", b"")),
    "a backslash": tar(("a\\b", b"")),
    "a line break": tar(("a\nb", b"")),
    "the same twice": tar(("a.rego", b"1"), ("/a.rego", b"2")),
    "a link": tar(("a.rego", b""), kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "a hard link": tar(("a.rego", b""), kind=tarfile.LNKTYPE, link="b"),
    "a device": tar(("a.rego", b""), kind=tarfile.CHRTYPE),
    "a bomb": gzip.compress(bytes(CONTENT_MAXIMUM_BYTES + 1)),
    "many files": tar(*((f"{number}", b"") for number in range(5_001))),
}


@pytest.mark.parametrize("archive", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_what_is_no_plain_archive_is_refused(archive: bytes) -> None:
    """OPA would read some of these; nobody who builds a bundle makes them."""
    with pytest.raises(ArchiveError):
        unpack(archive)


@pytest.mark.parametrize(
    "manifest",
    [
        *(b"{", b"[]", b"{}", b'{"revision":"","roots":[""],"metadata":{"sequence":1}}'),
        b'{"revision":"x","roots":["other"],"metadata":{"sequence":1}}',
        b'{"revision":"x","roots":[""],"metadata":{"sequence":-1}}',
        b'{"revision":"x","roots":[""],"metadata":{"sequence":"1"}}',
        b'{"revision":"x","revision":"y","roots":[""],"metadata":{"sequence":1}}',
        b'{"revision":"x","roots":[""]}',
    ],
)
def test_a_bundle_says_which_it_is_and_owns_everything(manifest: bytes) -> None:
    """Without a sequence an older one could not be known."""
    with pytest.raises(ArchiveError):
        manifest_of({".manifest": manifest})


@needs_opa
def test_opa_verifies_what_is_signed_here(tmp_path: Path) -> None:
    """Its hashes of odd JSON are ours; with another key it refuses."""
    assert OPA is not None
    (tmp_path / "b.tar.gz").write_bytes(SIGNED)
    for key, code in ((KEY, 0), (OTHER_KEY, 1)):
        write_public_key(tmp_path / "key.pem", key)
        done = subprocess.run(
            shlex.split(f"{OPA} {BUILD}"), cwd=tmp_path, capture_output=True, text=True, check=False, env={}
        )
        assert done.returncode == code, done.stderr


@needs_opa
def test_what_opa_has_signed_is_verified_here(tmp_path: Path) -> None:
    """Who has OPA's own tools needs none of ours."""
    assert OPA is not None
    (tmp_path / "bundle").mkdir()
    for name, content in unpack(ARCHIVE).items():
        (tmp_path / "bundle" / name).write_bytes(content)
    write_private_key(tmp_path / "key.pem")
    (tmp_path / "claims.json").write_text('{"keyid": "waypost"}')
    subprocess.run(shlex.split(f"{OPA} {SIGN}"), cwd=tmp_path / "bundle", check=True, env={})
    files = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    assert verify(pack(files), VERIFIES).sequence == 7


def test_keys_of_another_kind_are_named(tmp_path: Path) -> None:
    """A key that OPA would not verify with is no use."""
    rsa_key, p384 = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())
    for key in (rsa_key, p384):
        with pytest.raises(BundleKeyError, match=r"P-256"):
            read_signing_key(write_private_key(tmp_path / "key", key), "waypost")
        with pytest.raises(BundleKeyError, match=r"P-256"):
            read_verification_key(write_public_key(tmp_path / "key", key), "waypost")
    (tmp_path / "key").write_text("none")
    with pytest.raises(BundleKeyError, match="no private key that can be read"):
        read_signing_key(tmp_path / "key", "waypost")
    with pytest.raises(BundleKeyError, match="no public key that can be read"):
        read_verification_key(write_private_key(tmp_path / "key"), "waypost")
