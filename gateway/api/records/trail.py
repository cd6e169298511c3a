"""The API handler for the audit trail with its signed digests, which `waypost audit verify` checks."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import visible_tenants
from gateway.core.decision import Action
from gateway.core.errors import Denied
from gateway.submission.authorize import authorize
from observability.audit import Seal

SEALS_OF_PAGE = 20


class TrailPage(Struct, frozen=True, kw_only=True):
    """A page of the audit trail: entries, and the seals (signed digests) over them, each in order."""

    entries: tuple[Mapping[str, Any], ...]
    """The entries of accepted runs and people's actions as stored, each with its policy decision."""
    seals: tuple[Seal, ...]
    last_entry: int
    """The value of `entry` for the next page."""
    last_seal: int
    """The value of `seal` for the next page."""


async def trail(call: Call) -> Response:
    """Get a page of the audit trail: its entries as stored, and its seals (signed digests of entries).

    `entry` and `seal` are the numbers after which the page begins. A seal covers all tenants' entries, so
    only callers who may see all tenants get the trail.
    """
    decision = await authorize(call.question(Action.AUDIT_READ), policy=call.services.policy)
    if visible_tenants(decision, call.principal.tenant, None) is not None:
        raise Denied("the audit trail is about all tenants, and you may not see all", decision=decision)
    store, query = call.services.store, call.query
    after = query.number("entry", default=0, minimum=0, maximum=2**53 - 1)
    seal = query.number("seal", default=0, minimum=0, maximum=2**53 - 1)
    found = await store.trail(after=after)
    seals = await store.seals(after=seal, limit=SEALS_OF_PAGE)
    return JsonResponse(
        TrailPage(
            entries=tuple(found.entries.values()),
            seals=tuple(seals),
            last_entry=found.last,
            last_seal=seals[-1].number if seals else seal,
        )
    )
