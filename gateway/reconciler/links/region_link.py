"""The I/O of one region: an event stream that is opened again and again, one probe and one batch at a time. Decides nothing."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar

from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import AttemptEnded, Batch, ClusterEvent, Hello, TaskChanged
from gateway.reconciler.links.reports import Applied, Compared, Heard, Probed, Report, StreamEnded
from gateway.settings import HealthSettings
from gateway.store.interface import Cursor
from waypost.cancellation import cancel_and_wait

INBOX_LIMIT = 5_000
"""Reports that may wait; above it the stream is not read, and the cluster keeps its events."""
REOPEN_SECONDS = 0.5
APPLY_TIMEOUT_SECONDS = 5.0

T = TypeVar("T")


class RegionLink:
    """Turns what one cluster says into reports, and wakes the controller. Satisfies `gateway.reconciler.working_set.Link`."""

    def __init__(
        self, name: str, cluster: ClusterAdapter, *, settings: HealthSettings, wake: Callable[[], None]
    ) -> None:
        self.name = name
        self._cluster, self._settings, self._wake = cluster, settings, wake
        self._inbox: deque[Report] = deque()
        self._room = asyncio.Event()
        self._room.set()
        self._cursor = Cursor()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._broken: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(self._tasks.values())

    @property
    def idle(self) -> bool:
        return "send" not in self._tasks

    def drain(self) -> list[Report]:
        """What came in since. Raises what ended one of the tasks unexpectedly: a bug of ours must not look like a silent region."""
        if self._broken is not None:
            raise self._broken
        reports = list(self._inbox)
        self._inbox.clear()
        self._room.set()
        return reports

    def probe(self) -> None:
        self._start("probe", self._probe())

    def send(self, batch: Batch) -> None:
        self._start("send", self._send(batch))

    def compare(self) -> None:
        self._start("compare", self._compare())

    def reopen(self, cursor: Cursor) -> None:
        """What waits is of the stream before: behind it the events from `cursor` on would look like known ones."""
        self._cursor = cursor
        self._inbox = deque(report for report in self._inbox if not isinstance(report, Heard))
        if (task := self._tasks.pop("watch", None)) is not None:
            task.cancel()
        self._start("watch", self._watch())

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """One of each kind at a time; a second call while the first is under way is dropped, since the controller asks again."""
        if name in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=f"{self.name}:{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
            self._wake()

    def _put(self, report: Report) -> None:
        self._inbox.append(report)
        if len(self._inbox) >= INBOX_LIMIT:
            self._room.clear()
        self._wake()

    async def _probe(self) -> None:
        began = time.monotonic()
        status, error = await _tried(self._cluster.probe(), self._settings.probe_timeout_seconds)
        failure, detail = (None, "") if error is None else (error.reason, error.detail)
        self._put(Probed(began=began, ended=time.monotonic(), status=status, failure=failure, detail=detail))

    async def _send(self, batch: Batch) -> None:
        began = time.monotonic()
        answers, error = await _tried(self._cluster.apply(batch), APPLY_TIMEOUT_SECONDS)
        del self._tasks["send"]  # idle again before the controller wakes
        self._put(
            Applied(
                began=began,
                ended=time.monotonic(),
                batch=batch,
                answers=answers,
                failure=None if error is None else error.reason,
            )
        )

    async def _compare(self) -> None:
        began = time.monotonic()
        hello, _ = await _tried(self._cluster.attempts(), APPLY_TIMEOUT_SECONDS)
        if hello is not None:
            self._put(Compared(began=began, at=time.monotonic(), hello=hello))

    async def _watch(self) -> None:
        """The stream, for ever: a silent one is opened again from its cursor even while probes pass."""
        while True:
            reason = await self._read_stream()
            self._put(StreamEnded(at=time.monotonic(), reason=reason))
            await asyncio.sleep(REOPEN_SECONDS)

    async def _read_stream(self) -> str:
        began = time.monotonic()
        stream = self._cluster.watch(self._cursor.seq, self._cursor.incarnation)
        try:
            while True:
                async with asyncio.timeout(self._settings.silence_seconds):
                    event = await anext(stream)
                await self._room.wait()
                self._follow(event)
                self._put(Heard(began=began, at=time.monotonic(), event=event))
        except StopAsyncIteration:
            return "Ended"
        except TimeoutError:
            return "Silent"
        except ClusterError as error:
            return error.reason
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    def _follow(self, event: ClusterEvent) -> None:
        match event:
            case Hello():
                if event.status.incarnation != self._cursor.incarnation:
                    self._cursor = Cursor(incarnation=event.status.incarnation)
            case TaskChanged() | AttemptEnded():
                self._cursor = Cursor(incarnation=self._cursor.incarnation, seq=event.seq)
            case _:
                pass


async def _tried(call: Awaitable[T], seconds: float) -> tuple[T | None, ClusterError | None]:
    try:
        async with asyncio.timeout(seconds):
            return await call, None
    except TimeoutError:
        return None, ClusterError("Timeout", f"no answer within {seconds:g} s")
    except ClusterError as error:
        return None, error
