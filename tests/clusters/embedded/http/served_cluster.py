"""Serves a cluster adapter over HTTP with mutual TLS, for tests of both ends."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from clusters.embedded.http.server import application
from clusters.interface import ClusterAdapter
from waypost import tls
from waypost.http_protocol import ConnectionLimits
from waypost.serving import Server

HOST = "127.0.0.1"


@asynccontextmanager
async def serving(
    adapter: ClusterAdapter, server_tls: ssl.SSLContext, *, body_bytes: int = 64 << 20, grace_seconds: int = 5
) -> AsyncIterator[Server]:
    """Runs a cluster's HTTP server on a free port; it refuses bodies over `body_bytes`."""
    app = application(adapter, body_bytes=body_bytes)
    limits = ConnectionLimits(grace_seconds=grace_seconds)
    async with Server(app, host=HOST, port=0, tls=server_tls, limits=limits) as server:
        yield server


@asynccontextmanager
async def gateway_client(server: Server, client_tls: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a plain HTTP client that shows the gateway's certificate and expects beijing's."""

    async def expect_beijing(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "sni_hostname": tls.cluster_name("beijing")}

    async with httpx.AsyncClient(
        base_url=f"https://{HOST}:{server.port}", verify=client_tls, event_hooks={"request": [expect_beijing]}
    ) as client:
        yield client


@asynccontextmanager
async def served(adapter: ClusterAdapter, pki_folder: Path, *, region: str = "beijing") -> AsyncIterator[str]:
    """Runs a cluster's server with the certificate of `region`; yields its address."""
    context = tls.server_context(tls.cluster_credentials(pki_folder, region))
    async with serving(adapter, context) as server:
        yield f"https://{HOST}:{server.port}"


def store() -> str:
    """Returns IDENTITY.ERA of the store of the calling gateway."""
    return "5709e.0"
