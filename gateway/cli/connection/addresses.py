"""Checks of gateway URLs, hosts and ports before a connection is opened, and of loopback addresses."""

import socket
from ipaddress import ip_address
from typing import Final

import httpx

from gateway.cli.errors import CliError, Exit

PORT_MAXIMUM: Final = 65_535


def parse_address(url: str) -> httpx.URL:
    """Parses the URL of a gateway.

    Raises `CliError` for text that is no http or https URL with a usable host and port, or names a user.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        # It may hold a password.
        shown = repr(url) if "@" not in url else "the gateway's URL"
        raise CliError(f"{shown} is not a URL: {error}", code=Exit.USAGE) from error
    # httpx would send them in place of the token, and messages would show them.
    if address.userinfo:
        raise CliError(
            "the URL of the gateway has a user or password in it: leave them out, and give a token with"
            " --token or WAYPOST_TOKEN",
            code=Exit.USAGE,
        )
    if address.scheme not in ("http", "https") or not address.host:
        raise CliError(
            f"{url!r} is not the URL of a gateway: write http://HOST:PORT or https://HOST:PORT",
            code=Exit.USAGE,
        )
    try:
        check_address(address)
    except ValueError as error:
        raise CliError(f"{url!r} is not the URL of a gateway: {error}", code=Exit.USAGE) from error
    return address


def check_address(address: httpx.URL) -> None:
    """Checks that Python's sockets can use a host and port; raises `ValueError` if not."""
    if not address.host:
        raise ValueError("it names no host")
    if address.port is not None and not 0 < address.port <= PORT_MAXIMUM:
        raise ValueError(f"a port is a number from 1 to {PORT_MAXIMUM}")
    try:
        address.raw_host.decode("ascii").encode("idna")
    except UnicodeError as error:
        raise ValueError("the name of its host is too long, or has an empty part") from error


def is_loopback(host: str) -> bool:
    """Returns whether `host` is this machine itself, which no proxy could reach."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        # as the system reads it, so that 127.1 counts too
        address = ip_address(host if ":" in host else socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, ValueError):
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
