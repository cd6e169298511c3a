"""Evaluates rules for large documents in a separate, killable process: the event loop must not wait.

The process starts with the first large document and stays. If it exceeds its budget or fails, it is killed,
and the next document starts another. `worker_main` is what runs in it.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.policy.embedded.evaluator import EvaluationError
from gateway.policy.embedded.worker_main import HEADER_BYTES, EvaluationReply, EvaluationRequest, frame
from gateway.policy.source import PolicySource

START_SECONDS: Final = 10.0
MAXIMUM_WAITING: Final = 32
"""The most documents that may wait, the one in evaluation among them.

One more is refused at once: in a queue that only grows, all would wait too long.
"""
MAXIMUM_WAITING_OF_TENANT: Final = 8
"""The most waiting documents of one tenant, so that it does not keep out the others."""


class Worker:
    """Evaluates documents in one separate process, one at a time, in order of arrival."""

    def __init__(self, source: PolicySource, *, budget_seconds: float) -> None:
        self._source = source
        self._budget_seconds = budget_seconds
        self._lock = asyncio.Lock()
        self._waiting: Counter[str] = Counter()
        self._process: Process | None = None

    def __repr__(self) -> str:
        pid = None if self._process is None else self._process.pid
        return f"Worker(pid={pid}, waiting={dict(self._waiting)})"

    async def evaluate(self, entry_point: str, document: bytes, *, tenant: str) -> str:
        """Evaluates the rule `entry_point` for `document`, on behalf of `tenant`; returns its value as JSON.

        Raises `EvaluationError`, also if the budget is exceeded or too many documents are waiting.
        """
        if self._waiting.total() >= MAXIMUM_WAITING:
            raise EvaluationError(
                f"{self._waiting.total()} large documents are waiting for a decision already"
            )
        if self._waiting[tenant] >= MAXIMUM_WAITING_OF_TENANT:
            raise EvaluationError(
                f"{self._waiting[tenant]} large documents of {tenant} are waiting for a decision already"
            )
        self._waiting[tenant] += 1
        try:
            async with self._lock:
                return await self._evaluate_in_process(entry_point, document)
        finally:
            self._waiting -= Counter([tenant])  # subtraction drops a tenant that has none left

    async def close(self) -> None:
        """Kills the process, if one is running."""
        process, self._process = self._process, None
        if process is not None:
            await _kill(process)

    async def _evaluate_in_process(self, entry_point: str, document: bytes) -> str:
        process = self._process or await self._start()
        request = EvaluationRequest(
            entry_point=entry_point, budget_seconds=self._budget_seconds, document=document
        )
        reply: EvaluationReply | None = None
        try:
            async with asyncio.timeout(self._budget_seconds):
                reply = await _exchange(process, msgspec.msgpack.encode(request))
        except TimeoutError:
            raise EvaluationError(f"no decision within {self._budget_seconds} s") from None
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise EvaluationError("the process that decides about large documents ended") from error
        finally:
            # No reply, also because the caller was cancelled: the process is killed, since the reply that is
            # still to come would be taken for that to the next document.
            if reply is None:
                await self.close()
        if reply.error:
            raise EvaluationError(reply.error)
        return reply.answer

    async def _start(self) -> Process:
        process: Process | None = None
        ready = False
        try:
            async with asyncio.timeout(START_SECONDS):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "gateway.policy.embedded.worker_main"),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env=_environment(),
                    # Ctrl-C goes to the whole session, but a gateway that drains still has documents to
                    # evaluate.
                    start_new_session=True,
                )
                ready = not (await _exchange(process, msgspec.msgpack.encode(self._source))).error
        except (TimeoutError, OSError, EOFError, msgspec.DecodeError) as error:
            raise EvaluationError("the process that decides about large documents does not start") from error
        finally:
            if process is not None and not ready:
                await _kill(process)
        if not ready:
            raise EvaluationError("the process that decides about large documents does not take the rules")
        self._process = process
        return process


async def _exchange(process: Process, payload: bytes) -> EvaluationReply:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(frame(payload))
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(HEADER_BYTES), "big")
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=EvaluationReply)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()  # waits for the exit status, which ends the zombie, and closes the pipes


def _environment() -> Mapping[str, str]:
    """The environment of the process, without the gateway's settings, which contain secrets."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[3])}
