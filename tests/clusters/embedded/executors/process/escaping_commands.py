"""Shell commands that leave their process group, and helpers that read the pids they write to files."""

import asyncio
from pathlib import Path

from clusters.embedded.node import ClusterNode
from clusters.protocol import Batch
from tests.clusters.embedded.working_node import SHARD

ESCAPE = (
    "setsid sh -c 'echo $$ > {folder}/pid; exec sleep 300' & "
    "while ! test -s {folder}/pid; do sleep 0.01; done; {then}"
)
"""The template of a shell command that starts a child in a session of its own, then does `then`."""


async def pids_in(path: Path, lines: int = 1) -> list[int]:
    """Waits until the file holds as many pids as asked for, and returns them."""
    async with asyncio.timeout(20):
        while len(found := pids_written(path)) < lines:
            await asyncio.sleep(0.01)
    return found


def pids_written(path: Path) -> list[int]:
    """Returns the pids that the file holds now."""
    return [int(word) for word in path.read_text().split()] if path.exists() else []


async def wait_until_gone(node: ClusterNode) -> None:
    """Repeats the order to end the attempt (its tombstone) until the attempt is gone."""
    async with asyncio.timeout(20):
        while not (await node.apply(Batch(tombstones=(SHARD,)))).tombstones[0].gone:
            await asyncio.sleep(0.02)
