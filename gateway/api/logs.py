"""The API handler of task logs: reads a task's output from its region, or follows it while the task runs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Final

from msgspec import Struct, structs
from starlette.responses import Response, StreamingResponse

from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import AttemptId, LogChunk
from clusters.transport import CONNECTIONS, Purpose
from gateway.api.earlier_attempts import region_of_attempt
from gateway.api.http.call import Call
from gateway.api.http.descriptions import NDJSON
from gateway.api.http.responses import ClosingResponse, encode_json
from gateway.api.runs import visible_run
from gateway.core.errors import Malformed, NotFound, TooManyRequests, Unavailable
from gateway.core.run import Run
from gateway.core.shard_states import attempt_id
from gateway.settings import RequestSettings
from waypost.cancellation import cancel_and_wait
from waypost.workflow.stages import shard_name

OFFSET_MAXIMUM: Final = 2**53
"""The maximum offset in bytes: larger integers are not exact in readers that use doubles."""
FIRST_SECONDS: Final = 1.0
"""The seconds that a response that follows a log waits for first output before it begins."""
WINDOW_CHARACTERS: Final = 262_144
"""The number of characters of a log that are read from a cluster at once and kept for a slow client."""
WINDOW_CHUNKS: Final = 1_024
"""The number of chunks after which a window ends, however short they are: each takes memory of its own."""
FOLLOWERS: Final = RequestSettings(streams_per_tenant=32, streams_maximum=CONNECTIONS[Purpose.FOLLOW] - 8)
"""The limits on followed logs in one region, per tenant and in all: fewer than the connections for them, of
which a few may still be closing."""


class LogSource(Struct, frozen=True, kw_only=True):
    """The region and attempt from which a task's log is read. `over`: the task has ended."""

    region: str
    attempt: AttemptId
    over: bool


class LogPosition(Struct, frozen=True, kw_only=True):
    """A reader's position in a task's log: the attempt, and the next byte of its output to read."""

    source: LogSource
    shard: int
    task: str
    offset: int


class LogLine(Struct, frozen=True, kw_only=True):
    """A piece of a task's log, sent as one line of NDJSON.

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
    shard = call.query.shard(run.shard_count) or 0
    offset = call.query.number("offset", default=0, minimum=0, maximum=OFFSET_MAXIMUM)
    follow = call.query.flag("follow")
    source = await _newest_source(call, run, shard, task)
    if call.query.value("attempt") is not None:
        chosen = await _chosen_source(call, run, shard)
        if source is None or source.attempt != chosen.attempt:
            # Its log grows no more for this reader: an earlier attempt is ended wherever it is found.
            source, follow = chosen, False
    if source is None:
        raise NotFound(f"task {task} of shard {shard_name(shard)} has not started")
    with ExitStack() as exits:
        if follow:
            limits = call.services.settings.requests
            exits.enter_context(call.services.streams.slot(call.principal.tenant, limits))
        chunks = await _await_first_chunk(
            (_follow_attempt if follow else _read_attempt)(call, source, task, offset),
            source,
            exits,
            wait_seconds=FIRST_SECONDS if follow else None,
        )
        position = LogPosition(source=source, shard=shard, task=task, offset=offset)
        lines = _follow_task(call, run, position, chunks) if follow else _lines(source, chunks)
        response = _streaming(lines, ndjson=NDJSON in (call.header(b"accept") or ""))
        seconds = call.seconds_left if follow else None
        return ClosingResponse(response, exits.pop_all().close, seconds=seconds)


def _streaming(lines: AsyncGenerator[LogLine, None], *, ndjson: bool) -> Response:
    media_type = NDJSON if ndjson else "text/plain; charset=utf-8"
    return StreamingResponse(_encoded(lines, ndjson=ndjson), media_type=media_type)


async def _encoded(lines: AsyncGenerator[LogLine, None], *, ndjson: bool) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield encode_json(line) + b"\n" if ndjson else line.text.encode()


async def _newest_source(call: Call, run: Run, shard: int, task: str) -> LogSource | None:
    """Returns the region and attempt that last reported the task; None if none has. Raises `NotFound`."""
    row = await call.services.store.task(run.id, shard, task)
    if row is None:
        return None
    if row.instances is not None:
        raise NotFound(f"{task} has no log of its own: its {row.instances} instances have, as {task}[0]")
    attempt = attempt_id(run.id, shard, row.epoch)
    return LogSource(region=row.region, attempt=attempt, over=row.over)


async def _chosen_source(call: Call, run: Run, shard: int) -> LogSource:
    """Returns the region and attempt that the query names.

    Raises `NotFound` if the shard had no such attempt, or if its region was taken out of the settings.
    """
    epoch = call.query.number("attempt", default=0, minimum=1, maximum=OFFSET_MAXIMUM)
    region = await region_of_attempt(call.services.store, run.id, shard, epoch)
    if region is None:
        raise NotFound(f"shard {shard_name(shard)} has had no attempt {epoch}: `explain` lists them")
    if region not in call.services.clusters:
        # Not a matter of waiting: it was taken out of the settings, and what was written there is gone.
        raise NotFound(
            f"attempt {epoch} of shard {shard_name(shard)} ran in {region}, which is not among this gateway's"
            " regions any more: what it wrote cannot be read"
        )
    return LogSource(region=region, attempt=attempt_id(run.id, shard, epoch), over=True)


def _cluster_of(call: Call, source: LogSource) -> ClusterAdapter:
    """Returns the cluster of the source's region.

    Raises `Unavailable` if the settings have no such region.
    """
    cluster = call.services.clusters.get(source.region)
    if cluster is None:
        raise Unavailable(f"region {source.region}, where the task ran, is not known to this gateway")
    return cluster


async def _read_attempt(
    call: Call, source: LogSource, task: str, offset: int
) -> AsyncGenerator[LogChunk, None]:
    """Yields one attempt's log of a task, from byte `offset` to its present end.

    Reads the log from the cluster in windows, so that a slow client holds no connection to the cluster.
    Raises `Unavailable` where the tenant gets no turn, `TooManyRequests` where the tenant has too much
    unread.
    """
    cluster, tenant, services = _cluster_of(call, source), call.principal.tenant, call.services
    services.unread.check(tenant, services.settings.requests)
    turn, ended = call.turn(services.log_reads[source.region]), False
    while not ended:
        window: list[LogChunk] = []
        size, ended = 0, True
        chunks = cluster.logs(source.attempt, task, offset=offset, follow=False)
        async with turn, _closed_at_end(chunks):
            async for chunk in chunks:
                window.append(chunk)
                size, offset = size + len(chunk.text), chunk.offset
                if size >= WINDOW_CHARACTERS or len(window) == WINDOW_CHUNKS:
                    ended = False
                    break
        with services.unread.hold(tenant, size):
            for chunk in window:
                yield chunk
        # From the second window on the response has begun: it waits as long as it takes.
        turn = services.log_reads[source.region].turn(tenant)


async def _follow_attempt(
    call: Call, source: LogSource, task: str, offset: int
) -> AsyncGenerator[LogChunk, None]:
    """Yields one attempt's log of a task from byte `offset` on, as the task writes it.

    Raises `TooManyRequests` where the tenant follows too many logs of that region already.
    """
    cluster = _cluster_of(call, source)
    place = call.services.followers.slot(call.principal.tenant, FOLLOWERS, among=source.region)
    chunks = cluster.logs(source.attempt, task, offset=offset, follow=True)
    with place:
        async with _closed_at_end(chunks):
            async for chunk in chunks:
                yield chunk


@asynccontextmanager
async def _closed_at_end(chunks: AsyncIterator[LogChunk]) -> AsyncIterator[None]:
    """Opens a context that at its end closes the log stream `chunks` and its connection."""
    try:
        yield
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def _await_first_chunk(
    chunks: AsyncGenerator[LogChunk, None], source: LogSource, exits: ExitStack, *, wait_seconds: float | None
) -> AsyncGenerator[LogChunk, None]:
    """Waits at most `wait_seconds` for the first chunk of a log; returns all chunks, the first included.

    Raises `NotFound` if the region has no such log, `Unavailable` if it cannot be read. The chunk is awaited
    before the response begins, so that such a failure is a status, not a broken stream.
    """
    first = asyncio.create_task(anext(chunks, None))
    exits.callback(first.cancel)
    await asyncio.wait((first,), timeout=wait_seconds)
    try:
        if first.done():
            first.result()
    except ClusterError as error:
        if error.reason == "NotFound":
            raise NotFound(
                f"region {source.region} has no log of this task from attempt {source.attempt.epoch}"
            ) from error
        raise Unavailable(
            f"region {source.region}, where attempt {source.attempt.epoch} of the task ran,"
            f" cannot be read: {error.reason}"
        ) from error
    return _resumed(first, chunks)


async def _resumed(
    first: "asyncio.Task[LogChunk | None]", chunks: AsyncGenerator[LogChunk, None]
) -> AsyncGenerator[LogChunk, None]:
    async with aclosing(chunks):
        try:
            chunk = await first
        finally:
            await cancel_and_wait((first,))
        if chunk is not None:
            yield chunk
            async for chunk in chunks:
                yield chunk


async def _lines(source: LogSource, chunks: AsyncGenerator[LogChunk, None]) -> AsyncGenerator[LogLine, None]:
    """Yields the chunks of one attempt's log as `LogLine`s; ends without an error if reading fails.

    If the region is lost, the store knows where the task runs next.
    """
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield LogLine(
                    region=source.region, epoch=source.attempt.epoch, text=chunk.text, offset=chunk.offset
                )
    except (ClusterError, TooManyRequests):
        return


async def _follow_task(
    call: Call, run: Run, position: LogPosition, chunks: AsyncGenerator[LogChunk, None]
) -> AsyncGenerator[LogLine, None]:
    """Yields a task's log from one attempt after another, until the task or the run has ended.

    Ends earlier if the server stops or the caller's token expires.
    """
    services, again = call.services, False
    with services.store.subscribe(run.id) as changed:
        while True:
            async with aclosing(_lines(position.source, chunks)) as lines:
                async for line in lines:
                    position = structs.replace(position, offset=line.offset)
                    yield line
            if again and (position.source.over or not await call.wait_for_change(changed)):
                return
            if again:
                # A run with many shards changes all the time: its region is not asked again for each change.
                await asyncio.sleep(services.settings.requests.follow_pause_seconds)
            again = True
            # Cleared before the store is read: a change in between wakes the wait above.
            changed.clear()
            source = await _newest_source(call, run, position.shard, position.task)
            now = await services.store.run(run.id)
            if source is None or source.region not in services.clusters or now is None or now.phase.terminal:
                return
            if source.over and source.attempt == position.source.attempt:
                return
            # Another attempt runs the task from its beginning, and its log is another file.
            offset = position.offset if source.attempt == position.source.attempt else 0
            position = structs.replace(position, source=source, offset=offset)
            chunks = _follow_attempt(call, source, position.task, offset)
