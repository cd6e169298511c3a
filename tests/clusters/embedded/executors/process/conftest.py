"""Fixtures of a cluster node whose exclusive attempts are granted their run-leases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import Batch, LeaseAsked, Renewal


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ClusterNode]:
    """Runs processes without a sandbox: these tests look at them, and at what they write anywhere."""
    settings = ClusterNodeSettings(
        region="beijing", state=str(tmp_path), cpu=4.0, executors={"process": {"isolation": "none"}}
    )
    async with ClusterNode(settings) as node:
        yield node


@pytest.fixture
async def leases(node: ClusterNode) -> AsyncIterator[None]:
    """Grants every run-lease that the node requests, as a gateway does."""
    granting = asyncio.create_task(_grant(node))
    yield
    granting.cancel()


async def _grant(node: ClusterNode) -> None:
    async for event in node.watch(0, ""):
        if isinstance(event, LeaseAsked):
            await node.apply(Batch(renewals=(Renewal(attempt=event.attempt, ask=event.ask),)))
