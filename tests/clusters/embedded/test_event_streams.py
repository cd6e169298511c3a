"""Tests the event streams of a node."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import cast

from clusters.embedded.node import ClusterNode
from clusters.protocol import (
    ClusterEvent,
    LeaseAsked,
)
from tests.clusters.embedded.working_node import start
from waypost.workflow.task import SideEffects, TaskSpec


async def asked(stream: AsyncGenerator[ClusterEvent, None]) -> LeaseAsked:
    async with asyncio.timeout(10):
        return await anext(event async for event in stream if isinstance(event, LeaseAsked))


async def test_every_stream_sends_each_lease_request(node: ClusterNode) -> None:
    """One may be half open, with nobody at its other end; one that opens later must not wait for the next."""
    async with contextlib.AsyncExitStack() as stack:
        streams = [cast(AsyncGenerator[ClusterEvent, None], node.watch(0, "")) for _ in range(3)]
        for stream in streams:
            stack.push_async_callback(stream.aclose)
        for stream in streams[:2]:
            await anext(stream)
        await start(
            node, TaskSpec(name="a", type="delay", run={"seconds": 0}), side_effects=SideEffects.EXCLUSIVE
        )
        asks = [await asked(stream) for stream in streams]

    assert len({ask.ask for ask in asks}) == 1
