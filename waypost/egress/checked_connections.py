"""HTTP connections that lead to addresses which an allow-list permits, and nowhere else."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

import httpcore
import httpx

from waypost.egress.allow_list import Egress
from waypost.egress.bounded_connections import BoundedBackend

RESOLVING: Final = 16
"""The most names that are looked up at once; each occupies a thread, and a slow server of names holds it."""


class EgressRefused(Exception):
    """Raised where a host, or what it resolves to, may not be called. The text says why, for people."""


class CheckedBackend(BoundedBackend):
    """A network backend of httpcore that connects to addresses which `egress` permits.

    A name is resolved once, here, and the connection leads to the address that was checked: a second lookup
    could have another answer (DNS rebinding).
    """

    def __init__(self, egress: Egress, resolvers: ThreadPoolExecutor) -> None:
        self._egress, self._resolvers = egress, resolvers
        self._lookups: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        """The lookups under way: all calls of a host wait for one, so its slow server holds one thread."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # Before the lookup: the names themselves would carry data to the server that is asked for them.
        if fault := self._egress.host_fault(host, port):
            raise EgressRefused(fault)
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
                return await self._connect_to_first(addresses, port, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection within {timeout:g} s") from error

    async def _resolve(self, host: str, port: int) -> list[str]:
        """Returns the addresses of `host` that may be connected to.

        Raises `EgressRefused` where it has none, and `httpcore.ConnectError` where it has no address at all.
        """
        try:
            found = await self._look_up(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        faults = {
            address: self._egress.address_fault(host, port, ip_address(address.partition("%")[0]))
            for address in found
        }
        permitted = [address for address, fault in faults.items() if not fault]
        if not permitted:
            raise EgressRefused(next(iter(faults.values()), f"{host} has no address"))
        return permitted

    async def _look_up(self, host: str, port: int) -> list[str]:
        key = (host, port)
        lookup = self._lookups.get(key)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = loop.run_in_executor(self._resolvers, _look_up, host.strip("[]"), port)
            self._lookups[key] = lookup
            lookup.add_done_callback(partial(self._looked_up, key))
        # Who stops waiting for it does not end the thread.
        return await asyncio.shield(lookup)

    def _looked_up(self, key: tuple[str, int], done: "asyncio.Future[list[str]]") -> None:
        del self._lookups[key]
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    async def _connect_to_first(
        self,
        addresses: list[str],
        port: int,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first address that answers; raises `httpcore.ConnectError` if none does."""
        failure = httpcore.ConnectError("there is no address")
        for address in addresses:
            try:
                return await super().connect_tcp(address, port, None, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure


class CheckedTransport(httpx.AsyncHTTPTransport):
    """An httpx transport with one connection at a time, made by a `CheckedBackend`; it uses no proxy."""

    def __init__(self, backend: CheckedBackend, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx 0.28.1 takes no network backend, so its pool is replaced by one that has ours.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, max_keepalive_connections=0, network_backend=backend
        )


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
