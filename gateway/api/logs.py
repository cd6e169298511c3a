"""The output of a task, read from the region it ran in. A follower changes regions when the shard moves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from typing import Final

from msgspec import Struct, structs
from starlette.responses import Response, StreamingResponse

from clusters.errors import ClusterError
from clusters.protocol import AttemptId, LogChunk, TaskPhase
from gateway.api.earlier_attempts import region_of_attempt
from gateway.api.http.call import Call
from gateway.api.http.responses import ClosingResponse, encode_json
from gateway.api.runs import visible_run
from gateway.core.errors import Malformed, NotFound, Unavailable
from gateway.core.run import Run

NDJSON: Final = "application/x-ndjson"
OFFSET_MAXIMUM: Final = 2**53
"""The largest offset, in bytes. Larger integers are not exact in readers that keep numbers as doubles."""


class LogSource(Struct, frozen=True, kw_only=True):
    """The region and attempt to read a task's log from. `over`: the task has ended and writes no more."""

    region: str
    attempt: AttemptId
    over: bool


class LogPosition(Struct, frozen=True, kw_only=True):
    """A reader's position in a task's log: the attempt, and the next byte of its output to read."""

    source: LogSource
    task: str
    offset: int


class LogLine(Struct, frozen=True, kw_only=True):
    """A piece of a task's log, as a line of NDJSON.

    `offset`: where the next piece of this attempt's log begins, in bytes.
    """

    region: str
    epoch: int
    text: str
    offset: int


async def logs(call: Call) -> Response:
    """Read the output of a task of one shard, as text or (by `Accept`) as NDJSON.

    With `follow=true` the answer goes on until the task ends. `attempt` is the epoch of an earlier attempt.
    """
    run = await visible_run(call)
    task = call.query.value("task")
    if task is None:
        raise Malformed("the query parameter task is missing: it names the task")
    shard = call.query.number("shard", default=0, minimum=0, maximum=run.shard_count - 1)
    offset = call.query.number("offset", default=0, minimum=0, maximum=OFFSET_MAXIMUM)
    follow = call.query.flag("follow")
    source = await _newest_source(call, run, shard, task)
    if call.query.value("attempt") is not None:
        chosen = await _chosen_source(call, run, shard)
        if source is None or source.attempt != chosen.attempt:
            # Its log grows no more for this reader: an earlier attempt is ended wherever it is found.
            source, follow = chosen, False
    if source is None:
        raise NotFound(f"task {task} of shard {shard} has not started")
    with ExitStack() as exits:
        if follow:
            limits = call.services.settings.requests
            exits.enter_context(call.services.streams.slot(call.principal.tenant, limits))
        chunks = _open_log(call, source, task, offset=offset, follow=follow)
        first = await _first_chunk(chunks, source)
        position = LogPosition(source=source, task=task, offset=offset if first is None else first.offset)
        lines = _follow(call, run, position, first, chunks) if follow else _lines(source, first, chunks)
        response = _streaming(lines, ndjson=NDJSON in (call.header(b"accept") or ""))
        return ClosingResponse(response, exits.pop_all().close)


def _streaming(lines: AsyncGenerator[LogLine, None], *, ndjson: bool) -> Response:
    if ndjson:
        return StreamingResponse((encode_json(line) + b"\n" async for line in lines), media_type=NDJSON)
    return StreamingResponse((line.text async for line in lines), media_type="text/plain; charset=utf-8")


async def _newest_source(call: Call, run: Run, shard: int, task: str) -> LogSource | None:
    """The attempt that reported the task last; None where none has reported it."""
    row = await call.services.store.task(run.id, shard, task)
    if row is None:
        return None
    attempt = AttemptId(run=run.id, shard=shard, epoch=row.epoch)
    return LogSource(region=row.region, attempt=attempt, over=row.phase is not TaskPhase.RUNNING)


async def _chosen_source(call: Call, run: Run, shard: int) -> LogSource:
    """The attempt that the query names. Raises `NotFound` where the shard has had no such attempt."""
    epoch = call.query.number("attempt", default=0, minimum=1, maximum=OFFSET_MAXIMUM)
    region = await region_of_attempt(call.services.store, run.id, shard, epoch)
    if region is None:
        raise NotFound(f"shard {shard} has had no attempt {epoch}: `explain` lists them")
    return LogSource(region=region, attempt=AttemptId(run=run.id, shard=shard, epoch=epoch), over=True)


def _open_log(
    call: Call, source: LogSource, task: str, *, offset: int, follow: bool
) -> AsyncIterator[LogChunk]:
    """Opens the task's log in the cluster of `source`: its chunks from byte `offset` on.

    Raises `Unavailable` where the region was removed from the settings.
    """
    cluster = call.services.clusters.get(source.region)
    if cluster is None:
        raise Unavailable(f"region {source.region}, where the task ran, is not known to this gateway")
    return cluster.logs(source.attempt, task, offset=offset, follow=follow)


async def _first_chunk(chunks: AsyncIterator[LogChunk], source: LogSource) -> LogChunk | None:
    """The first chunk of a log; None where the log is empty.

    Raises `NotFound` if the region has no such log, `Unavailable` if it cannot be read. The chunk is read
    before the response begins, so that such a failure is a status, not a broken stream.
    """
    try:
        return await anext(chunks, None)
    except ClusterError as error:
        if error.reason == "NotFound":
            raise NotFound(f"region {source.region} has no log of this task") from error
        raise Unavailable(
            f"region {source.region}, where the task ran, cannot be read: {error.reason}"
        ) from error


async def _lines(
    source: LogSource, first: LogChunk | None, chunks: AsyncIterator[LogChunk]
) -> AsyncGenerator[LogLine, None]:
    """Yields the chunks of one attempt's log, from `first` on, as lines."""
    if first is not None:
        yield _line(source, first)
        async for chunk in _until_lost(chunks):
            yield _line(source, chunk)


async def _follow(
    call: Call, run: Run, position: LogPosition, first: LogChunk | None, chunks: AsyncIterator[LogChunk]
) -> AsyncGenerator[LogLine, None]:
    """Yields the task's log, from one attempt after another, until the task or the run is over.

    Ends before that where the server stops or the caller's token expires.
    """
    services = call.services
    with services.store.subscribe(run.id) as changed:
        async for line in _lines(position.source, first, chunks):
            position = structs.replace(position, offset=line.offset)
            yield line
        while True:
            # Cleared before the store is read: a change in between wakes the wait below.
            changed.clear()
            source = await _newest_source(call, run, position.source.attempt.shard, position.task)
            now = await services.store.run(run.id)
            if source is None or source.region not in services.clusters or now is None or now.phase.terminal:
                return
            if source.over and source.attempt == position.source.attempt:
                return
            # Another attempt runs the task from its beginning, and its log is another file.
            if source.attempt != position.source.attempt:
                position = structs.replace(position, source=source, offset=0)
            chunks = _open_log(call, source, position.task, offset=position.offset, follow=True)
            async for chunk in _until_lost(chunks):
                position = structs.replace(position, offset=chunk.offset)
                yield _line(source, chunk)
            if source.over or not await call.wait_for_change(changed):
                return
            # A run with many shards changes all the time: its region is not asked again for each change.
            await asyncio.sleep(services.settings.requests.follow_pause_seconds)


async def _until_lost(chunks: AsyncIterator[LogChunk]) -> AsyncGenerator[LogChunk, None]:
    """Yields the chunks, and ends without an error where the region stops answering.

    The store then knows where the task runs next.
    """
    try:
        async for chunk in chunks:
            yield chunk
    except ClusterError:
        return


def _line(source: LogSource, chunk: LogChunk) -> LogLine:
    return LogLine(region=source.region, epoch=source.attempt.epoch, text=chunk.text, offset=chunk.offset)
