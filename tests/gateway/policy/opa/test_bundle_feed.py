"""Tests the feed that serves the bundle to OPA, and its clients that wait for the next one."""

import asyncio

from gateway.policy.opa.bundle_archive import manifest_of, pack_bundle, unpack
from gateway.policy.opa.bundle_feed import BundleFeed, ServedBundle
from tests.opa_fixture import bundle_of


def served(sequence: int, rules: str = "decision := 1") -> ServedBundle:
    archive = pack_bundle(bundle_of(rules), sequence=sequence)
    return ServedBundle(archive=archive, manifest=manifest_of(unpack(archive)))


async def test_who_waits_for_another_one_gets_it_when_it_comes() -> None:
    """And nobody waits for a gateway that stops."""
    async with BundleFeed() as feed:
        feed.serve(served(7))
        assert feed.current is not None
        assert await feed.other_than("", seconds=0) is feed.current
        assert await feed.other_than(feed.current.tag, seconds=0) is None
        waiting = asyncio.create_task(feed.other_than(feed.current.tag, seconds=60))
        await asyncio.sleep(0)
        feed.serve(served(8))
        async with asyncio.timeout(20):
            found = await waiting
        assert found is feed.current
        waiting = asyncio.create_task(feed.other_than(feed.current.tag, seconds=60))
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        assert await waiting is None


async def test_the_end_of_the_gateways_loops_ends_the_waits() -> None:
    """Its servers stop after them: they would wait for OPA, which waits for as long as it may."""
    feed = BundleFeed()
    feed.serve(served(7))
    assert feed.current is not None
    loop = asyncio.create_task(feed.run())
    waiting = asyncio.create_task(feed.other_than(feed.current.tag, seconds=60))
    await asyncio.sleep(0)
    loop.cancel()
    async with asyncio.timeout(20):
        assert await waiting is None
