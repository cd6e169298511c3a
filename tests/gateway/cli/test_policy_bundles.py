"""Tests `waypost policy build|sign|verify` on one release."""

from pathlib import Path
from typing import SupportsBytes

import pytest

from gateway.cli.errors import Exit
from gateway.cli.policy.bundles import build, sign_archive, verify_archive
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from tests.gateway.policy.opa.bad_bundles import BAD, NO_ARCHIVES, SEQUENCE, SIGNED
from tests.gateway.policy.opa.keys import OTHER_KEY, write_private_key, write_public_key


def test_a_bundle_is_built_signed_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step says what it has made, and what it does not take."""
    archive, revision = tmp_path / "b.tar.gz", read_bundle(SHIPPED_POLICIES, None).revision
    key, public = write_private_key(tmp_path / "key"), write_public_key(tmp_path / "public")
    assert build(SHIPPED_POLICIES, output=archive, sequence=7) == Exit.DONE
    assert verify_archive(archive, key=public) == Exit.FAILED
    assert sign_archive(archive, key=key) == Exit.DONE
    assert verify_archive(archive, key=public, newer_than=6) == Exit.DONE
    assert verify_archive(archive, key=public, newer_than=7) == Exit.FAILED
    assert verify_archive(archive, key=public, key_id="other") == Exit.FAILED
    assert verify_archive(archive, key=write_public_key(tmp_path / "other", OTHER_KEY)) == Exit.FAILED
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{archive}: revision {revision}, sequence 7, not signed",
        f"{archive}: revision {revision}, sequence 7, signed by waypost",
        f"{archive}: revision {revision}, sequence 7, signed by waypost: ok",
    ]
    assert printed.err.splitlines() == [
        f"error: {archive}: it is not signed",
        f"error: {archive}: its sequence 7 is not newer than 7",
        f"error: {archive}: its signature does not name the key 'other'",
        f"error: {archive}: its signature is not good: Signature verification failed",
    ]
    assert archive.stat().st_mode & 0o077 == 0


def test_rules_that_cannot_be_read_and_keys_that_are_none_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence, and nothing is written."""
    archive = tmp_path / "b.tar.gz"
    assert build(tmp_path, output=archive, sequence=1) == Exit.FAILED
    assert not archive.exists()
    archive.write_bytes(b"none")
    assert sign_archive(archive, key=tmp_path / "none") == Exit.USAGE
    (tmp_path / "key").write_text("none")
    assert sign_archive(archive, key=tmp_path / "key") == Exit.FAILED
    assert sign_archive(archive, key=write_private_key(tmp_path / "good")) == Exit.FAILED
    assert "there are no rules here" in (said := capsys.readouterr().err)
    assert "no private key that can be read" in said and "it is no archive" in said


@pytest.mark.parametrize(("archive", "why"), BAD.values(), ids=BAD)
def test_what_must_not_rule_is_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], archive: SupportsBytes, why: str
) -> None:
    """One line says why, and the exit code that it is so."""
    (tmp_path / "b.tar.gz").write_bytes(bytes(archive))
    code = verify_archive(tmp_path / "b.tar.gz", key=write_public_key(tmp_path / "key"))
    printed = capsys.readouterr()
    assert (code, printed.out) == (Exit.FAILED, "")
    assert why in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("archive", [one for one, _ in NO_ARCHIVES.values()], ids=NO_ARCHIVES)
def test_what_is_no_archive_is_not_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], archive: SupportsBytes
) -> None:
    """And stays as it was."""
    (tmp_path / "b.tar.gz").write_bytes(bytes(archive))
    assert sign_archive(tmp_path / "b.tar.gz", key=write_private_key(tmp_path / "key")) == Exit.FAILED
    assert (tmp_path / "b.tar.gz").read_bytes() == bytes(archive)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_older_bundle_is_not_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OPA itself takes it: who releases says what is in force."""
    (tmp_path / "b.tar.gz").write_bytes(SIGNED)
    key = write_public_key(tmp_path / "key")
    assert verify_archive(tmp_path / "b.tar.gz", key=key, newer_than=SEQUENCE - 1) == Exit.DONE
    assert verify_archive(tmp_path / "b.tar.gz", key=key, newer_than=SEQUENCE) == Exit.FAILED
    assert f"its sequence {SEQUENCE} is not newer than {SEQUENCE}" in capsys.readouterr().err
