"""One worker process of `python` tasks: starts it, sends it a call, kills it with all that it has started."""

import asyncio
import os
import subprocess
import uuid
from asyncio.streams import FlowControlMixin, StreamReaderProtocol
from typing import IO, Any, Final, Self

import msgspec
from msgspec import Struct

from clusters.embedded.executors.process.child_exit import exits_within, signal_name, wait_for_exit
from clusters.embedded.executors.process.leftovers import ADOPTED, clear_leftovers, find_leftovers
from clusters.embedded.executors.process.watchdog import signal_group
from clusters.embedded.executors.process.watchdog_client import AWAITED_CHILDREN, WatchdogClient
from clusters.embedded.executors.python import worker
from clusters.embedded.executors.python.settings import PythonSettings
from clusters.protocol import OUTPUT_BYTES

ANSWER_BYTES: Final = 4 * OUTPUT_BYTES
"""The most bytes of an answer: an output, as JSON within JSON."""


END_SECONDS: Final = 1.0
"""The seconds that a process which has closed its pipes gets to end by itself, and so to show how."""


WORKER_VARIABLE: Final = "WAYPOST_WORKER"
"""The variable that names a worker process, in its environment and in those of all that it starts.

A process that a function forks has the environment that its worker was started with, not the one of its
call, until it executes another program.
"""


class WorkerEnded(Exception):
    """Raised where a worker process ends before it has answered. The text says how, for people."""


class Answer(Struct, frozen=True, kw_only=True):
    """The answer of a worker process to a call."""

    output: str = ""
    """The result of the function, as JSON."""
    failure: str = ""
    memory: bool = False
    """Whether the function failed for lack of memory."""
    worn: bool = False
    """Whether the process must not be used again: the function has left processes, or closed its streams."""


class Worker:
    """A worker process, which belongs to one tenant from its start to its end."""

    def __init__(
        self, tenant: str, name: str, process: "subprocess.Popen[bytes]", watchdog: WatchdogClient
    ) -> None:
        self.tenant, self.calls = tenant, 0
        self._name, self._process, self._watchdog = name, process, watchdog
        self._identity = frozenset((os.fsencode(f"{WORKER_VARIABLE}={name}"),))
        self._transports: list[asyncio.BaseTransport] = []
        self.usable = True

    def __repr__(self) -> str:
        return f"Worker({self._process.pid}, {self.calls} calls)"

    @classmethod
    async def start(cls, tenant: str, settings: PythonSettings, watchdog: WatchdogClient) -> Self:
        """Starts a worker process without the cluster's environment; raises `OSError`."""
        name = uuid.uuid4().hex
        process = subprocess.Popen(  # noqa: ASYNC220  # by exec alone: a millisecond
            # -I: only what is installed in its environment is imported, nothing from folders of tasks.
            [settings.program, "-I", worker.__file__, str(settings.memory_mib << 20)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", WORKER_VARIABLE: name},
            cwd="/",
            start_new_session=True,
        )
        AWAITED_CHILDREN.add(process.pid)
        made = cls(tenant, name, process, watchdog)
        try:
            watchdog.watch(process.pid)
            assert process.stdout is not None
            assert process.stdin is not None
            await made._connect(process.stdout, process.stdin)
        except BaseException:
            await made.kill()
            raise
        return made

    async def call(self, request: dict[str, Any]) -> Answer:
        """Sends a call to the process, and returns its answer; raises `WorkerEnded` where none comes.

        The process is not usable after that, nor after a call that was cancelled.
        """
        self.calls += 1
        self.usable = False
        try:
            environment = request["environment"] | {WORKER_VARIABLE: self._name}
            payload = msgspec.json.encode(request | {"environment": environment})
            self._writer.write(len(payload).to_bytes(worker.HEADER_BYTES, "big") + payload)
            await self._writer.drain()
            length = int.from_bytes(await self._reader.readexactly(worker.HEADER_BYTES), "big")
            if length > ANSWER_BYTES:
                raise WorkerEnded(f"its result has more than {OUTPUT_BYTES >> 10} KiB")
            answer = msgspec.json.decode(await self._reader.readexactly(length), type=Answer)
        except (OSError, EOFError) as error:
            raise WorkerEnded(await self._end()) from error
        except msgspec.DecodeError as error:
            raise WorkerEnded(f"its worker process answers what is none: {error}") from error
        self.usable = not answer.worn
        return answer

    async def end_leftovers(self) -> None:
        """Kills what calls of this process have started and what has left its group."""
        ADOPTED.refresh()
        if find_leftovers((), self._identity):
            await clear_leftovers((), self._identity)

    async def kill(self) -> None:
        """Kills the process and all that it has started; returns when none of it is left."""
        if self._process.returncode is None:
            signal_group(self._process.pid)
            await wait_for_exit(self._process)
        await clear_leftovers([self._process.pid], self._identity)
        self._watchdog.unwatch(self._process.pid)
        for transport in self._transports:
            # A request that was not sent to its end is dropped.
            if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
                transport.abort()
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    async def _connect(self, answers: IO[bytes], requests: IO[bytes]) -> None:
        """Makes asyncio's streams of the pipes of the process."""
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(self._reader), answers)
        self._transports.append(reading)
        writing, protocol = await loop.connect_write_pipe(FlowControlMixin, requests)
        self._transports.append(writing)
        self._writer = asyncio.StreamWriter(writing, protocol, None, loop)

    async def _end(self) -> str:
        """Waits for the end of a process that has closed its pipes; returns how it ended, for people."""
        if not await exits_within(self._process, END_SECONDS):
            signal_group(self._process.pid)
            await wait_for_exit(self._process)
        code = self._process.returncode
        return (
            f"its worker process was killed by {signal_name(-code)}"
            if code < 0
            else (f"its worker process ended with exit code {code}")
        )
