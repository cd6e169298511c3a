"""The form in which a task's log is sent: as text, each line with its time where asked, or as NDJSON."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct
from starlette.responses import StreamingResponse

from gateway.api.http.descriptions import NDJSON
from gateway.api.http.responses import encode_json
from gateway.api.logs.line_forms import LinePrefixes, format_written_at


class LogLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a task's log, sent as one line of NDJSON.

    `offset`: where the next piece of this attempt's log begins, in bytes. `written_at`: when this piece was
    written, in seconds since 1970 by its cluster's clock; absent where it is not known or not asked for.
    """

    region: str
    epoch: int
    text: str
    offset: int
    written_at: float | None = None


def streaming_response(
    lines: AsyncGenerator[LogLine, None], *, ndjson: bool, with_times: bool
) -> StreamingResponse:
    """Returns the response that streams a log: NDJSON, or text, in which lines may begin with their times."""
    if ndjson:
        return StreamingResponse(_as_ndjson(lines), media_type=NDJSON)
    texts = _with_times(lines) if with_times else _as_text(lines)
    return StreamingResponse(texts, media_type="text/plain; charset=utf-8")


async def _as_ndjson(lines: AsyncGenerator[LogLine, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield encode_json(line) + b"\n"


async def _as_text(lines: AsyncGenerator[LogLine, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield line.text.encode()


async def _with_times(lines: AsyncGenerator[LogLine, None]) -> AsyncGenerator[bytes, None]:
    prefixes, epoch = LinePrefixes(), None
    async with aclosing(lines):
        async for line in lines:
            if line.epoch != epoch:
                # The log of another attempt, which begins with a line of its own.
                prefixes, epoch = LinePrefixes(), line.epoch
            yield prefixes.add(line.text, f"{format_written_at(line.written_at)} ").encode()
