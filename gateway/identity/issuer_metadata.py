"""Finds the address of a token issuer's key set: in the settings, or in the issuer's metadata."""

import os
import re
import socket
import ssl
from pathlib import Path
from typing import Final

import httpx

from gateway.core.loopback import is_loopback
from gateway.identity.key_parsing import InvalidKeySet
from gateway.identity.strict_decoding import NotStrict, decode_object

SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|.*://", re.DOTALL)
"""Matches text that begins like a URL, and so is no file path; also misspelt, as in `https:/host`."""
METADATA_PATH: Final = "/.well-known/openid-configuration"
"""The path of an issuer's metadata, which has its keys' address (OpenID Connect Discovery, section 4)."""


def key_source(source: str) -> httpx.URL | Path:
    """Parses the setting that names an issuer's key set: an https URL, an http URL on loopback, or a path.

    Raises `InvalidKeySet` for any other value, and for a URL with a user or password, which would end up in a
    log.
    """
    if not SCHEME.match(source):
        return Path(source)
    try:
        url = httpx.URL(source)
    except httpx.InvalidURL:
        raise InvalidKeySet("its keys have an address that is no URL") from None
    # httpx writes schemes in lower case: `HTTPS://` is no file.
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))
    if not url.host or url.userinfo or not is_safe:
        raise InvalidKeySet(
            "its keys must come by https, without a name or password in the address, or from a file"
        )
    return url


def keys_address(metadata: bytes, issuer: str) -> httpx.URL:
    """Returns the URL `jwks_uri` in the metadata of the token issuer `issuer`.

    Raises `InvalidKeySet` for metadata that cannot be read or names another issuer, and for a URL that is
    neither https nor on loopback, or has a user or password.
    """
    try:
        found = decode_object(metadata)
        name, address = found["issuer"], found["jwks_uri"]
    except (NotStrict, KeyError) as error:
        raise InvalidKeySet(f"its metadata has no issuer or jwks_uri that can be read: {error}") from error
    # Section 4.3: to the letter, or another issuer on the same host could speak for it.
    if name != issuer:
        raise InvalidKeySet("its metadata is that of another issuer")
    source = key_source(address) if isinstance(address, str) else None
    if not isinstance(source, httpx.URL):
        raise InvalidKeySet("the jwks_uri in its metadata is no https address")
    return source


def cause_of(error: BaseException) -> str:
    """Formats the cause of a failed fetch (TLS, DNS, connection or time-out), without the address."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                return f"TLS: the certificate is not accepted: {cause.verify_message}"
            case ssl.SSLError():
                return f"TLS: {cause.reason or type(cause).__name__}"
            case socket.gaierror():
                return "DNS: the name of the host is not found"
            case OSError(filename=str() as name, strerror=str() as reason):
                return f"{name}: {reason}"
            case OSError(errno=int() as number) if not isinstance(cause, FileNotFoundError):
                return f"connection: {os.strerror(number)}"
            case _:
                cause = cause.__cause__ or cause.__context__
    return type(error).__name__
