"""The API handlers for automatic rollbacks of releases: list them, and get one with each of its phases."""

import re
from typing import Final

from msgspec import Struct
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import decode_cursor, encode_cursor
from gateway.core.decision import Action
from gateway.core.errors import Malformed, NotFound
from gateway.core.rollback import ReleaseKind, Rollback, RollbackPhase, RollbackStep
from gateway.submission.authorize import authorize

NUMBER: Final = re.compile(r"[0-9]{1,16}")


class RollbackView(Struct, frozen=True, kw_only=True):
    """An automatic rollback of a release, done or refused, and why. Times are in seconds since 1970."""

    id: int
    phase: RollbackPhase
    kind: ReleaseKind
    owner: str
    """The tenant whose workflow it was; empty for kinds of release that belong to no tenant."""
    release: str
    """The release that was rolled back: the number of a bundle or routing revision, or `demo/nightly@3`."""
    revision: str
    returns_to: str
    """The release in force afterwards; empty for the one that the gateway was started with."""
    alert: str
    """The name of the alert that caused the rollback."""
    began_at: float
    changed_at: float
    why: str
    """The reason for the rollback's present phase."""
    steps: tuple[RollbackStep, ...]
    """The rollback's phases so far, with the numbers that were measured then."""


class RollbackPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of automatic rollbacks, newest first. `continue` is for the next page, null on the last."""

    items: tuple[RollbackView, ...]
    next: str | None


async def rollbacks(call: Call) -> Response:
    """List the automatic rollbacks that the gateway has done or refused, newest first."""
    services, query = call.services, call.query
    await authorize(call.question(Action.POLICY_READ), policy=services.policy)
    page = services.settings.requests.page_maximum
    limit = query.number("limit", default=50, minimum=1, maximum=page)
    found = await services.store.rollbacks(limit=limit, before=_before(query.value("continue")))
    following = None if found.next is None else encode_cursor(str(found.next))
    return JsonResponse(RollbackPage(items=tuple(map(_view, found.rollbacks)), next=following))


async def describe_rollback(call: Call) -> Response:
    """Get one automatic rollback with each of its phases, and the measurements behind them."""
    services = call.services
    await authorize(call.question(Action.POLICY_READ), policy=services.policy)
    text = call.path_parameters["rollback"]
    found = await services.store.rollback(int(text)) if NUMBER.fullmatch(text) else None
    if found is None:
        raise NotFound("there is no such rollback")
    return JsonResponse(_view(found))


def _view(rollback: Rollback) -> RollbackView:
    last = rollback.steps[-1]
    return RollbackView(
        id=rollback.id,
        phase=rollback.phase,
        kind=rollback.kind,
        owner=rollback.owner,
        release=rollback.release,
        revision=rollback.revision,
        returns_to=rollback.returns_to,
        alert=rollback.alert,
        began_at=rollback.began_at,
        changed_at=last.at,
        why=last.detail,
        steps=rollback.steps,
    )


def _before(cursor: str | None) -> int | None:
    last = decode_cursor(cursor)
    if last is not None and not NUMBER.fullmatch(last):
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return None if last is None else int(last)
