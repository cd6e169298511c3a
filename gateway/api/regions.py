"""Regions, as placement sees them now, and what an operator says of them."""

import asyncio

from starlette.responses import Response

from gateway.api.calls import Call, Front, Reply
from gateway.api.views import Ordered, RegionList, Released, region_state
from gateway.core.errors import Conflict, NotFound, Unavailable
from gateway.core.principal import Action, Question
from gateway.core.run import AuditEntry
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.regions.scores import score
from gateway.submission.authorize import authorize

LOOKS, LOOK_SECONDS = 40, 0.05
"""The controller reads what operators say twice a second."""


async def regions(call: Call) -> Response:
    """List the regions with their condition and score."""
    front = call.front
    await authorize(
        Question(action=Action.REGIONS_READ, principal=call.principal, at=call.at), policy=front.policy
    )
    floor = front.settings.placing.latency_floor_seconds
    items = tuple(region_state(view, score(view, floor_seconds=floor)) for view in front.regions())
    return Reply(RegionList(items=items, cut_off=front.cut_off()))


async def replace(call: Call) -> Response:
    """Let a region's old journal go, for good: the next one that answers under its name is admitted."""
    view, note = await _operate(call, "JournalReleased")
    if view.condition.ready:
        raise Conflict(
            f"the region is {view.condition}: its own journal answers, and would be let go for whichever comes next"
        )
    if not await call.front.store.release_incarnation(view.name, audit=note):
        raise Conflict("no journal is bound to this region: the next that answers is admitted anyway")
    return Reply(Released(region=view.name))


async def cordon(call: Call) -> Response:
    """Place no new work in a region; what runs there finishes. Saying it again changes nothing."""
    view, note = await _operate(call, "Cordoned")
    await call.front.store.add_taint(view.name, Taint.CORDONED, audit=note)
    return Reply(Ordered(region=view.name, cordoned=True, inflight=view.inflight))


async def drain(call: Call) -> Response:
    """Cordon a region in order to empty it: it is drained when its `inflight` has come down to 0. Nothing more comes after the answer."""
    view, note = await _operate(call, "Cordoned")
    await call.front.store.add_taint(view.name, Taint.CORDONED, audit=note)
    view = await _kept_to(call.front, view.name)
    return Reply(Ordered(region=view.name, cordoned=True, inflight=view.inflight))


async def _kept_to(front: Front, name: str) -> RegionView:
    """The region once the controller has taken the cordon up: until then an intent may be on its way that nobody counts yet."""
    for _ in range(LOOKS):
        view = next((view for view in front.regions() if view.name == name), None)
        if view is None or view.cordoned:
            break
        await asyncio.sleep(LOOK_SECONDS)
    if view is None or not view.cordoned:
        raise Unavailable(
            "the region is cordoned, but work may still be on its way there: ask again",
            retry_after_seconds=1.0,
        )
    return view


async def uncordon(call: Call) -> Response:
    """Place work in a region again. Saying it again changes nothing."""
    view, note = await _operate(call, "Uncordoned")
    await call.front.store.remove_taint(view.name, Taint.CORDONED, audit=note)
    return Reply(Ordered(region=view.name, cordoned=False, inflight=view.inflight))


async def forget(call: Call) -> Response:
    """Give up an unreachable region: nothing there is waited for any more, its shards are placed elsewhere. It ends when it answers."""
    view, note = await _operate(call, "ForgetRequested")
    if view.condition is not RegionCondition.UNREACHABLE:
        raise Conflict(
            f"the region is {view.condition}, and only an Unreachable one can be forgotten: cordon or drain it instead"
        )
    await call.front.store.add_taint(view.name, Taint.FORGOTTEN, audit=note)
    return Reply(Ordered(region=view.name, cordoned=view.cordoned, inflight=view.inflight), status=202)


async def _operate(call: Call, kind: str) -> tuple[RegionView, AuditEntry]:
    """The region that is meant and the note of who wants what. Raises `Forbidden` before `NotFound`: policy has the first word."""
    front, name = call.front, call.path["region"]
    asked = Question(
        action=Action.REGIONS_OPERATE, principal=call.principal, at=call.at, context={"region": name}
    )
    decision = await authorize(asked, policy=front.policy)
    view = next((view for view in front.regions() if view.name == name), None)
    if view is None:
        raise NotFound("there is no such region")
    detail = {"region": name, "decision_id": decision.id}
    return view, AuditEntry(run="", kind=kind, at=call.at, actor=call.principal.subject, detail=detail)
