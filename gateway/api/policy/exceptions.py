"""The API handlers for policy exceptions (temporary overrides of a rule): request, list, approve, revoke."""

import os
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct, structs
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import decode_cursor, encode_cursor, visible_tenants
from gateway.api.policy.refused_approvals import record_refused_approval
from gateway.core.approvals import AlreadyApproved, Approval, ApprovalRefused, denied, with_approval
from gateway.core.decision import Action, Decision, Level
from gateway.core.errors import Conflict, Invalid, Malformed, NotFound, TooManyRequests
from gateway.core.history import ExceptionDetail, HistoryEntry, HistoryKind
from gateway.core.policy_exception import ExceptionState, PolicyException
from gateway.documents.parsing import parse_json
from gateway.policy.answer import ALWAYS_HARD
from gateway.policy.bundle import OPA_ENGINE, Bundle, level_in
from gateway.store.exceptions import ExceptionQuery
from gateway.submission.authorize import authorize
from waypost.json_pointer import FieldError

BODY_MAXIMUM_BYTES: Final = 16_384
SWAPS_MAXIMUM: Final = 8
"""The maximum number of tries of a change that other writers overtake."""

Word = Annotated[str, Meta(min_length=1, max_length=128)]
Sentence = Annotated[str, Meta(min_length=1, max_length=1_000)]
Sha256 = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]


class ExceptionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request for a policy exception. `tenant` null: the caller's own tenant."""

    rule: Word
    tenant: Word | None = None
    workflow: Annotated[str, Meta(max_length=128)] = ""
    """The name of the workflows that the exception is for; empty: all workflows of the tenant."""
    document: Sha256 = ""
    """The SHA-256 of the one document that the exception is for, as in its decision; empty: any document."""
    reason: Sentence
    ticket: Word
    expires_at: float
    """The time at which the exception ends, in seconds since 1970."""


class ExceptionRecord(PolicyException, frozen=True, kw_only=True):
    """A policy exception with its present state. Only an Active one overrides its rule."""

    state: ExceptionState


class ExceptionPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of policy exceptions, newest first. `continue` is for the next page, null on the last."""

    items: tuple[ExceptionRecord, ...]
    next: str | None


async def ask_exception(call: Call) -> Response:
    """Request an exception from a soft policy rule (201).

    It takes effect once two other people approved it.
    """
    services = call.services
    asked = parse_json(await call.body(BODY_MAXIMUM_BYTES), ExceptionRequest)
    if errors := list(_errors(asked, call)):
        raise Invalid("there can be no such exception", errors=errors)
    one = PolicyException(
        id=f"{int(call.at * 1000):012x}{os.urandom(4).hex()}",
        rule=asked.rule,
        tenant=asked.tenant or call.principal.tenant,
        workflow=asked.workflow,
        document=asked.document,
        reason=asked.reason,
        ticket=asked.ticket,
        asked_by=call.principal.subject,
        asked_at=call.at,
        expires_at=asked.expires_at,
    )
    decision_id = (await _authorize(call, Action.EXCEPTIONS_ASK, one)).id
    if error := _not_soft(asked.rule, await services.rollout.deciding_bundles()):
        raise Invalid(f"from {asked.rule} there is no exception", errors=[FieldError("/rule", error)])
    maximum = services.settings.policy.exceptions_of_tenant
    if services.exceptions.count(one.tenant, now=call.services.wall_clock()) >= maximum:
        raise TooManyRequests(f"{maximum} exceptions of tenant {one.tenant} are pending or active already")
    await _write(call, one, HistoryKind.EXCEPTION_ASKED, decision_id)
    return JsonResponse(
        _record(one, call.services.wall_clock()), 201, location=f"/v1/policy/exceptions/{one.id}"
    )


async def exceptions(call: Call) -> Response:
    """List policy exceptions, newest first: pending and active ones; with `ended=true` all."""
    services, query = call.services, call.query
    decision = await authorize(call.question(Action.EXCEPTIONS_READ), policy=services.policy)
    page = services.settings.requests.page_maximum
    found = await services.store.exceptions(
        ExceptionQuery(
            tenants=visible_tenants(decision, call.principal.tenant, query.value("tenant")),
            open_at=None if query.flag("ended") else call.services.wall_clock(),
            limit=query.number("limit", default=50, minimum=1, maximum=page),
            before=_before(query.value("continue")),
        )
    )
    following = None if found.next is None else encode_cursor(found.next)
    items = tuple(_record(one, call.services.wall_clock()) for one in found.exceptions)
    return JsonResponse(ExceptionPage(items=items, next=following))


async def exception(call: Call) -> Response:
    """Get one policy exception by its id."""
    return JsonResponse(_record(await _visible_exception(call), call.services.wall_clock()))


async def approve_exception(call: Call) -> Response:
    """Approve a policy exception that another person requested. Approving it twice changes nothing."""
    one = await _visible_exception(call)
    decision = await _authorize(call, Action.EXCEPTIONS_APPROVE, one)
    subject, issuer = call.principal.subject, call.principal.issuer
    approval = Approval(subject=subject, issuer=issuer, at=call.at, decision_id=decision.id)

    def approved(one: PolicyException) -> PolicyException:
        approvals = with_approval(one.asked_by, one.approvals, approval)
        if one.state_at(call.services.wall_clock()) is not ExceptionState.PENDING:
            raise Conflict(f"the exception is {one.state_at(call.services.wall_clock())}")
        return structs.replace(one, rev=one.rev + 1, approvals=approvals)

    try:
        one = await _store_change(call, one, approved, HistoryKind.EXCEPTION_APPROVED, decision.id)
    except AlreadyApproved:
        one = await _visible_exception(call)
    except ApprovalRefused as error:
        refusal = denied(error, decision)
        kind, detail = HistoryKind.EXCEPTION_APPROVAL_REFUSED, _detail(one, decision.id)
        await record_refused_approval(call, refusal, kind, detail)
        raise refusal from error
    return JsonResponse(_record(one, call.services.wall_clock()))


async def revoke_exception(call: Call) -> Response:
    """Revoke a policy exception, so that it overrides no rule. Revoking it twice changes nothing."""
    one = await _visible_exception(call)
    decision_id = (await _authorize(call, Action.EXCEPTIONS_REVOKE, one)).id

    def revoked(one: PolicyException) -> PolicyException:
        if one.state_at(call.services.wall_clock()) is ExceptionState.EXPIRED:
            raise Conflict("the exception is Expired")
        return structs.replace(one, rev=one.rev + 1, revoked_by=call.principal.subject)

    if not one.revoked_by:
        one = await _store_change(call, one, revoked, HistoryKind.EXCEPTION_REVOKED, decision_id)
    return JsonResponse(_record(one, call.services.wall_clock()))


async def _visible_exception(call: Call) -> PolicyException:
    """Returns the policy exception with the id in the path.

    Raises `NotFound` if the caller may not see it.
    """
    decision = await authorize(call.question(Action.EXCEPTIONS_READ), policy=call.services.policy)
    one = await call.services.store.exception(call.path_parameters["exception"])
    tenants = visible_tenants(decision, call.principal.tenant, None)
    if one is None or not (tenants is None or one.tenant in tenants):
        raise NotFound("there is no such exception")
    return one


async def _authorize(call: Call, action: Action, one: PolicyException) -> Decision:
    """Asks policy whether the caller may do `action` on the policy exception `one`; returns the decision.

    Raises `Denied` if policy refuses the action.
    """
    context = {name: getattr(one, name) for name in ("tenant", "rule", "workflow", "asked_by")}
    question = call.question(action, context={"exception": context})
    return await authorize(question, policy=call.services.policy)


async def _store_change(
    call: Call,
    one: PolicyException,
    change: Callable[[PolicyException], PolicyException],
    kind: HistoryKind,
    decision_id: str,
) -> PolicyException:
    """Applies `change` to the policy exception and stores the result, which it returns.

    If another writer was first, applies `change` to the newly stored exception. Raises `Conflict` after
    `SWAPS_MAXIMUM` attempts.
    """
    for _ in range(SWAPS_MAXIMUM):
        changed = change(one)
        if await _write(call, changed, kind, decision_id):
            return changed
        one = await call.services.store.exception(one.id) or one
    raise Conflict("others change the exception at the same time: look at it again")


async def _write(call: Call, one: PolicyException, kind: HistoryKind, decision_id: str) -> bool:
    detail = _detail(one, decision_id)
    entry = HistoryEntry(run="", kind=kind, at=call.at, actor=call.principal.subject, detail=detail)
    written = await call.services.store.write_exception(one, entry=entry)
    if written:
        call.services.exceptions.put([one], now=call.services.wall_clock())
        call.log_act(f"{kind} {one.id}", decision_id)
    return written


def _detail(one: PolicyException, decision_id: str) -> ExceptionDetail:
    return ExceptionDetail(
        exception=one.id,
        rule=one.rule,
        tenant=one.tenant,
        workflow=one.workflow,
        document=one.document,
        reason=one.reason,
        ticket=one.ticket,
        expires_at=one.expires_at,
        decision_id=decision_id,
    )


def _errors(asked: ExceptionRequest, call: Call) -> Iterator[FieldError]:
    if asked.rule in ALWAYS_HARD:
        yield FieldError("/rule", "this rule is about who calls: nothing is excepted from it")
    longest = call.services.settings.policy.exception_seconds
    now = call.services.wall_clock()
    if not now < asked.expires_at <= now + longest:
        yield FieldError("/expires_at", f"must be in the future, and within {longest / 86_400:g} days")


def _not_soft(rule: str, bundles: Collection[Bundle]) -> str:
    """Returns why there can be no policy exception from `rule`; empty if it is soft in one of `bundles`.

    Empty too if a bundle is for OPA alone: the levels of its rules cannot be read here.
    """
    # Data that only an OPA puts together has levels that are not seen here.
    if any(bundle.engine == OPA_ENGINE for bundle in bundles):
        return ""
    levels = {level_in(bundle, rule) for bundle in bundles}
    if not levels or Level.SOFT in levels:
        return ""
    known = levels - {None}
    if not known:
        return "no rule that decides now has this id"
    return f"this rule is {' or '.join(sorted(map(str, known)))}: exceptions are from soft rules alone"


def _record(one: PolicyException, now: float) -> ExceptionRecord:
    return ExceptionRecord(**structs.asdict(one), state=one.state_at(now))


def _before(cursor: str | None) -> str | None:
    text = decode_cursor(cursor)
    if text is not None and not text.isalnum():
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return text
