"""Follows the log of a task from one attempt to the next, as its shard moves between regions."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct, structs

from clusters.errors import ClusterError
from clusters.protocol import LogChunk
from gateway.api.http.call import Call
from gateway.api.logs.lines import LogLine
from gateway.api.logs.reading import LogSource, follow_attempt
from gateway.core.errors import NotFound, TooManyRequests
from gateway.core.run import Run
from gateway.core.shard_states import attempt_id


class LogPosition(Struct, frozen=True, kw_only=True):
    """A reader's position in a task's log: the attempt, and the next byte of its output to read.

    `pinned`: the reader wants no other attempt's log.
    """

    source: LogSource
    offset: int
    pinned: bool = False


async def newest_source(call: Call, run: Run, shard: int, task: str) -> LogSource | None:
    """Returns the region and attempt that last reported the task; None if none has. Raises `NotFound`."""
    row = await call.services.store.task(run.id, shard, task)
    if row is None:
        return None
    if row.instances is not None:
        raise NotFound(f"{task} has no log of its own: its {row.instances} instances have, as {task}[0]")
    attempt = attempt_id(run.id, shard, row.epoch)
    return LogSource(region=row.region, attempt=attempt, task=task, over=row.over)


async def log_lines(
    source: LogSource, chunks: AsyncGenerator[LogChunk, None]
) -> AsyncGenerator[LogLine, None]:
    """Yields the chunks of one attempt's log as `LogLine`s; ends without an error if reading fails.

    If the region is lost, the store knows where the task runs next.
    """
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield LogLine(
                    region=source.region,
                    epoch=source.attempt.epoch,
                    text=chunk.text,
                    offset=chunk.offset,
                    written_at=chunk.written_at,
                )
    except (ClusterError, TooManyRequests):
        return


async def follow_task(
    call: Call, run: Run, position: LogPosition, chunks: AsyncGenerator[LogChunk, None]
) -> AsyncGenerator[LogLine, None]:
    """Yields a task's log from one attempt after another, until the task or the run has ended.

    Ends earlier if the server stops or the caller's token expires, and with the attempt if that is pinned.
    """
    services, again = call.services, False
    shard, task, timed = position.source.attempt.shard, position.source.task, position.source.timed
    with services.store.subscribe(run.id) as changed:
        while True:
            async with aclosing(log_lines(position.source, chunks)) as lines:
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
            source = await newest_source(call, run, shard, task)
            now = await services.store.run(run.id)
            if source is None or source.region not in services.clusters or now is None or now.phase.terminal:
                return
            is_same = source.attempt == position.source.attempt
            if (source.over and is_same) or (position.pinned and not is_same):
                return
            # Another attempt runs the task from its beginning, and its log is another file.
            source = structs.replace(source, timed=timed)
            position = structs.replace(position, source=source, offset=position.offset if is_same else 0)
            chunks = follow_attempt(call, source, position.offset)
