"""Large documents are decided in a process of its own: it can be killed, and the event loop does not wait for it.

The process starts with the first large document and stays. One that outruns its budget, or breaks, is killed, and the next document
starts another.
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
from gateway.policy.embedded.worker_process import HEADER_BYTES, EvaluationReply, EvaluationRequest, frame
from gateway.policy.source import PolicySource

START_SECONDS: Final = 10.0
WAITING_MAXIMUM: Final = 32
"""Documents that may wait for the process. One more is refused at once: a queue that only grows answers nobody."""
TENANT_MAXIMUM: Final = 8
"""How many of them may be one tenant's: it must not keep the others out."""


class Worker:
    """At most one process, one document at a time, in order of arrival."""

    def __init__(self, rules: PolicySource, *, budget_seconds: float) -> None:
        self._rules = rules
        self._budget_seconds = budget_seconds
        self._turn = asyncio.Lock()
        self._waiting: Counter[str] = Counter()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, where one is running."""
        return None if self._process is None else self._process.pid

    async def evaluate(self, entry_point: str, document: bytes, *, tenant: str) -> str:
        """The value of the rule `entry_point` as JSON, asked for `tenant`. Raises `EvaluationError`, also where the budget is used up."""
        if self._waiting.total() >= WAITING_MAXIMUM:
            raise EvaluationError(
                f"{self._waiting.total()} large documents are waiting for a decision already"
            )
        if self._waiting[tenant] >= TENANT_MAXIMUM:
            raise EvaluationError(
                f"{self._waiting[tenant]} large documents of {tenant} are waiting for a decision already"
            )
        self._waiting[tenant] += 1
        try:
            async with self._turn:
                return await self._ask(entry_point, document)
        finally:
            self._waiting -= Counter([tenant])  # forgets a tenant that has none left

    async def close(self) -> None:
        """Ends the process, whatever it is at."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def _ask(self, entry_point: str, document: bytes) -> str:
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
            if (
                reply is None
            ):  # also when the caller gave up: the answer to come would be taken for the next document's
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
                    *(sys.executable, "-P", "-m", "gateway.policy.embedded.worker_process"),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for the gateway, which still has documents to decide about while it drains
                )
                ready = not (await _exchange(process, msgspec.msgpack.encode(self._rules))).error
        except (TimeoutError, OSError, EOFError, msgspec.DecodeError) as error:
            raise EvaluationError("the process that decides about large documents does not start") from error
        finally:
            if process is not None and not ready:
                await _end(process)
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


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()  # reaps it and closes the pipes


def _environment() -> Mapping[str, str]:
    """Nothing of the gateway's own: its settings hold secrets."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[3])}
