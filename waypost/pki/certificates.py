"""Creates, signs, reads and writes the X.509 certificates of a deployment, as PEM files.

Keys are EC P-256. A gateway's certificate is for TLS clients only and a cluster's for TLS servers only, so
neither can stand in for the other. The root signs no further authorities (path length 0) and carries no name
constraints: it is trusted by Waypost's own processes only, and those compare the SAN themselves.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from waypost import tls
from waypost.tls import PkiError

SKEW: Final = timedelta(minutes=5)
"""How long before its issue a certificate is already valid, since the clocks of two machines differ."""
DNS_NAME: Final = re.compile(r"(\*\.)?[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


class CertificateProfile(Struct, frozen=True, kw_only=True):
    """The contents of one kind of certificate: common name, extended key usage and SAN entries."""

    name: str
    usage: x509.ObjectIdentifier
    names: tuple[x509.GeneralName, ...]


def gateway_profile() -> CertificateProfile:
    """Returns the profile of the gateway's client certificate."""
    names = (x509.UniformResourceIdentifier(tls.GATEWAY_URI),)
    return CertificateProfile(name="Waypost gateway", usage=ExtendedKeyUsageOID.CLIENT_AUTH, names=names)


def cluster_profile(region: str) -> CertificateProfile:
    """Returns the profile of the server certificate of `region`'s cluster.

    Raises `PkiError` for a name that cannot be a region's.
    """
    names = (x509.DNSName(tls.cluster_name(region)), x509.UniformResourceIdentifier(tls.cluster_uri(region)))
    common_name = f"Waypost cluster {region}"[:64]  # X.520 allows 64 characters
    return CertificateProfile(name=common_name, usage=ExtendedKeyUsageOID.SERVER_AUTH, names=names)


def api_profile(hosts: Sequence[str]) -> CertificateProfile:
    """Returns the profile of the server certificate of the gateway's API.

    `hosts` are its DNS names and IP addresses. Raises `PkiError` for one that is neither, or is a cluster's.
    """
    names = tuple(_host_name(host) for host in hosts)
    return CertificateProfile(name="Waypost API", usage=ExtendedKeyUsageOID.SERVER_AUTH, names=names)


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not DNS_NAME.fullmatch(host):
        raise PkiError(f"{host!r} is neither a DNS name nor an IP address")
    if host.lower().endswith(tls.CLUSTERS):
        raise PkiError(f"{host!r} is a cluster's name: the API could pass for that cluster")
    return x509.DNSName(host)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Generates a random P-256 private key."""
    return ec.generate_private_key(ec.SECP256R1())


def self_signed_root(key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.Certificate:
    """Creates a self-signed root certificate for `key`, valid for `days`."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Waypost root")])
    return (
        _builder(name, name, key, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def signed(
    profile: CertificateProfile,
    key: ec.EllipticCurvePrivateKey,
    *,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    days: float,
) -> x509.Certificate:
    """Creates a certificate of `profile` for `key`, signed by the root, valid for `days`."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, profile.name)])
    return (
        _builder(subject, root.subject, key, root_key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([profile.usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(profile.names), critical=False)
        .sign(root_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: float,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(key_id, critical=False)
        .add_extension(issuer_key_id, critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def read_certificate(path: Path) -> x509.Certificate:
    """Reads the first PEM certificate in the file `path`.

    Raises `PkiError` where the file cannot be read or holds no such certificate.
    """
    return read_certificates(path)[0]


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Reads all PEM certificates in the file `path`, at least one, in their order.

    Raises `PkiError` where the file cannot be read or holds no such certificate.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PkiError(f"{path} is not a PEM certificate") from error


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Reads the unencrypted PEM private key in the file `path`.

    Raises `PkiError` where the file cannot be read or holds no such key, and for a key that is not on an
    elliptic curve.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise PkiError(f"{path} is not a PEM key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} is not a key of an elliptic curve")
    return key


def is_issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Returns whether `root` itself signed the certificate."""
    try:
        certificate.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError):
        return False
    return True


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Returns the PEM text of a certificate."""
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Returns the unencrypted PEM text (PKCS 8) of a private key."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def replace_file(path: Path, content: bytes) -> None:
    """Replaces the file `path` as a whole; only its owner may read the new one."""
    with temporary_file(path, content) as temporary:
        temporary.replace(path)


@contextmanager
def temporary_file(path: Path, content: bytes) -> Iterator[Path]:
    """Writes `content` to a temporary file beside `path`, synced to disk; deletes the file on exit.

    To be used in `with`: the caller renames or links the file to `path` inside the block. Only its owner may
    read the file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
