"""The API handler of `explain`: shows a run's policy decisions, its history, and why its shards wait now."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, structs
from starlette.responses import Response

from gateway.api.explanations.pending_reasons import pending_reason, task_waits
from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.runs import visible_run
from gateway.api.views import RunStory, summary
from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import Run
from gateway.store.interface import Store

PAGE_ENTRIES: Final = 500
"""The number of history entries that are read from the store in one query."""
STORY_MAXIMUM: Final = 20_000
"""The number of history entries after which an explanation leaves out the rest.

That is enough for a thousand shards that each failed over.
"""


async def explain(call: Call) -> Response:
    """Explain a run: its policy decisions, its history, and the reasons why it waits now.

    Shows who submitted it, which rules decided, each placement with every score, each attempt and failover.
    """
    run = await visible_run(call)
    async with call.large_answer():
        return await _story(call, run)


async def _story(call: Call, run: Run) -> Response:
    store = call.services.store
    history = await _history(store, run)
    shards, services = await store.shards(run.id), call.services
    waits = (
        pending_reason(run, shards, services, call.at),
        await task_waits(run, shards, store, services.regions(), call.at),
    )
    story = RunStory(
        run=summary(run),
        decisions=await _decisions(store, run, history),
        history=tuple(history),
        complete=len(history) < STORY_MAXIMUM,
        waiting="; ".join(filter(None, waits)) or None,
        waiting_tasks=waits[1],
    )
    return JsonResponse(story)


async def _history(store: Store, run: Run) -> Sequence[HistoryEntry]:
    """Returns the run's history from its beginning, cut off after about `STORY_MAXIMUM` entries."""
    history: list[HistoryEntry] = []
    while page := await store.history(run.id, after=history[-1].seq if history else 0, limit=PAGE_ENTRIES):
        history += page
        if len(history) >= STORY_MAXIMUM:
            break
    return history


async def _decisions(store: Store, run: Run, history: Sequence[HistoryEntry]) -> tuple[Decision, ...]:
    """Returns every policy decision that the run's history names, in order, then the one it now runs under.

    Each is returned once, and without the query that was asked (`question`).
    """
    named = [entry.decision_id for entry in history if entry.decision_id is not None]
    # a dict, for one of each in the order of their first mention
    found = [await store.decision(decision_id) for decision_id in dict.fromkeys([*named, run.decision_id])]
    # Who reads a run need not see who asked for what, and with which groups: auditors do.
    return tuple(structs.replace(decision, question=UNSET) for decision in found if decision is not None)
