"""Certificates of one deployment, for tests with mutual TLS."""

import ssl
from pathlib import Path

import pytest

from waypost import pki, tls


@pytest.fixture(scope="session")
def pki_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root certificate, and the pairs of a gateway and of the region beijing."""
    folder = tmp_path_factory.mktemp("pki")
    pki.create_root(folder)
    pki.issue_gateway(folder)
    pki.issue_cluster(folder, "beijing")
    return folder


@pytest.fixture
def server_tls(pki_folder: Path) -> ssl.SSLContext:
    """The context of a cluster's server, in beijing."""
    return tls.server_context(tls.cluster_credentials(pki_folder, "beijing"))


@pytest.fixture
def client_tls(pki_folder: Path) -> ssl.SSLContext:
    """The context of the gateway as a client of clusters."""
    return tls.client_context(tls.gateway_credentials(pki_folder))
