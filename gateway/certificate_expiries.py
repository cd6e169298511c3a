"""Reads when the gateway's certificates expire, for metrics and readiness."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from gateway.settings import GatewaySettings
from waypost.pki.certificates import read_certificate
from waypost.tls import gateway_credentials


def certificate_expiries(settings: GatewaySettings) -> Mapping[str, datetime]:
    """Returns when each certificate expires that a gateway with these settings reads, by its name.

    The names are `api`, `ca` and `gateway`. Raises `PkiError` where a certificate cannot be read.
    """
    return {name: read_certificate(path).not_valid_after_utc for name, path in _certificates(settings)}


def _certificates(settings: GatewaySettings) -> Iterator[tuple[str, Path]]:
    if settings.tls is not None:
        yield "api", Path(settings.tls.certificate)
    if settings.pki is not None and settings.regions:
        credentials = gateway_credentials(Path(settings.pki))
        yield "ca", credentials.root
        yield "gateway", credentials.certificate
