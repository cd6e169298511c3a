"""Mutual TLS between gateway and clusters: TLS contexts, the names in certificates, the PEM files.

The certificates come from `waypost.pki`; a process that only uses them needs nothing but this module.
"""

import os
import re
import ssl
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from loguru import logger
from msgspec import Struct

SPIFFE_ROOT: Final = "spiffe://waypost/"
GATEWAY_URI: Final = f"{SPIFFE_ROOT}gateway"
CLUSTERS: Final = ".clusters.waypost.internal"
REGION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class PkiError(Exception):
    """Raised for a certificate, key or name that cannot be used; the text names the file and the fault."""


class Credentials(Struct, frozen=True, kw_only=True):
    """The paths of the PEM files of one end of a TLS connection: certificate, key, trusted root."""

    certificate: Path
    key: Path
    root: Path


def cluster_name(region: str) -> str:
    """Returns the DNS name in the certificate of `region`'s cluster, independent of its address.

    Raises `PkiError` for a name that cannot be a region's.
    """
    return _valid_region(region) + CLUSTERS


def cluster_uri(region: str) -> str:
    """Returns the SPIFFE id in the certificate of `region`'s cluster."""
    return f"{SPIFFE_ROOT}cluster/{_valid_region(region)}"


def gateway_credentials(directory: Path) -> Credentials:
    return Credentials(
        certificate=directory / "gateway.pem", key=directory / "gateway.key", root=directory / "ca.pem"
    )


def cluster_credentials(directory: Path, region: str) -> Credentials:
    stem = directory / "clusters" / _valid_region(region)
    return Credentials(
        certificate=stem.with_suffix(".pem"), key=stem.with_suffix(".key"), root=directory / "ca.pem"
    )


def api_credentials(directory: Path) -> Credentials:
    return Credentials(
        certificate=directory / "api.pem", key=directory / "api.key", root=directory / "ca.pem"
    )


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Returns a TLS server context (`ssl.SSLContext`) that accepts only clients certified by our root.

    The client's certificate must be one for TLS clients. The context issues no session tickets, so that every
    connection shows its certificate. A refused client gets the alert that says why, and the reason is logged
    here. Raises `PkiError` where one of the PEM files cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    context.sslobject_class = _ServerSide
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    return context


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Returns a TLS client context (`ssl.SSLContext`) that shows a certificate and verifies the server's.

    The server's certificate must be issued under our root, and for the DNS name that is called. Where that is
    a cluster's name, and the certificate has SPIFFE ids of ours, that cluster's must be among them. Raises
    `PkiError` where one of the PEM files cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, credentials)
    context.sslobject_class = _ClientSide
    return context


def api_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Returns the TLS server context of the API, which accepts TLS 1.2 or newer without a client certificate.

    Raises `PkiError` where the certificate or the key cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load_pair(context, certificate, key)
    return context


def roots_context(roots: str) -> ssl.SSLContext:
    """Returns a TLS client context that trusts only the root certificates in the PEM file `roots`.

    Raises `PkiError` where the file cannot be read or holds no certificate.
    """
    if not roots:
        # Without a file `ssl` would trust the public roots.
        raise PkiError("the path of the file with the root certificates is empty")
    try:
        context = ssl.create_default_context(cafile=roots)
    except ssl.SSLError as error:
        raise PkiError(f"{roots} holds no certificate in PEM") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PkiError(f"cannot read {roots!r}: {getattr(error, 'strerror', None) or error}") from error
    if not context.cert_store_stats()["x509"]:
        raise PkiError(f"{roots} holds no certificate in PEM")
    return context


class _ClientSide(ssl.SSLObject):
    """The client's end of a TLS connection, which checks the SPIFFE id of a cluster's certificate.

    The id must be that of the cluster whose name was asked for.
    """

    def do_handshake(self) -> None:
        super().do_handshake()
        name = self.server_hostname or ""
        shown: Any = self.getpeercert() or {}
        ours = [
            value
            for kind, value in shown.get("subjectAltName", ())
            if kind == "URI" and value.startswith(SPIFFE_ROOT)
        ]
        if name.endswith(CLUSTERS) and ours and cluster_uri(name.removesuffix(CLUSTERS)) not in ours:
            raise ssl.SSLCertVerificationError(1, f"the certificate for {name} is that of {', '.join(ours)}")


class _ServerSide(ssl.SSLObject):
    """The server's end of a TLS connection, which logs why a handshake fails, and alerts the client.

    asyncio and uvloop 0.23 drop a failed handshake without flushing the alert. When they are asked to read
    more (SSLWantReadError) they flush it first; the failure is raised at their next call.
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
        if not _is_client_certificate(self.getpeercert(binary_form=True) or b""):
            logger.warning("a client was refused: its certificate does not say that it is a client's")
            raise ssl.SSLError(1, "the certificate is not a client's")


def _is_client_certificate(certificate: bytes) -> bool:
    """Returns whether the certificate's extended key usage names TLS clients.

    OpenSSL accepts a certificate without any usage.
    """
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
    except OSError as error:  # ssl.SSLError is an OSError
        raise PkiError(f"{credentials.root} cannot be used: {error.strerror or error}") from error
    return context


def key_permission_problems(key: Path) -> list[str]:
    """Returns one sentence, in a list, if other users can read the key file `key`; else an empty list.

    A file of another owner may be readable by its group: so Kubernetes gives a pod the files of a Secret.
    Raises `OSError` where there is no such file.
    """
    found = key.stat()
    unwanted = 0o077 if found.st_uid == os.geteuid() else 0o007
    return [f"{key} can be read by others: chmod 600"] if found.st_mode & unwanted else []


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        for path in (certificate, key):
            if not path.exists():
                raise PkiError(f"{path} is missing")
        # An encrypted key fails with an empty password, in place of asking at the terminal.
        context.load_cert_chain(certificate, key, password="")
        problems = key_permission_problems(key)
    except OSError as error:  # also where the folder cannot be searched, or a file is just being replaced
        raise PkiError(f"{certificate} with {key} cannot be used: {error.strerror or error}") from error
    for problem in problems:
        logger.warning("{}", problem)


def _valid_region(region: str) -> str:
    if not REGION.fullmatch(region):
        raise PkiError(
            f"{region!r} cannot be a region's name: lower-case letters, digits and inner dashes, at most 63"
        )
    return region
