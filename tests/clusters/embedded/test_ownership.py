"""Tests that a cluster works for one gateway's store only, and for its newest era."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clusters.embedded.http.client import EmbeddedCluster
from clusters.embedded.http.server import application
from clusters.embedded.node import ClusterNode
from clusters.embedded.ownership import Owner, after_claim
from clusters.errors import ClusterError
from clusters.protocol import Batch, CreateOutcome, Hello
from tests.clusters.embedded.working_node import settings_without_sandbox
from tests.conformance.cluster_calls import attempt, create, delay, until_end, watching
from waypost import tls
from waypost.pki import authority
from waypost.serving import Server

HOST = "127.0.0.1"
OURS, OTHERS, RESTORED = "aa.0", "bb.0", "aa.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority.create_root(folder)
    authority.issue_gateway(folder)
    authority.issue_cluster(folder, "beijing")
    return folder


@asynccontextmanager
async def cluster(
    folder: Path, state: Path, *, adopt: bool = False
) -> AsyncIterator[Callable[[str], EmbeddedCluster]]:
    """Runs a real cluster; yields a function that returns an adapter to it on behalf of a store."""
    context = tls.server_context(tls.cluster_credentials(folder, "beijing"))
    async with (
        ClusterNode(settings_without_sandbox(state, adopt=adopt)) as node,
        Server(application(node, claim=node.claim), host=HOST, port=0, tls=context) as server,
    ):
        client = tls.client_context(tls.gateway_credentials(folder))
        yield lambda store: EmbeddedCluster(
            f"https://{HOST}:{server.port}", region="beijing", tls=client, store=lambda: store
        )


async def test_another_gateway_cannot_end_what_runs(folder: Path, tmp_path: Path) -> None:
    """Its store knows none of the attempts: it would end them as unknown.

    Nor does it see or hear anything of them.
    """
    async with cluster(folder, tmp_path) as on_behalf, on_behalf(OURS) as ours, on_behalf(OTHERS) as others:
        assert await create(ours, attempt(), delay("a", seconds=300)) is CreateOutcome.CREATED
        for call in (
            others.apply(Batch(tombstones=(attempt(),))),
            others.attempts(),
            others.probe(),
            anext(aiter(others.watch(0, ""))),
        ):
            with pytest.raises(ClusterError, match="OtherGateway: this cluster works for the store aa"):
                await call
        assert (await ours.attempts()).attempts == ((attempt(), True),)


async def test_the_owner_stays_until_another_is_adopted(folder: Path, tmp_path: Path) -> None:
    """A restart changes nothing; started with --adopt, the first that comes has it from then on."""
    async with cluster(folder, tmp_path) as on_behalf, on_behalf(OURS) as ours:
        await ours.probe()
    async with cluster(folder, tmp_path) as on_behalf, on_behalf(OTHERS) as others:
        with pytest.raises(ClusterError, match="OtherGateway"):
            await others.probe()
    async with (
        cluster(folder, tmp_path, adopt=True) as on_behalf,
        on_behalf(OURS) as ours,
        on_behalf(OTHERS) as others,
    ):
        await others.probe()
        with pytest.raises(ClusterError, match="OtherGateway"):
            await ours.probe()


async def test_a_restored_store_begins_a_new_era_and_the_old_one_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    """Of two gateways on two copies of one store, only one may decide."""
    async with (
        cluster(folder, tmp_path) as on_behalf,
        on_behalf(OURS) as ours,
        on_behalf(RESTORED) as restored,
    ):
        async with watching(ours) as stream:
            await create(ours, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        incarnation = (await ours.apply(Batch(acknowledged=events[-1].seq))).status.incarnation
        with pytest.raises(ClusterError, match="Restored"):
            await anext(aiter(ours.watch(0, incarnation)))

        async with watching(restored, 0, incarnation) as stream:
            hello = await anext(stream)
        assert isinstance(hello, Hello)
        assert hello.attempts == ((attempt(), True),)
        with pytest.raises(ClusterError, match="OldEra"):
            await ours.probe()


@pytest.mark.parametrize("header", ["", "aa", "aa.", ".1", "aa.-1", "xyz.1", "aa.1.2"])
async def test_a_call_that_does_not_name_its_store_is_refused(
    folder: Path, tmp_path: Path, header: str
) -> None:
    """It is never taken for a call of the owner."""
    async with cluster(folder, tmp_path) as on_behalf, on_behalf(header) as nobody:
        with pytest.raises(ClusterError, match="BadRequest"):
            await nobody.probe()


def test_the_first_that_comes_is_the_owner() -> None:
    """And a claim that changes nothing is not journalled again."""
    first = Owner(store="aa", era=3)
    assert after_claim(Owner(), first) == first
    assert after_claim(first, first) is None
