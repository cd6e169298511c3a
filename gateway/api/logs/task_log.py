"""The API handler of task logs: reads a task's output from its region, or follows it while the task runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Final

from msgspec import structs
from starlette.responses import Response

from clusters.errors import ClusterError
from clusters.protocol import LogChunk
from gateway.api.earlier_attempts import region_of_attempt
from gateway.api.http.call import Call
from gateway.api.http.descriptions import NDJSON
from gateway.api.http.responses import ClosingResponse
from gateway.api.logs.following import LogPosition, follow_task, log_lines, newest_source
from gateway.api.logs.lines import streaming_response
from gateway.api.logs.reading import LogSource, follow_attempt, read_attempt
from gateway.api.logs.selection import Beginning, Selection, after_newlines, find_beginning
from gateway.api.runs import visible_run
from gateway.core.errors import Malformed, NotFound, Unavailable
from gateway.core.run import Run
from gateway.core.shard_states import attempt_id
from waypost.cancellation import cancel_and_wait
from waypost.workflow.stages import shard_name

NUMBER_MAXIMUM: Final = 2**53
"""The maximum of an offset, epoch or time: larger integers are not exact in readers that use doubles."""
FIRST_SECONDS: Final = 1.0
"""The seconds that a response that follows a log waits for first output before it begins."""


async def logs(call: Call) -> Response:
    """Read the output of a task of one shard, as text or (by `Accept`) as NDJSON.

    With `follow=true` the answer goes on until the task ends. `attempt` is the epoch of an earlier attempt.
    `since` (seconds since 1970) leaves out older lines, `tail` all but the last ones that there are when the
    answer begins, and `timestamps=true` says when each line was written.
    """
    run = await visible_run(call)
    task = call.query.value("task")
    if task is None:
        raise Malformed("the query parameter task is missing: it names the task")
    shard = call.query.shard(run.shard_count) or 0
    offset = call.query.number("offset", default=0, minimum=0, maximum=NUMBER_MAXIMUM)
    follow, timestamps, selection = call.query.flag("follow"), call.query.flag("timestamps"), _selection(call)
    source, pinned = await newest_source(call, run, shard, task), call.query.value("attempt") is not None
    if pinned:
        chosen = await _chosen_source(call, run, shard, task)
        if source is None or source.attempt != chosen.attempt:
            # Its log grows no more for this reader: an earlier attempt is ended wherever it is found.
            source, follow = chosen, False
    if source is None:
        raise NotFound(f"task {task} of shard {shard_name(shard)} has not started")
    source = structs.replace(source, timed=timestamps or selection.since is not None)
    with ExitStack() as exits:
        if follow:
            limits = call.services.settings.requests
            exits.enter_context(call.services.streams.slot(call.principal.tenant, limits))
        beginning = await _beginning(call, source, selection, offset, follow=follow)
        chunks = (follow_attempt if follow else read_attempt)(call, source, beginning.offset)
        chunks = await _await_first_chunk(
            after_newlines(chunks, beginning.newlines) if beginning.newlines else chunks,
            source,
            exits,
            wait_seconds=FIRST_SECONDS if follow else None,
        )
        position = LogPosition(source=source, offset=beginning.offset, pinned=pinned)
        lines = follow_task(call, run, position, chunks) if follow else log_lines(source, chunks)
        ndjson = NDJSON in (call.header(b"accept") or "")
        response = streaming_response(lines, ndjson=ndjson, with_times=timestamps)
        seconds = call.seconds_left if follow else None
        return ClosingResponse(response, exits.pop_all().close, seconds=seconds)


def _selection(call: Call) -> Selection:
    since, tail = (
        None
        if call.query.value(name) is None
        else call.query.number(name, default=0, minimum=0, maximum=NUMBER_MAXIMUM)
        for name in ("since", "tail")
    )
    return Selection(since=since, tail=tail)


async def _chosen_source(call: Call, run: Run, shard: int, task: str) -> LogSource:
    """Returns the region and attempt that the query names.

    Raises `NotFound` if the shard had no such attempt, or if its region was taken out of the settings.
    """
    epoch = call.query.number("attempt", default=0, minimum=1, maximum=NUMBER_MAXIMUM)
    region = await region_of_attempt(call.services.store, run.id, shard, epoch)
    if region is None:
        raise NotFound(f"shard {shard_name(shard)} has had no attempt {epoch}: `explain` lists them")
    if region not in call.services.clusters:
        # Not a matter of waiting: it was taken out of the settings, and what was written there is gone.
        raise NotFound(
            f"attempt {epoch} of shard {shard_name(shard)} ran in {region}, which is not among this gateway's"
            " regions any more: what it wrote cannot be read"
        )
    return LogSource(region=region, attempt=attempt_id(run.id, shard, epoch), task=task, over=True)


async def _beginning(
    call: Call, source: LogSource, selection: Selection, offset: int, *, follow: bool
) -> Beginning:
    """Returns where in its log the answer begins; raises `NotFound` and `Unavailable` as reading does."""
    if selection.is_all:
        return Beginning(offset)
    try:
        return await find_beginning(read_attempt(call, source, offset), selection, offset)
    except ClusterError as error:
        if follow and error.reason == "NotFound":
            # Nothing was written yet.
            return Beginning(offset)
        raise _refusal(error, source) from error


def _refusal(error: ClusterError, source: LogSource) -> NotFound | Unavailable:
    if error.reason == "NotFound":
        return NotFound(f"region {source.region} has no log of this task from attempt {source.attempt.epoch}")
    return Unavailable(
        f"region {source.region}, where attempt {source.attempt.epoch} of the task ran,"
        f" cannot be read: {error.reason}"
    )


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
        raise _refusal(error, source) from error
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
