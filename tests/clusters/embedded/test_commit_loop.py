"""Tests the commit loop of a node, which journals the scheduler's steps."""

import asyncio

import pytest

from clusters.embedded.main import _wait_until_stopped
from clusters.embedded.node import ClusterNode
from clusters.protocol import (
    Batch,
)


async def test_a_committer_that_fails_ends_the_process(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would be durable any more, and every answer an error."""

    def broken(*_: object) -> None:
        raise LookupError("a mistake")

    async def write(*_: object) -> None:
        broken()

    monkeypatch.setattr(node._database, "write", write)
    asking = asyncio.create_task(node.apply(Batch()))
    async with asyncio.timeout(10):
        with pytest.raises(LookupError):
            await _wait_until_stopped(asyncio.Event(), node.committer)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
