"""Tests what a certificate of our root must contain beside a matching name."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from loguru import logger

from tests.waypost.pki.test_authority import handshake
from waypost import tls
from waypost.pki import authority

BEIJING = tls.cluster_name("beijing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.create_root(tmp_path)
    return tmp_path


def issued(
    folder: Path, names: Sequence[x509.GeneralName], usage: Sequence[ObjectIdentifier]
) -> tls.Credentials:
    """Issues a certificate by our root that `waypost pki` would not issue."""
    root = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    root_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(root_key, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder(
        issuer_name=root.subject, subject_name=subject, public_key=key.public_key()
    )
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    builder = builder.not_valid_after(now + timedelta(hours=1)).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    )
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
    )
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    (folder / "odd.pem").write_bytes(builder.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "odd.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "odd.key").chmod(0o600)
    return tls.Credentials(certificate=folder / "odd.pem", key=folder / "odd.key", root=folder / "ca.pem")


@pytest.mark.parametrize(("usage", "good"), [([], False), ([ExtendedKeyUsageOID.CLIENT_AUTH], True)])
def test_a_client_says_that_it_is_one(folder: Path, usage: list[ObjectIdentifier], good: bool) -> None:
    """A certificate that says nothing of its purpose would do for every one, a server's for a client."""
    odd = issued(folder, [x509.UniformResourceIdentifier(tls.GATEWAY_URI)], usage)
    server, client = tls.server_context(authority.issue_cluster(folder, "beijing")), tls.client_context(odd)
    if good:
        handshake(server, client, BEIJING)
    else:
        with pytest.raises(ssl.SSLError, match="not a client's"):
            handshake(server, client, BEIJING)


@pytest.mark.parametrize(
    ("uris", "good"),
    [
        ([tls.cluster_uri("beijing")], True),
        (["spiffe://elsewhere/x"], True),
        ([], True),
        ([tls.cluster_uri("shanghai")], False),
        ([tls.GATEWAY_URI], False),
        (["spiffe://elsewhere/x", tls.cluster_uri("shanghai")], False),
    ],
)
def test_a_cluster_with_an_id_of_ours_has_that_of_its_region(
    folder: Path, uris: list[str], good: bool
) -> None:
    """A DNS name that was written into another region's certificate does not make it this one's."""
    names = [x509.DNSName(BEIJING), *map(x509.UniformResourceIdentifier, uris)]
    odd = issued(folder, names, [ExtendedKeyUsageOID.SERVER_AUTH])
    server, client = tls.server_context(odd), tls.client_context(authority.issue_gateway(folder))
    if good:
        handshake(server, client, BEIJING)
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match=f"the certificate for {BEIJING} is that of"):
            handshake(server, client, BEIJING)


@pytest.mark.parametrize(
    "host",
    ["*.clusters.waypost.internal", "beijing.clusters.waypost.internal", "beijing.Clusters.Waypost.internal"],
)
def test_the_api_gets_no_clusters_name(folder: Path, host: str) -> None:
    """Who holds the key of the public side could pass for a region to the gateway."""
    with pytest.raises(tls.PkiError, match="is a cluster's name"):
        authority.issue_api(folder, ["localhost", host])


def test_a_key_that_others_can_read_is_told(folder: Path) -> None:
    """`pki verify` calls it wrong; who starts with it should hear the same."""
    credentials = authority.issue_gateway(folder)
    told: list[str] = []
    sink = logger.add(told.append, format="{message}")
    tls.client_context(credentials)
    assert told == []
    credentials.key.chmod(0o644)
    tls.client_context(credentials)
    logger.remove(sink)
    assert told == [f"{credentials.key} can be read by others: chmod 600\n"]


def test_a_key_of_another_owner_may_be_read_by_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So Kubernetes gives the files of a Secret to a pod: they belong to root and to the pod's group."""
    key = tmp_path / "tls.key"
    key.write_text("")
    key.chmod(0o440)
    assert tls.key_permission_problems(key) != []
    monkeypatch.setattr("os.geteuid", lambda: key.stat().st_uid + 1)
    assert tls.key_permission_problems(key) == []
    key.chmod(0o444)
    assert tls.key_permission_problems(key) == [f"{key} can be read by others: chmod 600"]
