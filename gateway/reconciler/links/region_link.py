"""Does the I/O of one region: one event stream, one probe at a time, and two batch calls at a time."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar, assert_never

from loguru import logger

from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import AttemptEnded, Batch, Beat, ClusterEvent, Hello, LeaseAsked, TaskChanged
from gateway.reconciler.links.reports import (
    AttemptListing,
    BadAnswer,
    BatchResult,
    ProbeResult,
    Report,
    StreamEnded,
    StreamEvent,
)
from gateway.settings import HealthSettings
from gateway.store.interface import Cursor
from waypost.cancellation import cancel_and_wait

INBOX_LIMIT = 500
"""The number of waiting reports at which the event stream is no longer read.

The cluster keeps its events meanwhile.

It bounds the work of one pass, behind which the reports of all regions wait.
"""
SILENCE_SLACK = 0.1
"""The fraction by which a stream may be silent for longer before it is opened again."""
REOPEN_SECONDS = 0.5
"""The pause between the end of a stream and the next attempt to open it."""
REOPEN_BAD_SECONDS = 5.0
"""The pause before a stream is opened again after a bad answer, which may have cost much to read."""
BATCHES_AT_ONCE = 2
"""The number of batches of requests that may be under way to a region at once.

With one, what is placed while a batch is under way waits for that batch's round trip before its own.
"""
CALL_TIMEOUT_SECONDS = 5.0
"""The timeout of a batch or listing call."""

T = TypeVar("T")


class RegionLink:
    """Calls the cluster of one region, reads its event stream, and reports the results. Implements `Link`."""

    def __init__(
        self, name: str, cluster: ClusterAdapter, *, settings: HealthSettings, wake: Callable[[], None]
    ) -> None:
        self.name = name
        self._cluster, self._settings, self._wake = cluster, settings, wake
        self._inbox: deque[Report] = deque()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._cursor = Cursor()
        self._acknowledgement: Batch | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._error: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(self._tasks.values())

    def __repr__(self) -> str:
        """Returns text such as `<RegionLink beijing: watch, send; 3 reports wait, stream at 12>`."""
        return (
            f"<RegionLink {self.name}: {', '.join(self._tasks) or 'nothing under way'};"
            f" {len(self._inbox)} reports wait, stream at {self._cursor.seq}>"
        )

    @property
    def can_send(self) -> bool:
        """Returns whether a batch of requests can be sent now: fewer than `BATCHES_AT_ONCE` are under way."""
        return self._free_place() is not None

    def drain(self) -> list[Report]:
        """Removes all reports from the link's inbox and returns them, oldest first.

        Raises the exception that ended one of the link's tasks: a bug of ours must not look like a silent
        region.
        """
        if self._error is not None:
            raise self._error
        reports = list(self._inbox)
        self._inbox.clear()
        self._has_room.set()
        return reports

    def probe(self) -> None:
        """Starts a health probe of the region's cluster, which requests the cluster's status."""
        self._start("probe", self._probe())

    def send(self, batch: Batch) -> None:
        """Starts to send one batch to the cluster; drops it if no further batch can be sent now.

        A batch that only acknowledges events is sent in any case, beside other batches.
        """
        if batch.creates or batch.tombstones or batch.renewals:
            if (place := self._free_place()) is not None:
                self._start(place, self._send(batch, place))
        else:
            self._acknowledgement = batch
            self._start("acknowledge", self._acknowledge())

    def list_attempts(self) -> None:
        """Starts a request for the list of the attempts that the region's cluster has."""
        self._start("list", self._list_attempts())

    def reopen_stream(self, cursor: Cursor) -> None:
        """Closes the event stream and opens it again, to read the events after `cursor`.

        Drops the events of the earlier stream that wait in the inbox.
        """
        self._cursor = cursor
        # Waiting events are of the stream before. If they moved the controller's cursor, the events that are
        # sent again from `cursor` on would look like known ones.
        self._inbox = deque(report for report in self._inbox if not isinstance(report, StreamEvent))
        if (task := self._tasks.pop("watch", None)) is not None:
            task.cancel()
        self._start("watch", self._watch())

    def _free_place(self) -> str | None:
        """Returns the name of a task that can send one more batch; None if there is none."""
        places = (f"send {number}" for number in range(BATCHES_AT_ONCE))
        return next((place for place in places if place not in self._tasks), None)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        # One task of each kind at a time. A call while the one before is under way is dropped: the controller
        # asks again at its next pass.
        if name in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=f"{self.name}:{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._on_end(name, done))

    def _on_end(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self._wake()

    def _put(self, report: Report) -> None:
        self._inbox.append(report)
        if len(self._inbox) >= INBOX_LIMIT:
            self._has_room.clear()
        self._wake()

    async def _probe(self) -> None:
        began = time.monotonic()
        status, error = await _call(self._cluster.probe(), self._settings.probe_timeout_seconds)
        failure, detail = (None, "") if error is None else (error.reason, error.detail)
        # No `_report_bad_answer`: the failed probe says it itself.
        result = ProbeResult(
            began=began, ended=time.monotonic(), status=status, failure=failure, detail=detail
        )
        self._put(result)

    async def _send(self, batch: Batch, place: str) -> None:
        began = time.monotonic()
        answers, error = await _call(self._cluster.apply(batch), CALL_TIMEOUT_SECONDS)
        # Before the report wakes the controller: it finds the place free then, and sends at once.
        del self._tasks[place]
        self._report_bad_answer(error)
        self._put(
            BatchResult(
                began=began,
                ended=time.monotonic(),
                batch=batch,
                answers=answers,
                failure=None if error is None else error.reason,
            )
        )

    async def _acknowledge(self) -> None:
        """Sends the newest acknowledgement of events to the cluster, until no newer one is left to send."""
        while (batch := self._acknowledgement) is not None:
            self._acknowledgement = None
            _, error = await _call(self._cluster.apply(batch), CALL_TIMEOUT_SECONDS)
            self._report_bad_answer(error)

    async def _list_attempts(self) -> None:
        began = time.monotonic()
        hello, error = await _call(self._cluster.attempts(), CALL_TIMEOUT_SECONDS)
        self._report_bad_answer(error)
        if hello is not None:
            self._put(AttemptListing(began=began, at=time.monotonic(), hello=hello))

    async def _watch(self) -> None:
        """Reads the event stream until cancelled; reopens it from its cursor when it ends or is silent."""
        while True:
            reason = await self._read_stream()
            self._put(StreamEnded(at=time.monotonic(), reason=reason))
            await asyncio.sleep(REOPEN_BAD_SECONDS if reason == "BadAnswer" else REOPEN_SECONDS)

    async def _read_stream(self) -> str:
        """Reads one event stream until it ends; returns the reason for its end."""
        began = time.monotonic()
        stream = self._cluster.watch(self._cursor.seq, self._cursor.incarnation)
        loop, silence = asyncio.get_running_loop(), self._settings.silence_seconds
        try:
            async with asyncio.timeout(silence) as silent:
                async for event in stream:
                    if not self._has_room.is_set():
                        silent.reschedule(None)  # it is we who do not listen
                        await self._has_room.wait()
                    at = loop.time()
                    # Not for each event: there may be thousands a second.
                    if (until := silent.when()) is None or until < at + silence:
                        silent.reschedule(at + silence * (1 + SILENCE_SLACK))
                    self._move_cursor(event)
                    self._put(StreamEvent(began=began, at=time.monotonic(), event=event))
            return "Ended"
        except TimeoutError:
            return "Silent"
        except ClusterError as error:
            self._report_bad_answer(error)
            return error.reason
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    def _report_bad_answer(self, error: ClusterError | None) -> None:
        if error is not None and error.reason == "BadAnswer":
            logger.bind(region=self.name).warning(
                "region {}: the cluster's answer cannot be believed: {}", self.name, error.detail
            )
            self._put(BadAnswer(at=time.monotonic(), detail=error.detail))

    def _move_cursor(self, event: ClusterEvent) -> None:
        match event:
            case Hello():
                # Another journal is read from its beginning.
                if event.status.incarnation != self._cursor.incarnation:
                    self._cursor = Cursor(incarnation=event.status.incarnation)
            case TaskChanged() | AttemptEnded():
                self._cursor = Cursor(incarnation=self._cursor.incarnation, seq=event.seq)
            case Beat() | LeaseAsked():
                pass
            case _:
                assert_never(event)


async def _call(call: Awaitable[T], seconds: float) -> tuple[T | None, ClusterError | None]:
    """Awaits a call to a cluster for at most `seconds`; returns (answer, None), or (None, error)."""
    try:
        async with asyncio.timeout(seconds):
            return await call, None
    except TimeoutError:
        return None, ClusterError("Timeout", f"no answer within {seconds:g} s")
    except ClusterError as error:
        return None, error
