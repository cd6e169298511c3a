"""Tests signatures of bundles: compatible with OPA's, and stricter in what they accept."""

import shlex
import subprocess
from pathlib import Path
from typing import SupportsBytes

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.policy.opa.bundle_archive import ArchiveError, pack, unpack
from gateway.policy.opa.bundle_signature import (
    BundleKeyError,
    read_signing_key,
    read_verification_key,
    sign,
    verify,
)
from tests.gateway.policy.opa.bad_bundles import (
    ARCHIVE,
    BAD,
    FORGED,
    MISTAKEN,
    NO_ARCHIVES,
    ODD,
    SIGNED,
)
from tests.gateway.policy.opa.keys import (
    KEY,
    OTHER_KEY,
    SIGNS,
    VERIFIES,
    write_private_key,
    write_public_key,
)
from tests.opa_fixture import OPA, needs_opa

BUILD = "build -b b.tar.gz -o o --verification-key key.pem --verification-key-id waypost --signing-alg ES256"
SIGN = "sign --signing-alg ES256 --signing-key ../key.pem --claims-file ../claims.json --bundle ."


def test_a_signed_bundle_is_what_was_built() -> None:
    """The signature is one file more."""
    manifest = verify(SIGNED, VERIFIES)
    assert (manifest.revision, manifest.sequence) == (ODD.revision, 7)
    assert unpack(SIGNED).keys() - unpack(ARCHIVE).keys() == {".signatures.json"}
    assert sign(SIGNED, SIGNS) != SIGNED or unpack(sign(SIGNED, SIGNS)).keys() == unpack(SIGNED).keys()
    assert verify(sign(SIGNED, SIGNS), VERIFIES) == manifest


@pytest.mark.parametrize(("archive", "why"), BAD.values(), ids=BAD)
def test_what_must_not_rule_is_refused_and_says_why(archive: SupportsBytes, why: str) -> None:
    """Each file, by the one key, under its name. OPA would take some of these."""
    with pytest.raises(ArchiveError) as refused:
        verify(bytes(archive), VERIFIES)
    assert why in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(("archive", "why"), NO_ARCHIVES.values(), ids=NO_ARCHIVES)
def test_what_is_no_plain_archive_is_none_unsigned_either(archive: SupportsBytes, why: str) -> None:
    """In development bundles need no signature."""
    with pytest.raises(ArchiveError):
        unpack(bytes(archive))


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


OPA_TAKES = {
    *("of another name", "without a key's name", "expired", "signatures named twice"),
    *("no revision", "no sequence", "a sequence below 0", "a sequence that is no integer", "a delta"),
}
"""The bad bundles that OPA accepts although it verifies signatures."""


@needs_opa
def test_what_opa_refuses_is_refused_here(tmp_path: Path) -> None:
    """Else a gateway would serve, and count as active, what its OPA does not take."""
    write_public_key(tmp_path / "key.pem")
    taken = set()
    for name, (archive, _) in {**FORGED, **MISTAKEN}.items():
        (tmp_path / "b.tar.gz").write_bytes(bytes(archive))
        done = subprocess.run(
            shlex.split(f"{OPA} {BUILD}"), cwd=tmp_path, capture_output=True, check=False, env={}
        )
        if done.returncode == 0:
            taken.add(name)
    assert taken == OPA_TAKES
