"""Tests which TLS peers a cluster and a gateway accept from one another.

A refusal is not an outage: it has the reason `Forbidden`.
"""

import ssl
from pathlib import Path

import pytest

from clusters.embedded.http.client import EmbeddedCluster
from clusters.errors import ClusterError
from tests.clusters.embedded.http.served_cluster import HOST, served, serving, store
from tests.clusters.embedded.scripted_cluster import ScriptedCluster
from waypost import tls
from waypost.pki import authority
from waypost.tls_reloading import reloaded_client_context, reloaded_server_context


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Creates the certificates of another deployment."""
    authority.create_root(tmp_path / "other")
    authority.issue_gateway(tmp_path / "other")
    authority.issue_cluster(tmp_path / "other", "beijing")
    return tmp_path / "other"


async def refusal(address: str, context: ssl.SSLContext) -> ClusterError:
    async with EmbeddedCluster(address, region="beijing", tls=context, store=store) as cluster:
        with pytest.raises(ClusterError) as raised:
            await cluster.probe()
    return raised.value


async def test_a_client_without_a_certificate_is_refused(pki_folder: Path) -> None:
    """Reaching the port is not enough."""
    context = ssl.create_default_context(cafile=pki_folder / "ca.pem")
    scripted = ScriptedCluster()
    async with served(scripted, pki_folder) as address:
        assert (await refusal(address, context)).reason == "Forbidden"
    assert scripted.applied == []


async def test_a_cluster_cannot_command_another(pki_folder: Path) -> None:
    """Its certificate is for serving, not for calling."""
    context = tls.client_context(tls.cluster_credentials(pki_folder, "beijing"))
    scripted = ScriptedCluster()
    async with served(scripted, pki_folder) as address:
        assert (await refusal(address, context)).reason == "Forbidden"
    assert scripted.applied == []


async def test_a_gateway_of_another_root_is_refused(pki_folder: Path, other: Path) -> None:
    """Even one that trusts our clusters' certificates."""
    credentials = tls.gateway_credentials(other)
    context = tls.client_context(
        tls.Credentials(certificate=credentials.certificate, key=credentials.key, root=pki_folder / "ca.pem")
    )
    scripted = ScriptedCluster()
    async with served(scripted, pki_folder) as address:
        assert (await refusal(address, context)).reason == "Forbidden"
    assert scripted.applied == []


async def test_a_client_certificate_of_our_root_that_is_not_the_gateways_is_refused(
    pki_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another part of the deployment may have a certificate one day: it must not command clusters."""
    monkeypatch.setattr(tls, "GATEWAY_URI", "spiffe://waypost/metrics")
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).write_bytes((pki_folder / name).read_bytes())
    (tmp_path / "ca.key").chmod(0o600)
    context = tls.client_context(authority.issue_gateway(tmp_path))
    scripted = ScriptedCluster()
    async with served(scripted, pki_folder) as address:
        error = await refusal(address, context)

    assert (error.reason, error.detail) == ("Forbidden", "not admitted here: spiffe://waypost/metrics")
    assert scripted.applied == []


async def test_a_cluster_of_another_root_is_refused(
    pki_folder: Path, other: Path, client_tls: ssl.SSLContext
) -> None:
    """A server at the right address must also show the right certificate."""
    scripted = ScriptedCluster()
    async with served(scripted, other) as address:
        assert (await refusal(address, client_tls)).reason == "Forbidden"
    assert scripted.applied == []


async def test_a_cluster_is_refused_under_the_name_of_another_region(
    pki_folder: Path, client_tls: ssl.SSLContext
) -> None:
    """Swapped addresses must not send work where policy does not permit it."""
    authority.issue_cluster(pki_folder, "shanghai")
    scripted = ScriptedCluster()
    async with served(scripted, pki_folder, region="shanghai") as address:
        error = await refusal(address, client_tls)

    assert (error.reason, error.retryable) == ("Forbidden", False)
    assert "beijing.clusters.waypost.internal" in error.detail
    assert scripted.applied == []


@pytest.mark.parametrize("whose", ["gateway", "clusters/beijing"])
async def test_an_expired_certificate_is_refused_and_a_new_one_is_taken_without_a_restart(
    pki_folder: Path, whose: str
) -> None:
    """What was open goes on; the refusal says why; a new pair ends it."""
    scripted = ScriptedCluster()
    ours, theirs = tls.gateway_credentials(pki_folder), tls.cluster_credentials(pki_folder, "beijing")
    server_tls, client_tls = reloaded_server_context(theirs), reloaded_client_context(ours)
    async with serving(scripted, server_tls) as server:
        address = f"https://{HOST}:{server.port}"
        async with EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as cluster:
            await cluster.probe()
            authority.issue_again(pki_folder, whose, days=0)
            assert (server_tls.reload(), client_tls.reload()).count(True) == 1
            await cluster.probe()
        error = await refusal(address, client_tls)
        assert error.reason == "Forbidden"
        assert "expired" in error.detail

        authority.issue_again(pki_folder, whose)
        assert (server_tls.reload(), client_tls.reload()).count(True) == 1
        async with EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as cluster:
            await cluster.probe()
