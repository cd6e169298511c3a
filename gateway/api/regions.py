"""The API handlers for regions: list, cordon, uncordon, drain, forget and replace."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.http.services import Services
from gateway.api.views import CordonStatus, JournalRelease, RegionList, region_state
from gateway.core.decision import Action
from gateway.core.errors import Conflict, NotFound, Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, OperationDetail
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.regions.scores import score
from gateway.store.acts import ActQuery
from gateway.store.interface import Store
from gateway.submission.authorize import authorize

CORDON_POLLS: Final = 40
CORDON_POLL_SECONDS = 0.05
"""The pause in seconds between two checks whether a cordon is in force.

The controller reads taints twice a second: a cordon is in force well within 40 polls.
"""


async def regions(call: Call) -> Response:
    """List the regions with their condition and placement score.

    `cordoned_by` is empty for callers whom policy does not let see all tenants: those who may not operate
    regions.
    """
    services = call.services
    question = call.question(Action.REGIONS_READ)
    decision = await authorize(question, policy=services.policy)
    names_operators = "*" in (decision.obligations.tenants or ())
    floor = services.settings.placing.latency_floor_seconds
    items = []
    for view in services.regions():
        operator, routing = await _cordoned_by(services.store, view)
        found = score(view, floor_seconds=floor)
        shown = operator if names_operators else ""
        items.append(region_state(view, found, cordoned_by=shown, cordoned_by_routing=routing))
    return JsonResponse(RegionList(items=tuple(items), cut_off=services.cut_off()))


async def _cordoned_by(store: Store, view: RegionView) -> tuple[str, int | None]:
    """Returns the operator and the number of the routing revision by which a region is cordoned."""
    operator, routing = "", None
    # Without the store the regions are listed all the same: they are looked at in an outage.
    with suppress(Unavailable):
        if Taint.CORDONED in view.taints:
            query = ActQuery(tenants=None, kinds=(HistoryKind.CORDONED,), region=view.name, limit=1)
            operator = next((entry.actor for entry in (await store.acts(query)).entries), "")
        if view.routing.cordon and (active := (await store.routing()).active):
            routing = active.number
    return operator, routing


async def replace(call: Call) -> Response:
    """Give up a region's cluster journal for good: the next journal that answers there is admitted.

    The request is refused (409) while the region's own journal answers.
    """
    view, entry = await _authorize_operation(call, HistoryKind.JOURNAL_RELEASED)
    # Releasing the journal of a region that answers would admit any other, even one that comes months later.
    if view.condition.ready:
        raise Conflict(
            f"the region is {view.condition}: its own journal answers,"
            " and would be let go for whichever comes next"
        )
    if not await call.services.store.release_incarnation(view.name, entry=entry):
        raise Conflict("no journal is bound to this region: the next that answers is admitted anyway")
    _log_operation(call, entry)
    return JsonResponse(JournalRelease(region=view.name))


async def cordon(call: Call) -> Response:
    """Cordon a region: no new work is placed there; what runs there finishes.

    Repeating it changes nothing.
    """
    view, entry = await _authorize_operation(call, HistoryKind.CORDONED)
    if await call.services.store.add_taint(view.name, Taint.CORDONED, entry=entry):
        _log_operation(call, entry)
    return JsonResponse(CordonStatus(region=view.name, cordoned=True, inflight=view.inflight))


async def drain(call: Call) -> Response:
    """Drain a region: cordon it, and let its running attempts finish. It is drained when `inflight` is 0.

    No new work is placed in the region once the response is sent.
    """
    view, entry = await _authorize_operation(call, HistoryKind.CORDONED)
    if await call.services.store.add_taint(view.name, Taint.CORDONED, entry=entry):
        _log_operation(call, entry)
    view = await _wait_until_cordoned(call.services, view.name)
    return JsonResponse(CordonStatus(region=view.name, cordoned=True, inflight=view.inflight))


async def _wait_until_cordoned(services: Services, name: str) -> RegionView:
    """Waits until the controller has read the cordon of a region; returns the region's newest view.

    Raises `Unavailable` after `CORDON_POLLS` polls. Before the cordon is read, `inflight` may not count an
    intent that is on its way there, and the region would seem drained.
    """
    for _ in range(CORDON_POLLS):
        view = _find(services, name)
        if view is None or view.cordoned:
            break
        await asyncio.sleep(CORDON_POLL_SECONDS)
    if view is None or not view.cordoned:
        raise Unavailable(
            "the region is cordoned, but work may still be on its way there: ask again",
            retry_after_seconds=1.0,
        )
    return view


async def uncordon(call: Call) -> Response:
    """Uncordon a region: work is placed there again. Repeating it changes nothing.

    `cordoned` is still true where the routing revision in force cordons the region.
    """
    view, entry = await _authorize_operation(call, HistoryKind.UNCORDONED)
    if await call.services.store.remove_taint(view.name, Taint.CORDONED, entry=entry):
        _log_operation(call, entry)
    return JsonResponse(CordonStatus(region=view.name, cordoned=view.routing.cordon, inflight=view.inflight))


async def forget(call: Call) -> Response:
    """Give up an unreachable region: the gateway moves its shards elsewhere without waiting for it.

    The region is taken back when it answers again.
    """
    view, entry = await _authorize_operation(call, HistoryKind.FORGET_REQUESTED)
    # The work of a region that answers would go on there, unseen and beside its copies elsewhere.
    if view.condition is not RegionCondition.UNREACHABLE:
        raise Conflict(
            f"the region is {view.condition}, and only an Unreachable one can be forgotten:"
            " cordon or drain it instead"
        )
    if await call.services.store.add_taint(view.name, Taint.FORGOTTEN, entry=entry):
        _log_operation(call, entry)
    status = CordonStatus(region=view.name, cordoned=view.cordoned, inflight=view.inflight)
    return JsonResponse(status, status=202)


async def _authorize_operation(call: Call, kind: HistoryKind) -> tuple[RegionView, HistoryEntry]:
    """Asks policy whether the caller may do the operation `kind` on the region in the path.

    Returns the region, and the history entry that records the operation. Raises `Denied` or `Unavailable`
    before `NotFound`: only those who may operate regions learn which there are.
    """
    services, name = call.services, call.path_parameters["region"]
    question = call.question(Action.REGIONS_OPERATE, context={"region": name})
    decision = await authorize(question, policy=services.policy)
    view = _find(services, name)
    if view is None:
        raise NotFound("there is no such region")
    detail = OperationDetail(region=name, decision_id=decision.id)
    return view, HistoryEntry(run="", kind=kind, at=call.at, actor=call.principal.subject, detail=detail)


def _log_operation(call: Call, entry: HistoryEntry) -> None:
    if entry.decision_id is not None:
        call.log_act(f"{entry.kind} {call.path_parameters['region']}", entry.decision_id)


def _find(services: Services, name: str) -> RegionView | None:
    return next((view for view in services.regions() if view.name == name), None)
