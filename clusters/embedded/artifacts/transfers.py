"""Moves artifacts, each in a process of its own, so that none delays the cluster and each can be ended."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from clusters.embedded.artifacts.messages import Transfer, TransferFailed, TransferReply
from clusters.embedded.executors.process.termination import finish_despite_cancellation
from waypost.turns import Turns
from waypost.worker_process import HEADER_BYTES, frame
from waypost.workflow.artifacts import ArtifactKind

PROGRAMS: Final[Mapping[ArtifactKind, str]] = {
    "file": "clusters.embedded.artifacts.file_transfer",
    "s3": "clusters.embedded.artifacts.s3_transfer",
}
"""The modules that the processes run, by the kind of artifact."""
GRACE_SECONDS: Final = 5.0
"""The seconds that a transfer which is ended gets to take back what it has begun."""
REPLY_BYTES: Final = 65_536


class Transfers:
    """Moves at most `places` artifacts at once, each within `seconds`; keys (tenants) take turns."""

    def __init__(self, *, places: int, seconds: float) -> None:
        self._turns, self._seconds = Turns.leaving_one(places), seconds

    def __repr__(self) -> str:
        return f"Transfers({self._seconds:g} s, {self._turns!r})"

    async def move(self, order: Transfer, *, key: str) -> TransferReply:
        """Carries out an order on behalf of `key`; returns size and SHA-256. Raises `TransferFailed`.

        Where the caller is cancelled, the transfer is ended first, and leaves nothing behind.
        """
        async with self._turns.turn(key):
            reply = await self._move(order)
        if reply.failure:
            raise TransferFailed(reply.failure, lost=reply.lost, final=reply.final)
        return reply

    async def _move(self, order: Transfer) -> TransferReply:
        process: Process | None = None
        try:
            async with asyncio.timeout(self._seconds):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", PROGRAMS[order.storage.kind]),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env=_environment(),
                )
                return await _exchange(process, order)
        except TimeoutError:
            raise TransferFailed(f"it took more than {self._seconds:g} s", lost=True) from None
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise TransferFailed(f"its process ended: {type(error).__name__}", lost=True) from error
        finally:
            if process is not None:
                await finish_despite_cancellation(_end(process))


async def _exchange(process: Process, order: Transfer) -> TransferReply:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(frame(msgspec.msgpack.encode(order)))
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(HEADER_BYTES), "big")
    if length > REPLY_BYTES:
        raise EOFError
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=TransferReply)


async def _end(process: Process) -> None:
    """Ends a transfer's process, which has `GRACE_SECONDS` for it; returns when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


def _environment() -> dict[str, str]:
    """Returns the environment of a transfer's process: nothing of the cluster's, which holds secrets.

    botocore finds no credentials and no settings but those of the order.
    """
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
