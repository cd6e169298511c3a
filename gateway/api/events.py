"""What happened to a run: as a stream that can be taken up again, and as the story of why it went that way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, suppress
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.responses import Response

from gateway.api.calls import Call, Reply
from gateway.api.event_feed import Held
from gateway.api.pending_reasons import waiting
from gateway.api.runs import visible
from gateway.api.views import RunStory, summary
from gateway.core.errors import Malformed, Unavailable
from gateway.core.principal import Decision
from gateway.core.run import AuditEntry

PAGE: Final = 500
STORY_MAXIMUM: Final = 20_000
"""Entries of one story: a thousand shards that each failed over."""


async def events(call: Call) -> Response:
    """Follow a run: its history as server-sent events, from after `Last-Event-ID` until it is over."""
    run = await visible(call)
    after = _last_seen(call)
    if after and run.phase.terminal and not await call.front.store.audit(run.id, after=after, limit=1):
        return Response(status_code=204)  # tells an EventSource to stay away: there is no more to come
    heartbeat = call.front.settings.requests.heartbeat_seconds
    with ExitStack() as place:
        place.enter_context(call.front.following.stream(call.principal.tenant, call.front.settings.requests))
        return Held(EventSourceResponse(_stream(call, run.id, after), ping=heartbeat), place.pop_all().close)


async def explain(call: Call) -> Response:
    """Tell who asked for a run, what policy said and by which rules, each placement with every score, each attempt and failover."""
    store = call.front.store
    run = await visible(call)
    history: list[AuditEntry] = []
    while page := await store.audit(run.id, after=history[-1].seq if history else 0, limit=PAGE):
        history += page
        if len(history) >= STORY_MAXIMUM:
            break
    ids = dict.fromkeys(
        [
            *(str(entry.detail["decision_id"]) for entry in history if "decision_id" in entry.detail),
            run.decision_id,
        ]
    )
    found = [await store.decision(decision_id) for decision_id in ids]
    decisions: tuple[Decision, ...] = tuple(decision for decision in found if decision is not None)
    story = RunStory(
        run=summary(run),
        decisions=decisions,
        history=tuple(history),
        complete=len(history) < STORY_MAXIMUM,
        waiting=waiting(run, await store.shards(run.id), call.front, call.at),
    )
    return Reply(story)


async def _stream(call: Call, run_id: str, after: int) -> AsyncGenerator[bytes, None]:
    """Ends with the run, or with the caller's token: the next call must bring one that is still good."""
    front = call.front
    pause = front.settings.requests.follow_pause_seconds
    following = front.following.feed(front.store, run_id, pause_seconds=pause)
    with suppress(Unavailable), front.store.subscribe(run_id) as changed, following as feed:
        while True:
            changed.clear()
            page = await feed.page(after)
            if page.text:
                after = page.last
                yield page.text
            if page.full:
                await asyncio.sleep(
                    0
                )  # a page that another follower has read is there at once: others have their turn
            elif page.over or not await call.woken(changed):
                return


def _last_seen(call: Call) -> int:
    text = call.header(b"last-event-id") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Malformed("Last-Event-ID is the id of an event of this run")
    return int(text)
