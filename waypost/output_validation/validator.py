"""Checks outputs against JSON Schemas in child processes, which are killed when a check takes too long."""

import signal
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec
from msgspec import Raw

from waypost.output_validation.messages import CheckReply, CheckRequest
from waypost.worker_pool import WorkerEnded, WorkerPool

CHECK_SECONDS: Final = 1.0
"""The processor time in seconds that one check may take."""
WORKERS: Final = 2
"""The number of child processes; one caller occupies one at most, so the other is free for all others."""
WAIT_SECONDS: Final = 15.0
"""The seconds after which a child process that does not answer is killed.

The processor time of a check is bounded by far less.
"""
WAITING: Final = 16_384
"""The most checks that wait: more than the tries that a cluster runs at once."""


class OutputValidator:
    """Checks outputs of tasks in at most two child processes, which start with the first check.

    They are killed when `async with` ends. `budget_seconds` is the most processor time of one check.
    """

    def __init__(self, *, budget_seconds: float = CHECK_SECONDS) -> None:
        self._budget_seconds = budget_seconds
        self._pool = WorkerPool(
            "waypost.output_validation.worker_main",
            size=WORKERS,
            budget_seconds=WAIT_SECONDS,
            maximum_waiting=WAITING,
            maximum_waiting_of_caller=WAITING,
        )

    def __repr__(self) -> str:
        return f"OutputValidator({self._budget_seconds:g} s, {self._pool})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def fault(self, schema: Mapping[str, Any], output: Any, *, caller: str) -> str | None:
        """Returns why `output` does not fit `schema`, with a JSON pointer; None if it fits.

        Callers are served in turn. Raises `WorkerError` where no child process can be asked.
        """
        request = CheckRequest(
            schema=msgspec.json.encode(schema),
            output=Raw(msgspec.msgpack.encode(output)),
            budget_seconds=self._budget_seconds,
        )
        try:
            answer = await self._pool.call(msgspec.msgpack.encode(request), caller=caller)
        except WorkerEnded as error:
            if error.signal == signal.SIGPROF:
                return f"cannot be checked: that takes more than {self._budget_seconds:g} s of processor time"
            return "cannot be checked: it is more than the checker can bear"
        reply = msgspec.msgpack.decode(answer, type=CheckReply)
        if not reply.reason:
            return None
        return f"does not fit its schema: {reply.pointer or 'as a whole'} {reply.reason}"
