"""The embedded cluster within its process, and over a real mutual TLS connection: the same facts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clusters.embedded.adapter import EmbeddedCluster
from clusters.embedded.node import Node, NodeSettings
from clusters.embedded.server import application
from clusters.interface import ClusterAdapter
from tests.conformance.cluster_adapter import ClusterAdapterConformance
from waypost import pki, tls
from waypost.serving import Server

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.create_root(folder)
    pki.issue_gateway(folder)
    pki.issue_cluster(folder, "beijing")
    return folder


@asynccontextmanager
async def served(adapter: ClusterAdapter, folder: Path, *, region: str = "beijing") -> AsyncIterator[str]:
    """The address of a cluster's server."""
    context = tls.server_context(tls.cluster_credentials(folder, region))
    async with Server(application(adapter), host=HOST, port=0, tls=context) as server:
        yield f"https://{HOST}:{server.port}"


class TestNode(ClusterAdapterConformance):
    """Without a wire."""

    @pytest.fixture
    async def cluster(self, tmp_path: Path) -> AsyncIterator[ClusterAdapter]:
        async with Node(NodeSettings(region="beijing", state=str(tmp_path))) as node:
            yield node


class TestEmbeddedCluster(ClusterAdapterConformance):
    """With it."""

    @pytest.fixture
    async def cluster(self, tmp_path: Path, folder: Path) -> AsyncIterator[ClusterAdapter]:
        context = tls.client_context(tls.gateway_credentials(folder))
        async with (
            Node(NodeSettings(region="beijing", state=str(tmp_path))) as node,
            served(node, folder) as address,
            EmbeddedCluster(address, region="beijing", tls=context) as cluster,
        ):
            yield cluster
