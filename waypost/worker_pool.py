"""A pool of child processes that answer requests and are killed when an answer takes too long.

Rules and conditions that users write cannot be bounded inside the process that serves everybody, and are
evaluated in such a process. A process that exceeds the budget of a request, or ends, is replaced at once. The
main loop of a process is `worker_process`; a process is started when it is first needed, by `exec`, without
the parent's environment.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from pathlib import Path
from typing import Final, Self

from waypost.worker_process import HEADER_BYTES, frame

START_SECONDS: Final = 10.0
PROGRESS_BYTES: Final = 4


class WorkerError(Exception):
    """Raised where a worker process did not answer a request. The text says why, for people."""


class WorkerBusy(WorkerError):
    """Raised where too many requests wait for a worker process already.

    `caller` says whether those are the caller's own.
    """

    def __init__(self, text: str, *, caller: bool) -> None:
        super().__init__(text)
        self.caller = caller


class WorkerTimeout(WorkerError):
    """Raised where a worker process exceeded the time budget of a request, and was killed."""


class WorkerEnded(WorkerError):
    """Raised where a worker process ended before it answered the request.

    `signal` is the one that ended the process (0: none), `progress` how many parts of the request it had
    done.
    """

    def __init__(self, *, signal: int, progress: int) -> None:
        super().__init__(f"the worker process was ended by signal {signal}" if signal else "it ended itself")
        self.signal, self.progress = signal, progress


class WorkerPool:
    """A pool of at most `size` child processes that run `module`; each answers one request at a time.

    Callers are served in rotation, and one caller occupies one process at most, until that is ready for the
    next request. The first message to each process is `greeting`. `budget_seconds` bounds the time of one
    request; at most `maximum_waiting` requests wait, and `maximum_waiting_of_caller` of one caller.
    """

    def __init__(
        self,
        module: str,
        *,
        size: int,
        budget_seconds: float,
        greeting: bytes = b"",
        maximum_waiting: int = 256,
        maximum_waiting_of_caller: int = 32,
    ) -> None:
        self._module, self._budget_seconds, self._greeting = module, budget_seconds, greeting
        self._maximum, self._maximum_of_caller = maximum_waiting, maximum_waiting_of_caller
        self._workers = [_Worker(module, greeting, budget_seconds) for _ in range(size)]
        self._idle = list(self._workers)
        self._served: set[str] = set()
        """The callers that occupy a process."""
        self._waiting: dict[str, deque[asyncio.Future[_Worker]]] = {}
        """The waiting requests by caller, in the order in which the callers are served."""
        self._replacing: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        pids = [worker.pid for worker in self._workers]
        waiting = {caller: len(turns) for caller, turns in self._waiting.items()}
        return f"WorkerPool({self._module}: pids {pids}, served {sorted(self._served)}, waiting {waiting})"

    async def call(self, request: bytes, *, caller: str) -> bytes:
        """Sends `request` to a worker process on behalf of `caller`; returns the answer.

        Raises `WorkerError` where too many requests wait, or no answer comes within the budget.
        """
        worker = await self._turn(caller)
        if worker.pid is None:
            # The first request: the next one of another caller should not wait for a process to start.
            self.start()
        try:
            return await worker.exchange(request)
        finally:
            if worker.lost and not self._closed:
                # Its place is free only when its replacement is ready: what kills one process after the other
                # must not take those of other callers.
                self._start(worker, caller)
            else:
                self._release(worker, caller)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Starts the child processes in the background; otherwise each starts with its first request."""
        for idle in [idle for idle in self._idle if idle.pid is None]:
            self._idle.remove(idle)
            self._start(idle, None)

    async def close(self) -> None:
        """Kills all child processes. A call under way gets a `WorkerError`; waiting calls are cancelled."""
        self._closed = True
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        for turns in self._waiting.values():
            for turn in turns:
                turn.cancel()
        self._waiting.clear()
        for worker in self._workers:
            await worker.close()

    async def _turn(self, caller: str) -> "_Worker":
        """Waits until the caller gets a free worker process, and returns the process.

        Raises `WorkerBusy` where `maximum_waiting` requests, or `maximum_waiting_of_caller` requests of this
        caller, wait or are served already.
        """
        if (total := sum(map(len, self._waiting.values())) + len(self._served)) >= self._maximum:
            raise WorkerBusy(f"{total} requests are waiting already", caller=False)
        own = len(self._waiting.get(caller, ())) + (caller in self._served)
        if own >= self._maximum_of_caller:
            raise WorkerBusy(f"{own} requests of {caller} are waiting already", caller=True)
        turn: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._assign()
        try:
            return await turn
        except asyncio.CancelledError:
            # Cancelled in the moment in which a process was assigned: that goes to the next.
            if turn.done() and not turn.cancelled():
                self._release(turn.result(), caller)
            else:
                self._forget(caller, turn)
            raise

    def _assign(self) -> None:
        """Gives the idle worker processes to the callers that are next in the rotation."""
        for caller in list(self._waiting):
            if not self._idle:
                return
            if caller in self._served:
                continue
            turns = self._waiting.pop(caller)
            turn = turns.popleft()
            if turns:
                self._waiting[caller] = turns  # behind all others
            self._served.add(caller)
            turn.set_result(self._idle.pop())

    def _release(self, worker: "_Worker", caller: str | None) -> None:
        if caller is not None:
            self._served.discard(caller)
        self._idle.append(worker)
        self._assign()

    def _forget(self, caller: str, turn: "asyncio.Future[_Worker]") -> None:
        turns = self._waiting.get(caller)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[caller]

    def _start(self, worker: "_Worker", caller: str | None) -> None:
        """Starts a worker process in the background, on behalf of `caller`, who occupies it meanwhile."""
        task = asyncio.create_task(self._replace(worker, caller), name=f"start {self._module}")
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, worker: "_Worker", caller: str | None) -> None:
        try:
            await worker.close()
            await worker.start()
        except WorkerError:
            pass  # the next request starts it, or learns why that fails
        finally:
            self._release(worker, caller)


class _Worker:
    """One child process of the pool, started by the first request to it."""

    def __init__(self, module: str, greeting: bytes, budget_seconds: float) -> None:
        self._module, self._greeting, self._budget_seconds = module, greeting, budget_seconds
        self._process: Process | None = None
        self._progress = -1
        self.lost = False
        """Whether the process was killed or has ended, so that `close` and then `start` must be called."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Starts the child process and sends the greeting to it.

        Raises `WorkerError` where the process does not start and answer within `START_SECONDS`.
        """
        answered = False
        try:
            async with asyncio.timeout(START_SECONDS):
                self._progress = os.memfd_create("progress")
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", self._module),
                    *(str(self._budget_seconds), str(self._progress)),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    pass_fds=(self._progress,),
                    env=_environment(),
                    # Ctrl-C goes to the whole session, but who drains still has requests to be answered.
                    start_new_session=True,
                )
                await _exchange(self._process, self._greeting)
                answered = True
        except (TimeoutError, OSError, EOFError) as error:
            raise WorkerError(f"a worker process does not start: {error or type(error).__name__}") from error
        finally:
            if not answered:
                self._kill()
        self.lost = False

    async def exchange(self, request: bytes) -> bytes:
        """Sends a request to the child process and returns the answer; starts the process if needed.

        Raises `WorkerError` where no answer comes: the process does not start, is too slow, or ends.
        """
        if self._process is None:
            await self.start()
        process, answer = self._process, None
        assert process is not None
        try:
            async with asyncio.timeout(self._budget_seconds):
                answer = await _exchange(process, request)
                return answer
        except TimeoutError:
            raise WorkerTimeout(f"no answer within {self._budget_seconds:g} s") from None
        except (OSError, EOFError) as error:
            progress = int.from_bytes(os.pread(self._progress, PROGRESS_BYTES, 0), "big")
            raise WorkerEnded(signal=max(0, -await process.wait()), progress=progress) from error
        finally:
            # Also where the caller was cancelled: the answer that is still to come would be taken for that to
            # the next request.
            if answer is None:
                self._kill()

    def _kill(self) -> None:
        self.lost = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """Kills the child process, if it is running."""
        self._kill()
        if self._process is not None:
            # Waits for the exit status, which ends the zombie, and closes the pipes. Forgotten only then:
            # a replacement that is cancelled here leaves the rest to the pool's own `close`.
            await self._process.communicate()
            self._process = None
        if self._progress >= 0:
            os.close(self._progress)
            self._progress = -1


async def _exchange(process: Process, payload: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdin.is_closing():
        # It has ended. uvloop's `write` would raise a `RuntimeError`, and asyncio's none at all.
        raise BrokenPipeError("its input is closed")
    process.stdin.write(frame(payload))
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(HEADER_BYTES), "big")
    return await process.stdout.readexactly(length)


def _environment() -> dict[str, str]:
    """Returns the environment variables of a child process: none of this process's, which hold secrets."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])}
