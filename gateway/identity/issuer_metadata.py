"""Addresses that an issuer's keys may come from, its own metadata, and the cause of a failed fetch."""

import ipaddress
import json
import os
import socket
import ssl
from typing import Final

import httpx

from gateway.identity.key_parsing import InvalidKeySet
from waypost.distinct_names import distinct

METADATA_PATH: Final = "/.well-known/openid-configuration"
"""Where an issuer says where its keys are (OpenID Connect Discovery, section 4)."""


def is_trusted_source(source: str) -> bool:
    """True if keys may come from `source`: a file, https, or http on the loopback interface.

    False for an address with a user or password in it, which would end up in a log.
    """
    if "://" not in source:
        return True
    try:
        url = httpx.URL(source)
    except httpx.InvalidURL:
        return False
    return (
        bool(url.host)
        and not url.userinfo
        and (url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host)))
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def keys_address(metadata: bytes, issuer: str) -> str:
    """The `jwks_uri` in the `metadata` of `issuer`. Raises `InvalidKeySet` where it is not to be trusted."""
    try:
        found = json.loads(metadata.decode("utf-8"), object_pairs_hook=distinct)
        name, address = found["issuer"], found["jwks_uri"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidKeySet(f"its metadata has no issuer or jwks_uri: {type(error).__name__}") from error
    # Section 4.3: to the letter, or another issuer on the same host could speak for it.
    if name != issuer:
        raise InvalidKeySet("its metadata is that of another issuer")
    if not isinstance(address, str) or "://" not in address or not is_trusted_source(address):
        raise InvalidKeySet("the jwks_uri in its metadata is no https address")
    return address


def cause_of(error: BaseException) -> str:
    """Why a fetch failed: TLS, DNS, connection or time, without the address, which may contain a secret."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                return f"TLS: the certificate is not accepted: {cause.verify_message}"
            case ssl.SSLError():
                return f"TLS: {cause.reason or type(cause).__name__}"
            case socket.gaierror():
                return "DNS: the name of the host is not found"
            case OSError(errno=int() as number) if not isinstance(cause, FileNotFoundError):
                return f"connection: {os.strerror(number)}"
            case _:
                cause = cause.__cause__ or cause.__context__
    return type(error).__name__
