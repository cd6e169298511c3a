"""Fixtures with the certificates and TLS contexts of one deployment, for tests of mutual TLS."""

import ssl
from pathlib import Path

import pytest

from waypost import tls
from waypost.pki import authority


@pytest.fixture(scope="session")
def pki_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creates a root certificate, and the certificates and keys of a gateway and of the region beijing."""
    folder = tmp_path_factory.mktemp("pki")
    authority.create_root(folder)
    authority.issue_gateway(folder)
    authority.issue_cluster(folder, "beijing")
    return folder


@pytest.fixture
def server_tls(pki_folder: Path) -> ssl.SSLContext:
    """Returns the TLS server context of beijing's cluster."""
    return tls.server_context(tls.cluster_credentials(pki_folder, "beijing"))


@pytest.fixture
def client_tls(pki_folder: Path) -> ssl.SSLContext:
    """Returns the TLS client context of the gateway, for calls to clusters."""
    return tls.client_context(tls.gateway_credentials(pki_folder))
