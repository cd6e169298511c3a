"""Tests the certificates by which gateway and clusters authenticate each other."""

import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from waypost import tls
from waypost.pki import authority


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.create_root(tmp_path)
    return tmp_path


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Performs a TLS handshake of both ends in memory.

    In TLS 1.3 a server refuses after the client believes to be done: so one byte is carried too.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    )
    for _ in range(4):
        for end in reversed(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    ends[0].write(b"1")
    assert ends[1].read(1) == b"1"


def test_gateway_and_cluster_of_one_root_meet(folder: Path) -> None:
    """The purpose of it all; and never below TLS 1.3."""
    server, client = (
        tls.server_context(authority.issue_cluster(folder, "beijing")),
        tls.client_context(authority.issue_gateway(folder)),
    )

    handshake(server, client, tls.cluster_name("beijing"))

    assert (server.minimum_version, client.minimum_version) == (
        ssl.TLSVersion.TLSv1_3,
        ssl.TLSVersion.TLSv1_3,
    )


def test_a_client_must_show_a_certificate(folder: Path) -> None:
    """Each time: no ticket of an earlier connection stands in for it."""
    server = tls.server_context(authority.issue_cluster(folder, "beijing"))
    client = ssl.create_default_context(cafile=folder / "ca.pem")

    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        handshake(server, client, tls.cluster_name("beijing"))
    assert server.num_tickets == 0


def test_a_region_cannot_pass_for_another(folder: Path) -> None:
    """One stolen region's key must not take over the work of the others."""
    server, client = (
        tls.server_context(authority.issue_cluster(folder, "beijing")),
        tls.client_context(authority.issue_gateway(folder)),
    )

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client, tls.cluster_name("shanghai"))


def test_a_clusters_certificate_is_no_clients(folder: Path) -> None:
    """A cluster must not be able to command another one."""
    credentials = authority.issue_cluster(folder, "beijing")

    with pytest.raises(ssl.SSLError, match=r"(?i)purpose"):
        handshake(
            tls.server_context(credentials), tls.client_context(credentials), tls.cluster_name("beijing")
        )


def test_a_gateways_certificate_is_no_servers(folder: Path) -> None:
    """Who steals a gateway's key cannot pose as a region."""
    credentials = authority.issue_gateway(folder)

    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)purpose"):
        handshake(
            tls.server_context(credentials), tls.client_context(credentials), tls.cluster_name("beijing")
        )


def test_another_roots_certificates_are_strangers(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Same names, another root: refused by either side."""
    other = tmp_path_factory.mktemp("other")
    authority.create_root(other)

    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(
            tls.server_context(authority.issue_cluster(folder, "beijing")),
            tls.client_context(authority.issue_gateway(other)),
            tls.cluster_name("beijing"),
        )


def test_the_certificates_say_what_they_are_for(folder: Path) -> None:
    """One usage each, the SAN as documented, and a root that signs no other authority."""
    gateway, cluster = (
        loaded(authority.issue_gateway(folder).certificate),
        loaded(authority.issue_cluster(folder, "beijing").certificate),
    )
    root = loaded(folder / "ca.pem").extensions.get_extension_for_class(x509.BasicConstraints).value

    assert list(gateway.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert list(cluster.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    names = gateway.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://waypost/gateway"]
    names = cluster.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://waypost/cluster/beijing"]
    assert names.get_values_for_type(x509.DNSName) == ["beijing.clusters.waypost.internal"]
    assert (root.ca, root.path_length) == (True, 0)


def test_keys_are_their_owners_alone(folder: Path) -> None:
    """Whoever reads a key is whom it names."""
    authority.issue_gateway(folder)
    authority.issue_cluster(folder, "beijing")

    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.key")}


def test_a_root_is_never_overwritten(folder: Path) -> None:
    """Every certificate of the deployment would be void at once."""
    before = (folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes()

    with pytest.raises(tls.PkiError, match="never overwritten"):
        authority.create_root(folder)
    (folder / "ca.key").unlink()
    with pytest.raises(tls.PkiError, match="never overwritten"):
        authority.create_root(folder)

    assert before[0] == (folder / "ca.pem").read_bytes()
    assert not (folder / "ca.key").exists()


def test_issuing_again_changes_nothing(folder: Path) -> None:
    """So that a start can always ask for what it needs."""
    credentials = authority.issue_gateway(folder)
    before = credentials.certificate.read_bytes()

    assert credentials == authority.issue_gateway(folder)
    assert before == credentials.certificate.read_bytes()


def test_a_certificate_near_its_end_is_issued_anew(folder: Path) -> None:
    """Below a third of its life: early enough to be carried to where it is used."""
    old = loaded(authority.issue_gateway(folder, days=0).certificate)

    new = loaded(authority.issue_gateway(folder).certificate)

    assert old.serial_number != new.serial_number
    assert new.not_valid_after_utc > datetime.now(UTC) + timedelta(days=89)


def test_many_issuers_at_once_leave_one_good_pair(folder: Path) -> None:
    """Three clusters and a gateway that start together ask together."""
    threads = [threading.Thread(target=authority.issue_cluster, args=(folder, "beijing")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert authority.verify(folder) == []


def test_what_is_wrong_is_said_in_words(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An operator reads this, not an OpenSSL code."""
    other = tmp_path_factory.mktemp("other")
    authority.create_root(other)
    for region in ("beijing", "shanghai", "shenzhen"):
        authority.issue_cluster(folder, region)
    authority.issue_gateway(folder)
    (folder / "clusters/beijing.key").write_bytes((folder / "clusters/shanghai.key").read_bytes())
    (folder / "clusters/shanghai.pem").write_bytes(
        authority.issue_cluster(other, "shanghai").certificate.read_bytes()
    )
    (folder / "clusters/shenzhen.key").chmod(0o644)
    (folder / "gateway.pem").write_text("nonsense")

    assert [
        f"{folder}/gateway.pem is not a PEM certificate",
        f"{folder}/clusters/beijing.key is not the key of {folder}/clusters/beijing.pem",
        f"{folder}/clusters/shanghai.pem was not issued by {folder}/ca.pem",
        f"{folder}/clusters/shenzhen.key can be read by others: chmod 600",
    ] == authority.verify(folder)


def test_an_expired_certificate_is_named(folder: Path) -> None:
    """With its day, since that is what is asked next."""
    authority.issue_gateway(folder)

    problems = authority.verify(folder, now=datetime.now(UTC) + timedelta(days=91))

    assert len(problems) == 1
    assert "gateway.pem expired on 20" in problems[0]


def test_a_certificate_under_another_regions_name_is_wrong(folder: Path) -> None:
    """A mix-up of files is found before a region refuses to be reached."""
    authority.issue_cluster(folder, "beijing")
    for suffix in ("pem", "key"):
        (folder / f"clusters/shanghai.{suffix}").write_bytes(
            (folder / f"clusters/beijing.{suffix}").read_bytes()
        )
    (folder / "clusters/shanghai.key").chmod(0o600)

    assert [
        f"{folder}/clusters/shanghai.pem is not a certificate of Waypost cluster shanghai"
    ] == authority.verify(folder)


def test_a_machine_need_not_hold_the_roots_key(folder: Path) -> None:
    """A region gets its own pair and the root's certificate; there nothing is wrong, but nothing can be
    issued either.
    """
    authority.issue_cluster(folder, "beijing")
    (folder / "ca.key").unlink()

    assert authority.verify(folder) == []
    with pytest.raises(tls.PkiError, match="root's key"):
        authority.issue_cluster(folder, "beijing")


@pytest.mark.parametrize("region", ["", "../beijing", "Beijing", "a" * 64, "a b", "-a", "beijing\n"])
def test_an_impossible_region_gets_no_certificate(folder: Path, region: str) -> None:
    """A name becomes part of a path and of a DNS name."""
    with pytest.raises(tls.PkiError, match="cannot be a region's name"):
        authority.issue_cluster(folder, region)


def test_the_apis_certificate_names_hosts_and_addresses(folder: Path) -> None:
    """And other hosts the next time it is asked for."""
    first = authority.issue_api(folder, ["localhost", "127.0.0.1"]).certificate.read_bytes()

    names = loaded(
        authority.issue_api(folder, ["waypost.example"]).certificate
    ).extensions.get_extension_for_class(x509.SubjectAlternativeName)

    assert first != (folder / "api.pem").read_bytes()
    assert names.value.get_values_for_type(x509.DNSName) == ["waypost.example"]
    with pytest.raises(tls.PkiError, match="neither"):
        authority.issue_api(folder, ["not a host"])


def test_a_missing_file_is_named(folder: Path) -> None:
    """Before any connection is tried."""
    with pytest.raises(tls.PkiError, match=r"gateway\.pem is missing"):
        tls.client_context(tls.gateway_credentials(folder))


def test_every_fault_is_told_at_once(folder: Path) -> None:
    """All faults at once, also behind a fault of the root, if it can be read at all."""
    authority.issue_gateway(folder)
    beijing = authority.issue_cluster(folder, "beijing")
    (folder / "ca.key").chmod(0o644)
    (folder / "gateway.key").unlink()
    beijing.certificate.write_text("none")
    beijing.key.write_text("none")
    assert authority.verify(folder) == [
        f"{folder}/ca.key can be read by others: chmod 600",
        f"{folder}/gateway.key cannot be read: No such file or directory",
        f"{beijing.certificate} is not a PEM certificate",
        f"{beijing.key} is not a PEM key",
    ]
