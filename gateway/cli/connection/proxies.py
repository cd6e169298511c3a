"""Selects the proxy of a connection from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.

httpx (0.28) reads the same variables, but uses a proxy for loopback addresses too, fails on a SOCKS proxy
that no call would use, and does not say which variable it followed.
"""

import os
from collections.abc import Container
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx

from gateway.cli.connection.addresses import check_address, is_loopback
from gateway.cli.errors import CliError, Exit


class EnvironmentProxy(NamedTuple):
    """A proxy that an environment variable names: the variable's name, and the proxy's URL."""

    variable: str
    url: str

    def __str__(self) -> str:
        """Returns the proxy's URL without user and password."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def parse(self) -> httpx.Proxy:
        """Parses the proxy's URL for httpx; raises `ValueError` or `httpx.InvalidURL` if it is invalid."""
        proxy = httpx.Proxy(self.url)
        check_address(proxy.url)
        return proxy

    def advice(self, address: httpx.URL) -> str:
        """Returns a sentence that names the variable, and how to reach `address` without the proxy."""
        return (
            f"{self.variable} names the proxy {self}: is it the right one?"
            f" NO_PROXY={address.host} goes without it."
        )


def find_proxy(address: httpx.URL) -> EnvironmentProxy | None:
    """Returns the proxy that environment variables name for `address`; None if they name none.

    None too for a loopback address, and for one that `NO_PROXY` exempts.
    """
    if is_loopback(address.host) or _is_exempt(address):
        return None
    proxies = getproxies()
    for scheme in (address.scheme, "all"):
        if url := proxies.get(scheme):
            return EnvironmentProxy(_spelled_variable(scheme), url if "://" in url else f"http://{url}")
    return None


def proxy_error(proxy: EnvironmentProxy, address: httpx.URL, error: Exception) -> CliError:
    """Returns the `CliError` for a proxy whose URL cannot be used."""
    if isinstance(error, ImportError):
        message = f"{proxy.variable} names the SOCKS proxy {proxy}, which needs the Python package socksio"
    else:
        message = f"{proxy.variable} names {proxy}, which is not the URL of a proxy: {error}"
    lines = (f"Unset it, or set NO_PROXY={address.host} to go without it.",)
    return CliError(message, lines=lines, code=Exit.USAGE)


def _is_exempt(address: httpx.URL) -> bool:
    """Returns whether `NO_PROXY` names the host, a domain above it, or the network of its IP address."""
    try:
        host = ip_address(address.host)
    except ValueError:
        # the standard library's rules for names, which are those of curl
        return bool(proxy_bypass(address.netloc.decode("ascii")))
    exempt = getproxies().get("no", "")
    return any(entry == "*" or host in _network(entry) for entry in map(str.strip, exempt.split(",")))


def _network(entry: str) -> Container[object]:
    try:
        return ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return ()


def _spelled_variable(scheme: str) -> str:
    """Returns a proxy variable's name as the environment spells it; the lower-case one takes precedence."""
    name = f"{scheme}_proxy"
    return name if name in os.environ else next((n for n in os.environ if n.lower() == name), name.upper())
