"""Fixtures of a scripted cluster behind its HTTP server, and of a client with the gateway's certificate."""

import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.clusters.embedded.http.served_cluster import gateway_client, serving
from tests.clusters.embedded.scripted_cluster import ScriptedCluster


@pytest.fixture
def cluster() -> ScriptedCluster:
    return ScriptedCluster()


@pytest.fixture
async def client(
    cluster: ScriptedCluster, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> AsyncIterator[httpx.AsyncClient]:
    """Yields an HTTP client of the server of `cluster`, which accepts bodies of 10 kB at most."""
    async with (
        serving(cluster, server_tls, body_bytes=10_000) as server,
        gateway_client(server, client_tls) as client,
    ):
        yield client
