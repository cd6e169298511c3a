"""How gateway and clusters recognize each other on a connection: names, files, and TLS 1.3 contexts both of whose ends show a certificate.

The certificates come from `waypost.pki`; a process that only uses them needs nothing but this.
"""

import re
import ssl
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from loguru import logger
from msgspec import Struct

OURS: Final = "spiffe://waypost/"
GATEWAY_URI: Final = f"{OURS}gateway"
CLUSTERS: Final = ".clusters.waypost.internal"
REGION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class PkiError(Exception):
    """The certificates there are do not do for what was asked; the text names the file and what is wrong with it."""


class Credentials(Struct, frozen=True, kw_only=True):
    """What one side proves itself with, and the root by which it knows the other: PEM files."""

    certificate: Path
    key: Path
    root: Path


def cluster_name(region: str) -> str:
    """The DNS name in the certificate of `region`'s cluster, whatever address it is reached at. Raises `PkiError` for a wrong name."""
    return _checked(region) + CLUSTERS


def cluster_uri(region: str) -> str:
    """The SPIFFE id in the same certificate."""
    return f"{OURS}cluster/{_checked(region)}"


def gateway_credentials(directory: Path) -> Credentials:
    return Credentials(
        certificate=directory / "gateway.pem", key=directory / "gateway.key", root=directory / "ca.pem"
    )


def cluster_credentials(directory: Path, region: str) -> Credentials:
    stem = directory / "clusters" / _checked(region)
    return Credentials(
        certificate=stem.with_suffix(".pem"), key=stem.with_suffix(".key"), root=directory / "ca.pem"
    )


def api_credentials(directory: Path) -> Credentials:
    return Credentials(
        certificate=directory / "api.pem", key=directory / "api.key", root=directory / "ca.pem"
    )


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """For a server that takes only clients with a client certificate of our root. Raises `PkiError`.

    No session tickets: every connection proves itself anew. Who is refused learns why, and a log line tells it here.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    context.sslobject_class = _Refusing
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    return context


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """For a client that shows its certificate, and checks the server's against our root and the name it asks for. Raises `PkiError`.

    A server that is asked for by a cluster's name and carries SPIFFE ids of ours must carry that cluster's.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, credentials)
    context.sslobject_class = _Recognizing
    return context


def api_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For a server whose clients show no certificate; TLS 1.2 will do. Raises `PkiError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load_pair(context, certificate, key)
    return context


class _Recognizing(ssl.SSLObject):
    """The client's half of a handshake with a cluster."""

    def do_handshake(self) -> None:
        super().do_handshake()
        name = self.server_hostname or ""
        shown: Any = self.getpeercert() or {}
        ours = [
            value
            for kind, value in shown.get("subjectAltName", ())
            if kind == "URI" and value.startswith(OURS)
        ]
        if name.endswith(CLUSTERS) and ours and cluster_uri(name.removesuffix(CLUSTERS)) not in ours:
            raise ssl.SSLCertVerificationError(1, f"the certificate for {name} is that of {', '.join(ours)}")


class _Refusing(ssl.SSLObject):
    """The server's half of a handshake. Event loops drop a failed one without sending the alert that tells the client why: asked for
    more first, they send it, and the failure comes with what they read next.
    """

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            logger.warning("a client was refused: {}", getattr(error, "verify_message", "") or error.reason)
            raise ssl.SSLWantReadError from error
        if not _for_clients(self.getpeercert(binary_form=True) or b""):
            logger.warning("a client was refused: its certificate does not say that it is a client's")
            raise ssl.SSLError(1, "the certificate is not a client's")


def _for_clients(certificate: bytes) -> bool:
    """Does it say so? OpenSSL takes one that says nothing for every purpose."""
    try:
        usage = (
            x509.load_der_x509_certificate(certificate)
            .extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            .value
        )
    except (ValueError, x509.ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _context(protocol: int, credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    _load_pair(context, credentials.certificate, credentials.key)
    try:
        context.load_verify_locations(credentials.root)
    except OSError as error:  # SSLError is one
        raise PkiError(f"{credentials.root} cannot be used: {error.strerror or error}") from error
    return context


def exposed(key: Path) -> list[str]:
    """In words, where others than its owner can read `key`."""
    return [f"{key} can be read by others: chmod 600"] if key.stat().st_mode & 0o077 else []


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        if not path.exists():
            raise PkiError(f"{path} is missing")
    for problem in exposed(key):
        logger.warning("{}", problem)
    try:
        context.load_cert_chain(certificate, key, password="")  # never asks at the terminal
    except OSError as error:
        raise PkiError(f"{certificate} with {key} cannot be used: {error.strerror or error}") from error


def _checked(region: str) -> str:
    if not REGION.fullmatch(region):
        raise PkiError(
            f"{region!r} cannot be a region's name: lower-case letters, digits and inner dashes, at most 63"
        )
    return region
