"""What a task wrote, from whichever region it ran in. A follower goes along when its shard moves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from typing import Final

from msgspec import Struct, structs
from starlette.responses import Response, StreamingResponse

from clusters.errors import ClusterError
from clusters.protocol import AttemptId, LogChunk, TaskPhase
from gateway.api.calls import Call, encode
from gateway.api.event_feed import Held
from gateway.api.runs import visible
from gateway.core.errors import Malformed, NotFound, Unavailable
from gateway.core.run import Run

NDJSON: Final = "application/x-ndjson"
OFFSET_MAXIMUM: Final = 2**53


class Source(Struct, frozen=True, kw_only=True):
    """The attempt whose words count now. `over`: the task will not write any more."""

    region: str
    attempt: AttemptId
    over: bool


class Reading(Struct, frozen=True, kw_only=True):
    """How far a follower is in one attempt, in bytes."""

    source: Source
    task: str
    offset: int


class LogLine(Struct, frozen=True, kw_only=True):
    """A piece of a log in NDJSON. `offset`: where the next piece of this attempt begins, in bytes."""

    region: str
    epoch: int
    text: str
    offset: int


async def logs(call: Call) -> Response:
    """Read what a task of a shard wrote, as text or (by `Accept`) as NDJSON; `follow=true` until the task ends."""
    run = await visible(call)
    task = call.asked("task")
    if task is None:
        raise Malformed("the query parameter task is missing: it names the task")
    shard = call.number("shard", default=0, minimum=0, maximum=run.shard_count - 1)
    offset = call.number("offset", default=0, minimum=0, maximum=OFFSET_MAXIMUM)
    follow = call.flag("follow")
    source = await _source(call, run, shard, task)
    if source is None:
        raise NotFound(f"task {task} of shard {shard} has not started")
    with ExitStack() as place:
        if follow:
            place.enter_context(
                call.front.following.stream(call.principal.tenant, call.front.settings.requests)
            )
        chunks = _read(call, source, task, offset=offset, follow=follow)
        first = await _first(chunks, source)
        reading = Reading(source=source, task=task, offset=offset if first is None else first.offset)
        lines = _lines(call, run, reading, first, chunks) if follow else _once(source, first, chunks)
        return Held(_streaming(lines, ndjson=NDJSON in (call.header(b"accept") or "")), place.pop_all().close)


def _streaming(lines: AsyncGenerator[LogLine, None], *, ndjson: bool) -> Response:
    if ndjson:
        return StreamingResponse((encode(line) + b"\n" async for line in lines), media_type=NDJSON)
    return StreamingResponse((line.text async for line in lines), media_type="text/plain; charset=utf-8")


async def _source(call: Call, run: Run, shard: int, task: str) -> Source | None:
    """Where the task ran last, or where its shard is now."""
    row = await call.front.store.task(run.id, shard, task)
    if row is None:
        return None
    attempt = AttemptId(run=run.id, shard=shard, epoch=row.epoch)
    return Source(region=row.region, attempt=attempt, over=row.phase is not TaskPhase.RUNNING)


def _read(call: Call, source: Source, task: str, *, offset: int, follow: bool) -> AsyncIterator[LogChunk]:
    cluster = call.front.clusters.get(source.region)
    if cluster is None:
        raise Unavailable(f"region {source.region}, where the task ran, is not known to this gateway")
    return cluster.logs(source.attempt, task, offset=offset, follow=follow)


async def _first(chunks: AsyncIterator[LogChunk], source: Source) -> LogChunk | None:
    """The first piece, so that a region that cannot be read is a status and not a broken stream."""
    try:
        return await anext(chunks, None)
    except ClusterError as error:
        if error.reason == "NotFound":
            raise NotFound(f"region {source.region} has no log of this task") from error
        raise Unavailable(
            f"region {source.region}, where the task ran, cannot be read: {error.reason}"
        ) from error


async def _once(
    source: Source, first: LogChunk | None, chunks: AsyncIterator[LogChunk]
) -> AsyncGenerator[LogLine, None]:
    """What is there now."""
    if first is not None:
        yield _line(source, first)
        async for chunk in _unbroken(chunks):
            yield _line(source, chunk)


async def _lines(
    call: Call, run: Run, reading: Reading, first: LogChunk | None, chunks: AsyncIterator[LogChunk]
) -> AsyncGenerator[LogLine, None]:
    """What is there and what comes, from one attempt after another: a follower stays until the task is over, in whichever region."""
    with call.front.store.subscribe(run.id) as changed:
        async for line in _once(reading.source, first, chunks):
            reading = structs.replace(reading, offset=line.offset)
            yield line
        while True:
            changed.clear()
            source = await _source(call, run, reading.source.attempt.shard, reading.task)
            now = await call.front.store.run(run.id)
            if (
                source is None
                or source.region not in call.front.clusters
                or now is None
                or now.phase.terminal
            ):
                return
            if source.over and source.attempt == reading.source.attempt:
                return
            if source.attempt != reading.source.attempt:
                reading = structs.replace(reading, source=source, offset=0)
            async for chunk in _unbroken(
                _read(call, source, reading.task, offset=reading.offset, follow=True)
            ):
                reading = structs.replace(reading, offset=chunk.offset)
                yield _line(source, chunk)
            if source.over or not await call.woken(changed):
                return
            await asyncio.sleep(call.front.settings.requests.follow_pause_seconds)


async def _unbroken(chunks: AsyncIterator[LogChunk]) -> AsyncGenerator[LogChunk, None]:
    """Ends where the region does not answer any more: what the store hears next tells where to go on."""
    try:
        async for chunk in chunks:
            yield chunk
    except ClusterError:
        return


def _line(source: Source, chunk: LogChunk) -> LogLine:
    return LogLine(region=source.region, epoch=source.attempt.epoch, text=chunk.text, offset=chunk.offset)
