"""The API handler of a run's event stream: sends the run's history as server-sent events while it grows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, suppress

from sse_starlette import EventSourceResponse
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import ClosingResponse
from gateway.api.runs import visible_run
from gateway.core.errors import Malformed, Unavailable


async def events(call: Call) -> Response:
    """Follow a run: stream its history as server-sent events, after `Last-Event-ID`, until the run ends."""
    services, requests = call.services, call.services.settings.requests
    run = await visible_run(call)
    after = _last_event_id(call)
    if after and run.phase.terminal and not await services.store.history(run.id, after=after, limit=1):
        # An EventSource connects again for ever, unless it is answered with 204: there is no more to come.
        return Response(status_code=204)
    with ExitStack() as exits:
        exits.enter_context(services.streams.slot(call.principal.tenant, requests))
        response = EventSourceResponse(_stream(call, run.id, after), ping=requests.heartbeat_seconds)
        return ClosingResponse(response, exits.pop_all().close, seconds=call.seconds_left)


async def _stream(call: Call, run_id: str, after: int) -> AsyncGenerator[bytes, None]:
    """Yields the run's history entries after the one numbered `after`, as server-sent events, as they occur.

    Ends when the run ends, the server stops, the store cannot be read or the caller's token expires.
    """
    services = call.services
    pause = services.settings.requests.follow_pause_seconds
    shared = services.feeds.feed(services.store, run_id, pause_seconds=pause)
    # A store that fails ends the stream, since its status is sent already: the client continues after its
    # last event id.
    with suppress(Unavailable), services.store.subscribe(run_id) as changed, shared as feed:
        while True:
            # Cleared before reading: a change during the read wakes the wait below.
            changed.clear()
            page = await feed.page(after)
            if page.text:
                after = page.last
                yield page.text
            if page.full:
                # A page that another stream has read is there at once: other tasks have their turn here.
                await asyncio.sleep(0)
            elif page.over or not await call.wait_for_change(changed):
                return


def _last_event_id(call: Call) -> int:
    text = call.header(b"last-event-id") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Malformed("Last-Event-ID is the id of an event of this run")
    return int(text)
