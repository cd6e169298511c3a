"""One root per deployment, and the certificates by which gateway and clusters know each other.

A gateway proves itself as a client only, a cluster as a server only: neither certificate can stand in for the other. Names are in the
SAN: `spiffe://waypost/gateway`, and for a cluster `spiffe://waypost/cluster/<region>` with the DNS name that clients pin. Keys are EC
P-256, readable by their owner alone; files are replaced whole. The root signs no further authorities (path length 0) and carries no name
constraints: it is trusted by our own processes only, which compare the SAN themselves.

    ca.pem  ca.key  gateway.pem  gateway.key  api.pem  api.key  clusters/<region>.pem  clusters/<region>.key
"""

import fcntl
import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Sequence
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
from waypost.tls import Credentials, PkiError

__all__ = ["Credentials", "PkiError", "create_root", "issue_api", "issue_cluster", "issue_gateway", "verify"]

ROOT_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 90
RENEWED_BELOW: Final = 1 / 3
"""A certificate with less than this part of its life left is issued anew."""
SKEW: Final = timedelta(minutes=5)
"""Valid from a little before now: the clocks of two machines differ."""
DNS_NAME: Final = re.compile(r"(\*\.)?[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_EXISTS: Final = "{} exists: a root is never overwritten; remove the folder to start over"


class _Role(Struct, frozen=True, kw_only=True):
    """What a certificate is for."""

    name: str
    usage: x509.ObjectIdentifier
    names: tuple[x509.GeneralName, ...]


def create_root(directory: Path, *, days: int = ROOT_DAYS) -> None:
    """Makes the root. Raises `PkiError` where there is one, or half of one: a root is never overwritten."""
    directory.mkdir(parents=True, exist_ok=True)
    files = (directory / "ca.key", directory / "ca.pem")
    for path in files:
        if path.exists():
            raise PkiError(_EXISTS.format(path))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Waypost root")])
    usage = _key_usage(signs_certificates=True)
    builder = _builder(name, name, key, key, days).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    for path, content, mode in zip(
        files, (_key_pem(key), certificate.public_bytes(Encoding.PEM)), (0o600, 0o644), strict=True
    ):
        with _written(path, content, mode) as temporary:
            try:
                os.link(temporary, path)  # unlike a rename, fails where somebody was quicker
            except FileExistsError:
                raise PkiError(_EXISTS.format(path)) from None


def issue_gateway(directory: Path, *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """The gateway's client certificate; issued only where the one there is not good, or near its end."""
    return _issue(directory, tls.gateway_credentials(directory), _gateway_role(), days)


def issue_cluster(directory: Path, region: str, *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """The server certificate of `region`'s cluster; issued only where the one there is not good, or near its end."""
    return _issue(directory, tls.cluster_credentials(directory, region), _cluster_role(region), days)


def issue_api(directory: Path, hosts: Sequence[str], *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """A server certificate for the gateway's API under the DNS names and IP addresses `hosts`, at least one."""
    names = tuple(_host(host) for host in hosts)
    if not names:
        raise PkiError("a certificate for the API needs the names or addresses that it is called by")
    role = _Role(name="Waypost API", usage=ExtendedKeyUsageOID.SERVER_AUTH, names=names)
    return _issue(directory, tls.api_credentials(directory), role, days)


def verify(directory: Path, *, now: datetime | None = None) -> list[str]:
    """All that is wrong with the folder's certificates, in words; nothing where all is well.

    What is absent is not wrong, but for the root's certificate: a machine holds only what it needs. Without that one nothing can be told.
    """
    now = now or datetime.now(UTC)
    found = _root_problems(directory, now)
    if _unreadable(_certificate, directory / "ca.pem"):
        return found
    if (directory / "ca.key").exists():
        found += _signing_problems(directory)
    for credentials, role in _issued(directory):
        if credentials.certificate.exists() or credentials.key.exists():
            found += _problems(directory, credentials, role, now)
    return found


def _issue(directory: Path, credentials: Credentials, role: _Role, days: int) -> Credentials:
    now = datetime.now(UTC)
    if found := _root_problems(directory, now) or _signing_problems(directory):
        raise PkiError(found[0])
    with _locked(directory / "ca.key"):
        if not _problems(directory, credentials, role, now) and not _near_end(
            _certificate(credentials.certificate), now
        ):
            return credentials
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(_certificate(directory / "ca.pem"), _key(directory / "ca.key"), key, role, days)
        credentials.certificate.parent.mkdir(exist_ok=True)
        pem = certificate.public_bytes(Encoding.PEM)
        for path, content, mode in (
            (credentials.key, _key_pem(key), 0o600),
            (credentials.certificate, pem, 0o644),
        ):
            with _written(path, content, mode) as temporary:
                temporary.replace(path)
        return credentials


def _signed(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    role: _Role,
    days: int,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, role.name)])
    return (
        _builder(subject, root.subject, key, root_key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([role.usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(role.names), critical=False)
        .sign(root_key, hashes.SHA256())
    )


def _root_problems(directory: Path, now: datetime) -> list[str]:
    path = directory / "ca.pem"
    if not path.exists():
        return [f"{path} is missing: create a root first"]
    return _unreadable(_certificate, path) or _out_of_date(path, _certificate(path), now)


def _signing_problems(directory: Path) -> list[str]:
    path = directory / "ca.key"
    if not path.exists():
        return [f"{path} is missing: certificates are issued where the root's key is"]
    if unreadable := _unreadable(_key, path):
        return unreadable
    fits = _key(path).public_key() == _certificate(directory / "ca.pem").public_key()
    return tls.exposed(path) + ([] if fits else [f"{path} is not the key of {directory / 'ca.pem'}"])


def _problems(directory: Path, credentials: Credentials, role: _Role, now: datetime) -> list[str]:
    path = credentials.certificate
    if unreadable := _unreadable(_certificate, path) + _unreadable(_key, credentials.key):
        return unreadable
    certificate, key = _certificate(path), _key(credentials.key)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(_certificate(directory / "ca.pem"))
    except x509.ExtensionNotFound:
        return [f"{path} does not say what it is for"]
    except (InvalidSignature, ValueError):
        return [f"{path} was not issued by {directory / 'ca.pem'}"]
    fits = certificate.public_key() == key.public_key()
    found = tls.exposed(credentials.key) + ([] if fits else [f"{credentials.key} is not the key of {path}"])
    if list(usage) != [role.usage] or (role.names and set(names) != set(role.names)):
        found.append(f"{path} is not a certificate of {role.name}")
    return found + _out_of_date(path, certificate, now)


def _unreadable(read: Callable[[Path], object], path: Path) -> list[str]:
    try:
        read(path)
    except PkiError as error:
        return [str(error)]
    return []


def _out_of_date(path: Path, certificate: x509.Certificate, now: datetime) -> list[str]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= now:
        return [f"{path} expired on {ends:%Y-%m-%d %H:%M} UTC"]
    return [f"{path} is not valid before {begins:%Y-%m-%d %H:%M} UTC"] if begins > now else []


def _issued(directory: Path) -> Iterator[tuple[Credentials, _Role]]:
    yield tls.gateway_credentials(directory), _gateway_role()
    yield (
        tls.api_credentials(directory),
        _Role(name="Waypost API", usage=ExtendedKeyUsageOID.SERVER_AUTH, names=()),
    )
    for region in sorted(
        {path.stem for path in (directory / "clusters").glob("*.*") if tls.REGION.fullmatch(path.stem)}
    ):
        yield tls.cluster_credentials(directory, region), _cluster_role(region)


def _gateway_role() -> _Role:
    names = (x509.UniformResourceIdentifier(tls.GATEWAY_URI),)
    return _Role(name="Waypost gateway", usage=ExtendedKeyUsageOID.CLIENT_AUTH, names=names)


def _cluster_role(region: str) -> _Role:
    names = (x509.DNSName(tls.cluster_name(region)), x509.UniformResourceIdentifier(tls.cluster_uri(region)))
    return _Role(name=f"Waypost cluster {region}"[:64], usage=ExtendedKeyUsageOID.SERVER_AUTH, names=names)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
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


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not DNS_NAME.fullmatch(host):
        raise PkiError(f"{host!r} is neither a DNS name nor an IP address")
    if host.lower().endswith(tls.CLUSTERS):
        raise PkiError(f"{host!r} is a cluster's name: the API could pass for that cluster")
    return x509.DNSName(host)


def _near_end(certificate: x509.Certificate, now: datetime) -> bool:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < life * RENEWED_BELOW


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PkiError(f"{path} is not a PEM certificate") from error


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise PkiError(f"{path} is not a PEM key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} is not a key of an elliptic curve")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _written(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A durable file beside `path` with `content`, to be renamed or linked there; gone afterwards."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One issuer at a time: two would leave the key of one beside the certificate of the other."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
