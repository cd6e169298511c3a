"""Regions, as placement sees them now, and what an operator says of them."""

from starlette.responses import Response

from gateway.api.views import RegionList, Released, region_state
from gateway.api.wire import Call, Reply
from gateway.core.errors import Conflict, NotFound
from gateway.core.principal import Action, Question
from gateway.core.run import AuditEntry
from gateway.core.scores import score
from gateway.stages.authorize import authorize


async def regions(call: Call) -> Response:
    """List the regions with their condition and score."""
    front = call.front
    await authorize(Question(action=Action.REGIONS_READ, principal=call.principal, at=call.at), policy=front.policy)
    floor = front.settings.placing.latency_floor_seconds
    return Reply(RegionList(items=tuple(region_state(view, score(view, floor_seconds=floor)) for view in front.regions())))


async def replace(call: Call) -> Response:
    """Let a region's old journal go, for good: the next one that answers under its name is admitted."""
    front, name = call.front, call.path["region"]
    asked = Question(action=Action.REGIONS_OPERATE, principal=call.principal, at=call.at, context={"region": name})
    decision = await authorize(asked, policy=front.policy)
    if all(view.name != name for view in front.regions()):
        raise NotFound("there is no such region")
    note = AuditEntry(
        run="", kind="JournalReleased", at=call.at, actor=call.principal.subject, detail={"region": name, "decision_id": decision.id}
    )
    if not await front.store.release_incarnation(name, audit=note):
        raise Conflict("no journal is bound to this region: the next that answers is admitted anyway")
    return Reply(Released(region=name))
