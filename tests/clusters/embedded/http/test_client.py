"""Tests that an embedded cluster keeps its promises, called in its process and over mutual TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from clusters.checked_cluster import CheckedCluster
from clusters.embedded.http.client import EmbeddedCluster
from clusters.embedded.node import ClusterNode
from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import AttemptId, Beat, LogChunk
from clusters.task_waits import TaskWait, TaskWaits, WaitReason
from clusters.transport import Timeouts
from gateway.cli.dev.faulty_proxy import Mode, Proxy
from tests.clusters.embedded.http.served_cluster import HOST, served, store
from tests.clusters.embedded.scripted_cluster import HELLO, STATUS, ScriptedCluster
from tests.clusters.embedded.working_node import settings_without_sandbox
from tests.conformance.cluster_adapter import ClusterAdapterConformance
from waypost import tls


class TestNode(ClusterAdapterConformance):
    """The conformance suite on a node that is called directly."""

    @pytest.fixture
    async def adapter(self, tmp_path: Path) -> AsyncIterator[ClusterAdapter]:
        async with ClusterNode(settings_without_sandbox(tmp_path)) as node:
            yield node


class TestEmbeddedCluster(ClusterAdapterConformance):
    """The conformance suite on the same node, called over HTTP."""

    @pytest.fixture
    async def adapter(self, tmp_path: Path, pki_folder: Path) -> AsyncIterator[ClusterAdapter]:
        context = tls.client_context(tls.gateway_credentials(pki_folder))
        async with (
            ClusterNode(settings_without_sandbox(tmp_path)) as node,
            served(node, pki_folder) as address,
            EmbeddedCluster(address, region="beijing", tls=context, store=store) as cluster,
        ):
            yield cluster


class TestStreams:
    """Tests how the gateway's end of an event stream ends."""

    async def test_an_orderly_end_is_an_end(self, pki_folder: Path, client_tls: ssl.SSLContext) -> None:
        """The cluster has stopped in order: that is no error."""
        scripted = ScriptedCluster()
        scripted.events, scripted.ends = [HELLO, Beat(status=STATUS)], True
        async with (
            served(scripted, pki_folder) as address,
            EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as cluster,
        ):
            assert [event async for event in cluster.watch(3, "journal")] == [HELLO, Beat(status=STATUS)]

        assert scripted.asked == [(3, "journal")]

    async def test_silence_is_a_timeout(self, pki_folder: Path, client_tls: ssl.SSLContext) -> None:
        """After `read_seconds` without a line."""
        scripted = ScriptedCluster()
        scripted.events = [HELLO]
        async with (
            served(scripted, pki_folder) as address,
            EmbeddedCluster(
                address, region="beijing", tls=client_tls, store=store, timeouts=Timeouts(read_seconds=0.1)
            ) as cluster,
        ):
            stream = cluster.watch(0, "")
            assert await anext(stream) == HELLO
            with pytest.raises(ClusterError) as raised:
                await anext(stream)

        assert raised.value.reason == "Timeout"

    async def test_a_cut_connection_is_unreachable_at_once(
        self, pki_folder: Path, client_tls: ssl.SSLContext
    ) -> None:
        """Without waiting for `read_seconds`: this is how a dead process is detected."""
        scripted = ScriptedCluster()
        scripted.events = [HELLO]
        async with served(scripted, pki_folder) as address:
            port = int(address.rpartition(":")[2])
            async with (
                Proxy(target_host=HOST, target_port=port) as proxy,
                EmbeddedCluster(
                    f"https://{HOST}:{proxy.port}", region="beijing", tls=client_tls, store=store
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

    async def test_any_text_of_a_log_arrives_unchanged(
        self, pki_folder: Path, client_tls: ssl.SSLContext
    ) -> None:
        """Logs hold every character that a task writes."""
        text = (
            "".join(chr(point) for point in (0, 10, 13, 0x1C, 0x85, 0x2028, 0x2029, 0xFFFD, 0x1F600)) + '"\\'
        )
        scripted = ScriptedCluster()
        scripted.chunks, scripted.ends = [LogChunk(text=text, offset=99)], True
        async with (
            served(scripted, pki_folder) as address,
            EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as cluster,
        ):
            identity = AttemptId(run="run", shard=0, epoch=1 << 40)
            chunks = [chunk async for chunk in cluster.logs(identity, "a.b-c", offset=7, follow=True)]

        assert chunks == [LogChunk(text=text, offset=99)]
        assert scripted.asked == [(identity, "a.b-c", 7, True)]


async def test_a_probe_given_up_leaves_its_connection_warm(
    pki_folder: Path, client_tls: ssl.SSLContext
) -> None:
    """Over a slow network path handshake and call take too long for a probe: the next needs no handshake."""
    scripted = ScriptedCluster()
    async with served(scripted, pki_folder) as address:
        port = int(address.rpartition(":")[2])
        async with (
            Proxy(target_host=HOST, target_port=port) as proxy,
            EmbeddedCluster(
                f"https://{HOST}:{proxy.port}", region="beijing", tls=client_tls, store=store
            ) as cluster,
        ):
            proxy.delay_seconds = 0.2
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cluster.probe(), 0.6)
            await asyncio.gather(*cluster._probes)
            assert (await asyncio.wait_for(cluster.probe(), 0.6)).region == "beijing"


async def test_leaving_ends_probes_under_way(pki_folder: Path, client_tls: ssl.SSLContext) -> None:
    """No task of an adapter goes on after its `async with`."""
    scripted = ScriptedCluster()
    scripted.answering.clear()
    async with served(scripted, pki_folder) as address:
        async with (
            asyncio.timeout(3),
            EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as cluster,
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cluster.probe(), 0.1)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "probe"]
        scripted.answering.set()


async def test_what_tasks_wait_for_comes_through_and_an_old_cluster_does_not_say_it(
    pki_folder: Path, client_tls: ssl.SSLContext
) -> None:
    """The gateway then says what it knows by itself."""

    class SayingCluster(ScriptedCluster):
        async def waits(self, attempt: AttemptId) -> TaskWaits:
            self.asked.append(attempt)
            return TaskWaits(waits=(TaskWait(task="a", reason=WaitReason.TURN, ahead=3),), left_out=1)

    identity, saying = AttemptId(run="run", shard=2, epoch=1 << 40), SayingCluster()
    for scripted in (saying, ScriptedCluster()):
        async with (
            served(scripted, pki_folder) as address,
            EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as cluster,
        ):
            if scripted is saying:
                found = await cluster.waits(identity)
                assert (found.waits[0].reason, found.left_out, saying.asked) == ("Turn", 1, [identity])
            else:
                with pytest.raises(ClusterError) as raised:
                    await cluster.waits(identity)
                assert raised.value.reason == "NotFound"


async def test_a_cluster_that_times_no_logs_gives_them_without_times(
    pki_folder: Path, client_tls: ssl.SSLContext
) -> None:
    """One of an earlier version does not know the call."""

    class TimingCluster(ScriptedCluster):
        async def timed_logs(
            self, attempt: AttemptId, task: str, *, offset: int, follow: bool
        ) -> AsyncIterator[LogChunk]:
            async for chunk in self.logs(attempt, task, offset=offset, follow=follow):
                yield structs.replace(chunk, written_at=5.0)

    identity, chunk = AttemptId(run="run", shard=0, epoch=1), LogChunk(text="x", offset=8)
    for scripted, times in ((TimingCluster(), 5.0), (ScriptedCluster(), None)):
        scripted.chunks, scripted.ends = [chunk], True
        async with (
            served(scripted, pki_folder) as address,
            EmbeddedCluster(address, region="beijing", tls=client_tls, store=store) as adapter,
        ):
            cluster = CheckedCluster(adapter, region="beijing", bounds_checked=True)
            found = [one async for one in cluster.timed_logs(identity, "a", offset=7, follow=False)]
        assert found == [structs.replace(chunk, written_at=times)]
        assert scripted.asked == [(identity, "a", 7, False)]


async def test_a_log_that_breaks_off_is_not_read_once_more() -> None:
    """Its reader would get its beginning twice."""

    class BreakingCluster(ScriptedCluster):
        async def timed_logs(
            self, attempt: AttemptId, task: str, *, offset: int, follow: bool
        ) -> AsyncIterator[LogChunk]:
            yield LogChunk(text="x", offset=1)
            raise ClusterError("NotFound")

    cluster = CheckedCluster(BreakingCluster(), region="beijing")
    with pytest.raises(ClusterError, match="NotFound"):
        async for _ in cluster.timed_logs(AttemptId(run="r", shard=0, epoch=1), "a", offset=0, follow=True):
            pass
