"""Regions, as placement sees them now."""

from starlette.responses import Response

from gateway.api.views import RegionList, region_state
from gateway.api.wire import Call, Reply
from gateway.core.principal import Action, Question
from gateway.core.scores import score
from gateway.stages.authorize import authorize


async def regions(call: Call) -> Response:
    """List the regions with their condition and score."""
    front = call.front
    await authorize(Question(action=Action.REGIONS_READ, principal=call.principal, at=call.at), policy=front.policy)
    floor = front.settings.placing.latency_floor_seconds
    return Reply(RegionList(items=tuple(region_state(view, score(view, floor_seconds=floor)) for view in front.regions())))
