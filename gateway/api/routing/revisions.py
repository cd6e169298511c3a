"""The API handlers for routing revisions: apply a new one, list them, roll back the one in force.

A change is authorized by policy and recorded in the audit trail.
"""

from typing import Any, Final

from starlette.responses import Response

from gateway.api.expected_state import etag, expected_revision, path_number
from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.core.decision import Action
from gateway.core.errors import Conflict, Invalid, NotFound, PreconditionFailed
from gateway.core.history import HistoryKind
from gateway.documents.parsing import parse_json
from gateway.regions.routing import (
    Routing,
    RoutingDocument,
    RoutingRefused,
    after_apply,
    after_rollback,
    routing_errors,
)
from gateway.store.routing import store_change
from gateway.submission.authorize import authorize

BODY_MAXIMUM: Final = 65_536
OVERTAKEN: Final = "the routing was changed meanwhile: look at it again"


async def apply_routing(call: Call) -> Response:
    """Put a new routing revision in force (201), in place of the one before it.

    200 where the revision in force has this content.
    """
    services = call.services
    document = parse_json(await call.body(BODY_MAXIMUM), RoutingDocument)
    decision_id = await _authorize(call, {"operation": "apply"})
    if errors := routing_errors(document, [region.name for region in services.settings.regions]):
        raise Invalid("the routing does not fit the regions", errors=errors)
    before = await services.store.routing()
    try:
        after = after_apply(before, document, by=call.principal.subject, at=call.at)
    except RoutingRefused as error:
        raise Conflict(str(error)) from error
    if after is before:
        return JsonResponse(after, etag=etag(after.rev))
    number = after.revisions[-1].number
    if not await _store(call, after, number, HistoryKind.ROUTING_APPLIED, decision_id):
        raise Conflict(OVERTAKEN)
    call.log_act(f"applied routing revision {number}", decision_id)
    return JsonResponse(after, 201, etag=etag(after.rev))


async def routing(call: Call) -> Response:
    """List the routing revisions, oldest first, with their content and state. One at most is Active."""
    await authorize(call.question(Action.REGIONS_READ), policy=call.services.policy)
    found = await call.services.store.routing()
    return JsonResponse(found, etag=etag(found.rev))


async def rollback_routing(call: Call) -> Response:
    """Roll the routing revision in force back for good: the one before it is in force again.

    Without one before it, the weights of the settings count.
    """
    number = path_number(call, "revision")
    decision_id = await _authorize(call, {"operation": "rollback", "revision": number})
    before = await call.services.store.routing()
    if before.revision(number) is None:
        raise NotFound("there is no such routing revision")
    if before.rev != expected_revision(call, of="routing"):
        raise PreconditionFailed(OVERTAKEN)
    try:
        after = after_rollback(before, number, by=call.principal.subject, at=call.at)
    except RoutingRefused as error:
        raise Conflict(str(error)) from error
    if not await _store(call, after, number, HistoryKind.ROUTING_ROLLED_BACK, decision_id):
        raise PreconditionFailed(OVERTAKEN)
    call.log_act(f"rolled routing revision {number} back", decision_id)
    return JsonResponse(after, etag=etag(after.rev))


async def _store(call: Call, after: Routing, number: int, kind: HistoryKind, decision_id: str) -> bool:
    act: dict[str, Any] = {"by": call.principal.subject, "at": call.at, "decision_id": decision_id}
    return await store_change(call.services.store, after, number, kind, **act)


async def _authorize(call: Call, operation: dict[str, Any]) -> str:
    question = call.question(Action.ROUTING_OPERATE, context={"routing": operation})
    return (await authorize(question, policy=call.services.policy)).id
