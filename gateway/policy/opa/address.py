"""Parses the address of an OPA in the setting `policy.engine`: host and port or Unix socket, and TLS."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.core.loopback import is_loopback

DEFAULT_PORT: Final = 8181
FORMS: Final = "opa+http://127.0.0.1:8181, opa+https://HOST:8181 or opa+unix:/PATH"


class OpaAddress(Struct, frozen=True, kw_only=True):
    """The address of an OPA. `socket` is the path of a Unix socket, or None; `tls`: whether it is https."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    socket: str | None = None

    def __str__(self) -> str:
        return self.socket or f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


def parse_address(text: str) -> OpaAddress:
    """Parses an OPA's address: `opa+http://HOST:PORT`, `opa+https://HOST:PORT` or `opa+unix:/PATH`.

    Raises `ValueError` for any other form, and for plain http to another machine, where an attacker on the
    network could answer in OPA's name and permit everything.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "opa+unix":
        if not rest.startswith("/") or rest.startswith("//"):
            raise ValueError(f"opa+unix: needs the full path of a socket: {FORMS}")
        return OpaAddress(socket=rest)
    url = urlsplit(text.removeprefix("opa+"))
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"it has no host: {FORMS}")
    if url.path not in ("", "/") or url.query or url.fragment or url.username is not None:
        raise ValueError(f"it has more than a host and a port: {FORMS}")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ValueError("plain http is for an OPA on this machine: use opa+https, or a socket")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return OpaAddress(host=host, port=url.port or DEFAULT_PORT, tls=url.scheme == "https")
