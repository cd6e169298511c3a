"""The embedded cluster within its process, and over a real mutual TLS connection: the same facts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clusters.embedded.http.client import EmbeddedCluster
from clusters.embedded.http.server import application
from clusters.embedded.node import ClusterNode, ClusterNodeSettings
from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import AttemptId, Beat, LogChunk
from clusters.transport import Timeouts
from gateway.cli.dev.faulty_proxy import Mode, Proxy
from tests.clusters.embedded.scripted_cluster import HELLO, STATUS, ScriptedCluster
from tests.conformance.cluster_adapter import ClusterAdapterConformance
from waypost import pki, tls
from waypost.serving import Server

HOST = "127.0.0.1"


def store() -> str:
    """For whose gateway the calls are."""
    return "5709e.0"


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
        async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path))) as node:
            yield node


class TestEmbeddedCluster(ClusterAdapterConformance):
    """With it."""

    @pytest.fixture
    async def cluster(self, tmp_path: Path, folder: Path) -> AsyncIterator[ClusterAdapter]:
        context = tls.client_context(tls.gateway_credentials(folder))
        async with (
            ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path))) as node,
            served(node, folder) as address,
            EmbeddedCluster(address, region="beijing", tls=context, store=store) as cluster,
        ):
            yield cluster


@pytest.fixture
def gateway(folder: Path) -> ssl.SSLContext:
    return tls.client_context(tls.gateway_credentials(folder))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The certificates of another deployment."""
    pki.create_root(tmp_path / "other")
    pki.issue_gateway(tmp_path / "other")
    pki.issue_cluster(tmp_path / "other", "beijing")
    return tmp_path / "other"


async def refusal(address: str, context: ssl.SSLContext) -> ClusterError:
    async with EmbeddedCluster(address, region="beijing", tls=context, store=store) as cluster:
        with pytest.raises(ClusterError) as raised:
            await cluster.probe()
    return raised.value


class TestIdentity:
    """Who is let in, by either side. A refusal is not an outage, so it has a reason of its own."""

    async def test_a_client_without_a_certificate_is_refused(self, folder: Path) -> None:
        """Reaching the port is not enough."""
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        scripted = ScriptedCluster()
        async with served(scripted, folder) as address:
            assert (await refusal(address, context)).reason == "Forbidden"
        assert scripted.applied == []

    async def test_a_cluster_cannot_command_another(self, folder: Path) -> None:
        """Its certificate is for serving."""
        context = tls.client_context(tls.cluster_credentials(folder, "beijing"))
        scripted = ScriptedCluster()
        async with served(scripted, folder) as address:
            assert (await refusal(address, context)).reason == "Forbidden"
        assert scripted.applied == []

    async def test_a_gateway_of_another_root_is_refused(self, folder: Path, other: Path) -> None:
        """Even one that trusts our clusters."""
        credentials = tls.gateway_credentials(other)
        context = tls.client_context(
            tls.Credentials(certificate=credentials.certificate, key=credentials.key, root=folder / "ca.pem")
        )
        scripted = ScriptedCluster()
        async with served(scripted, folder) as address:
            assert (await refusal(address, context)).reason == "Forbidden"
        assert scripted.applied == []

    async def test_a_client_certificate_of_our_root_that_is_not_the_gateways_is_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """What another part of the deployment may get one day must not command clusters."""
        monkeypatch.setattr(tls, "GATEWAY_URI", "spiffe://waypost/metrics")
        for name in ("ca.pem", "ca.key"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
        (tmp_path / "ca.key").chmod(0o600)
        context = tls.client_context(pki.issue_gateway(tmp_path))
        scripted = ScriptedCluster()
        async with served(scripted, folder) as address:
            error = await refusal(address, context)

        assert (error.reason, error.detail) == ("Forbidden", "not admitted here: spiffe://waypost/metrics")
        assert scripted.applied == []

    async def test_a_cluster_of_another_root_is_not_believed(
        self, folder: Path, other: Path, gateway: ssl.SSLContext
    ) -> None:
        """Whoever answers at the address must prove whose it is."""
        scripted = ScriptedCluster()
        async with served(scripted, other) as address:
            assert (await refusal(address, gateway)).reason == "Forbidden"
        assert scripted.applied == []

    async def test_a_region_is_not_believed_under_anothers_name(
        self, folder: Path, gateway: ssl.SSLContext
    ) -> None:
        """Swapped addresses must not send work where policy does not permit it."""
        pki.issue_cluster(folder, "shanghai")
        scripted = ScriptedCluster()
        async with served(scripted, folder, region="shanghai") as address:
            error = await refusal(address, gateway)

        assert (error.reason, error.retryable) == ("Forbidden", False)
        assert "beijing.clusters.waypost.internal" in error.detail
        assert scripted.applied == []


class TestStreams:
    """How a stream ends, seen from the gateway."""

    async def test_an_orderly_end_is_an_end(self, folder: Path, gateway: ssl.SSLContext) -> None:
        """The cluster stops: nothing has gone wrong."""
        scripted = ScriptedCluster()
        scripted.events, scripted.ends = [HELLO, Beat(status=STATUS)], True
        async with (
            served(scripted, folder) as address,
            EmbeddedCluster(address, region="beijing", tls=gateway, store=store) as cluster,
        ):
            assert [event async for event in cluster.watch(3, "journal")] == [HELLO, Beat(status=STATUS)]

        assert scripted.asked == [(3, "journal")]

    async def test_silence_is_a_timeout(self, folder: Path, gateway: ssl.SSLContext) -> None:
        """After as long as the caller says."""
        scripted = ScriptedCluster()
        scripted.events = [HELLO]
        async with (
            served(scripted, folder) as address,
            EmbeddedCluster(
                address, region="beijing", tls=gateway, store=store, timeouts=Timeouts(read_seconds=0.1)
            ) as cluster,
        ):
            stream = cluster.watch(0, "")
            assert await anext(stream) == HELLO
            with pytest.raises(ClusterError) as raised:
                await anext(stream)

        assert raised.value.reason == "Timeout"

    async def test_a_cut_road_is_unreachable_at_once(self, folder: Path, gateway: ssl.SSLContext) -> None:
        """Without waiting for a silence: this is how a dead process is detected."""
        scripted = ScriptedCluster()
        scripted.events = [HELLO]
        async with served(scripted, folder) as address:
            port = int(address.rpartition(":")[2])
            async with (
                Proxy(target_host=HOST, target_port=port) as proxy,
                EmbeddedCluster(
                    f"https://{HOST}:{proxy.port}", region="beijing", tls=gateway, store=store
                ) as cluster,
            ):
                stream = cluster.watch(0, "")
                assert await anext(stream) == HELLO
                async with asyncio.timeout(1):
                    await proxy.switch(Mode.CUT)
                    with pytest.raises(ClusterError, match="Unreachable"):
                        await anext(stream)
                    with pytest.raises(ClusterError, match="Unreachable"):
                        await cluster.probe()

    async def test_any_text_survives_the_road(self, folder: Path, gateway: ssl.SSLContext) -> None:
        """Logs hold whatever a task writes."""
        text = (
            "".join(chr(point) for point in (0, 10, 13, 0x1C, 0x85, 0x2028, 0x2029, 0xFFFD, 0x1F600)) + '"\\'
        )
        scripted = ScriptedCluster()
        scripted.chunks, scripted.ends = [LogChunk(text=text, offset=99)], True
        async with (
            served(scripted, folder) as address,
            EmbeddedCluster(address, region="beijing", tls=gateway, store=store) as cluster,
        ):
            identity = AttemptId(run="run", shard=0, epoch=1 << 40)
            chunks = [chunk async for chunk in cluster.logs(identity, "a.b-c", offset=7, follow=True)]

        assert chunks == [LogChunk(text=text, offset=99)]
        assert scripted.asked == [(identity, "a.b-c", 7, True)]


async def test_a_probe_given_up_leaves_its_connection_warm(folder: Path, gateway: ssl.SSLContext) -> None:
    """On a slow road a handshake and a question take longer than a probe may: the next one finds the handshake done."""
    scripted = ScriptedCluster()
    async with served(scripted, folder) as address:
        port = int(address.rpartition(":")[2])
        async with (
            Proxy(target_host=HOST, target_port=port) as proxy,
            EmbeddedCluster(
                f"https://{HOST}:{proxy.port}", region="beijing", tls=gateway, store=store
            ) as cluster,
        ):
            proxy.delay_seconds = 0.2
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cluster.probe(), 0.6)
            await asyncio.gather(*cluster._probes)
            assert (await asyncio.wait_for(cluster.probe(), 0.6)).region == "beijing"


async def test_leaving_ends_probes_under_way(folder: Path, gateway: ssl.SSLContext) -> None:
    """Nothing goes on behind the caller's back."""
    scripted = ScriptedCluster()
    scripted.answering.clear()
    async with served(scripted, folder) as address:
        async with (
            asyncio.timeout(3),
            EmbeddedCluster(address, region="beijing", tls=gateway, store=store) as cluster,
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cluster.probe(), 0.1)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "probe"]
        scripted.answering.set()
