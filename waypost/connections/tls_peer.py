"""Identifies the client of a mutual TLS connection by its verified certificate."""

import asyncio
import base64
import hashlib

import msgspec


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The client of a mutual TLS connection: SAN URIs and SHA-256 thumbprint of its verified certificate.

    The thumbprint is encoded as RFC 8705 does (base64url without padding).
    """

    uris: tuple[str, ...]
    thumbprint: str


def peer_of(transport: asyncio.Transport) -> Peer | None:
    """Returns the client of a connection; None for one without TLS or without a client certificate."""
    connection = transport.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True) if connection is not None else None
    if shown is None:
        return None
    names = (connection.getpeercert() or {}).get("subjectAltName", ())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(shown).digest()).rstrip(b"=").decode()
    return Peer(uris=tuple(value for kind, value in names if kind == "URI"), thumbprint=thumbprint)
