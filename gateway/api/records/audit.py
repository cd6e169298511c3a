"""The API handler that lists audit records: who changed which run, region, workflow or policy, and how."""

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import decode_cursor, encode_cursor, visible_tenants
from gateway.api.views import ActPage
from gateway.core.decision import Action
from gateway.core.errors import Malformed
from gateway.core.history import ACTS, HistoryKind
from gateway.store.acts import ActQuery
from gateway.submission.authorize import authorize

SINCE_MAXIMUM: Final = 10**11
"""The maximum of the query parameter `since`, in seconds since 1970."""


async def audit(call: Call) -> Response:
    """List the audit records of actions on runs, regions, workflows and policy, newest first.

    Actions on runs, released workflows and policy exceptions are listed for the tenants that the caller may
    see; those on regions and policy bundles always. `since` is in seconds since 1970.
    """
    services, query = call.services, call.query
    decision = await authorize(call.question(Action.AUDIT_READ), policy=services.policy)
    since = query.number("since", default=0, minimum=0, maximum=SINCE_MAXIMUM)
    found = await services.store.acts(
        ActQuery(
            tenants=visible_tenants(decision, call.principal.tenant, None),
            kinds=_kinds(query.values("kind")),
            actor=query.value("actor"),
            region=query.value("region"),
            run=query.value("run"),
            since=since,
            limit=query.number(
                "limit", default=50, minimum=1, maximum=services.settings.requests.page_maximum
            ),
            before=_before(query.value("continue")),
        )
    )
    following = None if found.next is None else encode_cursor(str(found.next))
    return JsonResponse(ActPage(items=found.entries, next=following))


def _kinds(names: Sequence[str]) -> tuple[HistoryKind, ...]:
    if any(name not in ACTS for name in names):
        raise Malformed(f"the query parameter kind is one of {', '.join(ACTS)}")
    return tuple(kind for kind in ACTS if kind in names) if names else ACTS


def _before(cursor: str | None) -> int | None:
    text = decode_cursor(cursor)
    if text is not None and not (text.isdigit() and len(text) < 19):
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return None if text is None else int(text)
