"""The API handlers for recorded policy decisions: who was permitted or refused what, by which rules."""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, structs
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import decode_cursor, encode_cursor, visible_tenants
from gateway.api.records.audit import SINCE_MAXIMUM
from gateway.api.records.views import DecisionPage, full_record, record_of
from gateway.core.decision import Action
from gateway.core.errors import Malformed, NotFound
from gateway.store.decisions import DecisionQuery
from gateway.submission.authorize import authorize

ID_MAXIMUM: Final = 64


async def decisions(call: Call) -> Response:
    """List the recorded policy decisions, newest first; with `inputs=true` also the input of the rules.

    Lists those of the tenants that the caller may see. `since` is in seconds since 1970. Permitted reads are
    listed only where the gateway records them.
    """
    services, query = call.services, call.query
    authorized = await authorize(call.question(Action.AUDIT_READ), policy=call.services.policy)
    page, inputs = services.settings.requests.page_maximum, query.flag("inputs")
    found = await services.store.decisions(
        DecisionQuery(
            tenants=visible_tenants(authorized, call.principal.tenant, query.value("tenant")),
            refused=query.flag("refused") or None,
            actions=_actions(query.values("action")),
            subject=query.value("subject"),
            rule=query.value("rule"),
            run=query.value("run"),
            since=query.number("since", default=0, minimum=0, maximum=SINCE_MAXIMUM),
            limit=query.number("limit", default=50, minimum=1, maximum=page),
            before=_before(query.value("continue")),
            documents=inputs,
        )
    )
    following = None if found.next is None else encode_cursor(found.next)
    view = full_record if inputs else record_of
    return JsonResponse(DecisionPage(items=tuple(map(view, found.decisions)), next=following))


async def decision(call: Call) -> Response:
    """Get one recorded policy decision with the input of the rules, as far as policy lets it be recorded.

    The response also has what OPA has logged of the evaluation.
    """
    authorized = await authorize(call.question(Action.AUDIT_READ), policy=call.services.policy)
    found = await call.services.store.recorded_decision(call.path_parameters["id"])
    tenants = visible_tenants(authorized, call.principal.tenant, None)
    if found is None or not (
        tenants is None or (found.decision.question and found.decision.question.principal.tenant in tenants)
    ):
        # Who may not see it does not learn that there is one.
        raise NotFound("there is no such decision")
    record = full_record(found)
    name = found.decision.engine_decision_id
    if name and (of_opa := await call.services.store.opa_record(name)) is not None:
        record = structs.replace(record, opa=Raw(of_opa))
    return JsonResponse(record)


def _actions(names: Sequence[str]) -> tuple[Action, ...]:
    known = {action.value: action for action in Action}
    if any(name not in known for name in names):
        raise Malformed(f"the query parameter action is one of {', '.join(known)}")
    return tuple(known[name] for name in names) or tuple(Action)


def _before(cursor: str | None) -> str | None:
    text = decode_cursor(cursor)
    if text is not None and not (text.isalnum() and len(text) <= ID_MAXIMUM):
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return text
