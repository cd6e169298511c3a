"""The API handlers for released workflows: apply a version, list, get, canary, promote, abort, rollback.

Each change of a release names in `If-Match` the state of the workflow that it is based on, is authorized by
policy, and is recorded in the audit trail.
"""

import hashlib
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct
from starlette.responses import Response

from gateway.api.expected_state import etag, expected_revision, path_number
from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import decode_cursor, encode_cursor, visible_tenants
from gateway.core.decision import Action
from gateway.core.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    PreconditionFailed,
    TooLarge,
)
from gateway.core.history import HistoryKind
from gateway.core.workflow_release import (
    ReleasedWorkflow,
    ReleaseStep,
    StepRefused,
    after_apply,
    step_context,
)
from gateway.documents.parsing import parse_json
from gateway.store.workflow_steps import take_step, workflow_entry
from gateway.submission.authorize import authorize
from gateway.submission.released_workflows import VERSION_MAXIMUM_BYTES
from waypost.json_pointer import FieldError, below

SOURCE_MAXIMUM: Final = 200
BODY_MAXIMUM: Final = 1_024
STEPS_MAXIMUM: Final = 20
OVERTAKEN: Final = "the workflow was changed meanwhile: look at it again"


Percent: TypeAlias = Annotated[float, Meta(gt=0, le=100)]


class CanaryShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a canary request: the share of submissions by name that a workflow's version gets."""

    percent: Percent
    steps: Annotated[tuple[Percent, ...], Meta(max_length=STEPS_MAXIMUM)] = ()
    """The shares that follow, rising, each once the gateway's analysis of the one before has held.

    At 100 the version is promoted.
    """


class WorkflowPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of released workflows by tenant and name. `continue` is for the next page, null on the last."""

    items: tuple[ReleasedWorkflow, ...]
    next: str | None


async def _check_room(call: Call, tenant: str) -> None:
    """Raises `Conflict` for a tenant that has as many released workflows as it may."""
    maximum = call.services.settings.tenants.released_workflows
    if await call.services.store.count_workflows(tenant) >= maximum:
        raise Conflict(
            f"tenant {tenant} has {maximum} released workflows, the most it may (tenants.released_workflows)"
        )


async def apply_workflow(call: Call) -> Response:
    """Store a new version of a workflow (201). The first is stable at once; later ones wait for a release.

    The response is 200 where the newest version has this content. `source` is the revision of the document's
    source, such as a git commit.
    """
    services = call.services
    source = call.query.value("source") or ""
    if len(source) > SOURCE_MAXIMUM or not source.isprintable():
        raise Malformed(f"the query parameter source has at most {SOURCE_MAXIMUM} printable characters")
    body = await call.body(min(services.settings.documents.maximum_bytes, VERSION_MAXIMUM_BYTES))
    media_type = call.header(b"content-type") or "application/json"
    async with call.turn(services.large_documents):
        reading = await services.reader.read(
            body,
            media_type,
            tenant=call.principal.tenant,
            log_fields=call.log_fields,
            for_run=False,  # with the parameters of each submission
        )
    if len(reading.canonical) > VERSION_MAXIMUM_BYTES:
        raise TooLarge(f"as JSON the workflow has more than {VERSION_MAXIMUM_BYTES} bytes")
    name = reading.workflow.metadata.name
    tenant = reading.workflow.metadata.tenant or call.principal.tenant
    decision_id = await _authorize(call, {"tenant": tenant, "workflow": name, "operation": "apply"})
    known = await services.store.released_workflow(tenant, name)
    if known is None:
        await _check_room(call, tenant)
    before = known or ReleasedWorkflow(tenant=tenant, name=name)
    digest = hashlib.sha256(reading.canonical).hexdigest()
    try:
        after = after_apply(before, digest=digest, source=source, by=call.principal.subject, at=call.at)
    except StepRefused as error:
        raise Conflict(str(error)) from error
    if after is not before:
        version = after.versions[-1]
        act: dict[str, Any] = {"by": call.principal.subject, "at": call.at, "decision_id": decision_id}
        entry = workflow_entry(after, version, HistoryKind.WORKFLOW_APPLIED, **act)
        if not await services.store.write_workflow(after, entry=entry, document=reading.canonical):
            raise Conflict(OVERTAKEN)
        call.log_act(f"applied {name}@{version.number}", decision_id)
    status = 200 if after is before else 201
    return JsonResponse(after, status, location=f"/v1/workflows/{name}", etag=etag(after.rev))


async def workflows(call: Call) -> Response:
    """List the released workflows that the caller may see, by tenant and name."""
    services, query = call.services, call.query
    page = services.settings.requests.page_maximum
    found = await services.store.released_workflows(
        tenants=await _tenants(call),
        limit=query.number("limit", default=50, minimum=1, maximum=page),
        after=_after(query.value("continue")),
    )
    following = None if found.next is None else encode_cursor("/".join(found.next))
    return JsonResponse(WorkflowPage(items=found.workflows, next=following))


async def workflow(call: Call) -> Response:
    """Get a released workflow with its versions and their states.

    The query parameter `tenant` names the workflow's tenant, if it is not the caller's own.
    """
    tenants = await _tenants(call)
    tenant = call.query.value("tenant") or call.principal.tenant
    found = None
    if tenants is None or tenant in tenants:
        found = await call.services.store.released_workflow(tenant, call.path_parameters["workflow"])
    if found is None:
        raise NotFound(f"there is no such released workflow of the tenant {tenant}")
    return JsonResponse(found, etag=etag(found.rev))


async def canary_workflow(call: Call) -> Response:
    """Put a workflow's version in canary: it gets a share of the submissions by name."""
    share = parse_json(await call.body(BODY_MAXIMUM), CanaryShare)
    for index, (before, after) in enumerate(pairwise((share.percent, *share.steps))):
        if after <= before:
            error = FieldError(
                below("/steps", str(index)), f"must be more than {before:g}, the share before it"
            )
            raise Invalid("the shares of a canary rise", errors=[error])
    if share.steps and call.services.settings.rollback.prometheus_url is None:
        raise Conflict("shares follow by what Prometheus measures: set rollback.prometheus_url, or no steps")
    return await _take(call, ReleaseStep.CANARY, share.percent, share.steps)


async def promote_workflow(call: Call) -> Response:
    """Make a workflow's version the stable one; the version that was stable is superseded."""
    return await _take(call, ReleaseStep.PROMOTE)


async def abort_workflow(call: Call) -> Response:
    """End the canary of a workflow's version: no submission runs that version, and it may be tried again."""
    return await _take(call, ReleaseStep.ABORT)


async def rollback_workflow(call: Call) -> Response:
    """Roll a workflow's version back for good. If it was stable, the previous stable version replaces it."""
    return await _take(call, ReleaseStep.ROLL_BACK)


async def _take(
    call: Call, step: ReleaseStep, percent: float = 0.0, steps: tuple[float, ...] = ()
) -> Response:
    store, name, number = call.services.store, call.path_parameters["workflow"], path_number(call, "version")
    tenant = call.query.value("tenant") or call.principal.tenant
    asked = ReleasedWorkflow(tenant=tenant, name=name)
    decision_id = await _authorize(call, step_context(asked, step, number, percent))
    before = await store.released_workflow(tenant, name)
    if before is None or before.version(number) is None:
        raise NotFound(f"there is no such version of a released workflow of the tenant {tenant}")
    if before.rev != expected_revision(call, of="workflow"):
        raise PreconditionFailed(OVERTAKEN)
    act: dict[str, Any] = {"by": call.principal.subject, "at": call.at, "decision_id": decision_id}
    try:
        after = await take_step(
            store, before, step, number, percent=percent, steps=steps, asked_by=call.principal, **act
        )
    except StepRefused as error:
        raise Conflict(str(error)) from error
    if after is None:
        raise PreconditionFailed(OVERTAKEN)
    call.log_act(f"{step} of {name}@{number}", decision_id)
    return JsonResponse(after, etag=etag(after.rev))


async def _authorize(call: Call, operation: dict[str, Any]) -> str:
    question = call.question(Action.RELEASES_OPERATE, context={"release": operation})
    return (await authorize(question, policy=call.services.policy)).id


async def _tenants(call: Call) -> tuple[str, ...] | None:
    decision = await authorize(call.question(Action.RELEASES_READ), policy=call.services.policy)
    return visible_tenants(decision, call.principal.tenant, call.query.value("tenant"))


def _after(cursor: str | None) -> tuple[str, str]:
    tenant, slash, name = (decode_cursor(cursor) or "/").partition("/")
    if not slash:
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return tenant, name
