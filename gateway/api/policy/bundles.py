"""The API handlers for policy bundles: list, get, upload, and each change of their rollout.

Each change names in `If-Match` the state of the rollout that it is based on, and is authorized by the active
policy bundle, never by one in shadow or canary.
"""

from typing import Any, Final

import msgspec
from loguru import logger
from starlette.responses import Response

from gateway.api.expected_state import etag, expected_revision, path_number
from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.policy.refused_approvals import record_refused_approval, record_refused_bundle
from gateway.api.policy.views import bundle_detail, bundle_list, bundle_view, step_view
from gateway.core.decision import Action
from gateway.core.errors import Conflict, Denied, Invalid, NotFound
from gateway.core.history import HistoryKind
from gateway.policy.opa.bundle_archive import ARCHIVE_MAXIMUM_BYTES
from gateway.policy.rollout.acts import Act, Taken, audit_entry
from gateway.policy.rollout.bundle_states import NOBODY, Share, Step
from gateway.policy.rollout.tenant_share import unknown_tenants
from gateway.submission.authorize import authorize
from waypost.json_pointer import FieldError, located

BODY_MAXIMUM: Final = 65_536
_decode_share = msgspec.json.Decoder(Share).decode


async def bundles(call: Call) -> Response:
    """List the policy bundles, newest first, with the state of each."""
    services = call.services
    await authorize(call.question(Action.POLICY_READ), policy=services.policy)
    rollout = services.rollout.current
    return JsonResponse(bundle_list(rollout, services.policy.revision), etag=etag(rollout.generation))


async def bundle(call: Call) -> Response:
    """Get one policy bundle with its state, and the policy decisions on which it differed in shadow.

    Differences are counted since the gateway's start; their ids are those of policy decisions.
    """
    services = call.services
    await authorize(call.question(Action.POLICY_READ), policy=services.policy)
    rollout = services.rollout.current
    release = rollout.release(path_number(call, "sequence"))
    if release is None:
        raise NotFound("there is no such bundle")
    counts = services.rollout.shadow_counts(release.sequence)
    return JsonResponse(bundle_detail(release, rollout, counts), etag=etag(rollout.generation))


async def upload(call: Call) -> Response:
    """Upload a signed policy bundle: the archive that `waypost policy build` and `sign` make.

    The bundle is checked and kept; it decides nothing until it is activated. The same archive again changes
    nothing.
    """
    services = call.services
    act = await _authorize(call, {"operation": "upload"})
    archive = await call.body(ARCHIVE_MAXIMUM_BYTES)
    try:
        release = await services.rollout.upload(archive, act)
    except (Conflict, Invalid) as error:
        # The alarm is the same as for a file: somebody offers rules that must not rule.
        logger.error("a bundle that {} uploads is not taken: {}", act.by, error.detail)
        services.metrics.policy_bundles.labels("Refused").inc()
        await record_refused_bundle(call, act, archive, error)
        raise
    path = f"/v1/policy/bundles/{release.sequence}"
    rollout = services.rollout.current
    view = bundle_view(release, rollout)
    return JsonResponse(view, status=201, location=path, etag=etag(rollout.generation))


async def shadow(call: Call) -> Response:
    """Put a policy bundle in shadow: it answers the active bundle's queries, and decides nothing."""
    return await _take(call, Step.SHADOW)


async def canary(call: Call) -> Response:
    """Put a policy bundle in canary: it decides for the tenants in the body and a share of all others."""
    body = await call.body(BODY_MAXIMUM)
    try:
        share = _decode_share(body)
    except msgspec.DecodeError as error:
        raise Invalid("the body is not a share of tenants", errors=[FieldError(*located(error))]) from error
    if not share.tenants and not share.percent:
        raise Invalid("it names nobody: say tenants or percent", errors=[FieldError("", "it is empty")])
    return await _take(call, Step.CANARY, share)


async def activate(call: Call) -> Response:
    """Activate a policy bundle for all tenants at once; the bundle that was active is superseded."""
    return await _take(call, Step.ACTIVATE)


async def promote(call: Call) -> Response:
    """Activate a policy bundle; the same as `activate`."""
    return await _take(call, Step.ACTIVATE)


async def rollback(call: Call) -> Response:
    """Roll a policy bundle back for good; if it was active, the previously active bundle decides again."""
    return await _take(call, Step.ROLL_BACK)


async def approve(call: Call) -> Response:
    """Approve a rollout change that somebody else requested; the last approval needed makes the change."""
    sequence = path_number(call, "sequence")
    act = await _authorize(call, {"operation": "approve", "sequence": sequence})
    rollout = call.services.rollout
    pending, release = rollout.current.pending, rollout.current.release(sequence)
    if release is None:
        raise NotFound("there is no such bundle")
    try:
        taken = await rollout.approve(sequence, act, expected=expected_revision(call, of="rollout"))
    except Denied as refusal:
        kind = HistoryKind.POLICY_APPROVAL_REFUSED
        detail = audit_entry(kind, release, act, pending=pending).detail
        await record_refused_approval(call, refusal, kind, detail)
        raise
    return await _rollout_response(call, taken)


async def _take(call: Call, step: Step, share: Share = NOBODY) -> Response:
    sequence = path_number(call, "sequence")
    operation: dict[str, Any] = {"operation": step.value, "sequence": sequence}
    if step is Step.CANARY:
        operation |= {"tenants": share.tenants, "percent": share.percent}
    act = await _authorize(call, operation)
    rollout = call.services.rollout
    if rollout.current.release(sequence) is None:
        raise NotFound("there is no such bundle")
    taken = await rollout.take(
        step, sequence, act, expected=expected_revision(call, of="rollout"), share=share
    )
    return await _rollout_response(call, taken)


async def _rollout_response(call: Call, taken: Taken) -> Response:
    """Returns the response to a rollout change: 200, or 202 if other people must approve it first."""
    rollout, named = call.services.rollout, taken.release.share.tenants
    unknown = (
        unknown_tenants(named, await rollout.deciding_bundles()) if named and taken.pending is None else ()
    )
    status = 200 if taken.pending is None else 202
    current, deciding = rollout.current, call.services.policy.revision
    view = step_view(
        taken.release, current, deciding=deciding, pending=taken.pending, unknown_tenants=unknown
    )
    return JsonResponse(view, status=status, etag=etag(current.generation))


async def _authorize(call: Call, operation: dict[str, Any]) -> Act:
    """Asks policy whether the caller may change the rollout; returns the `Act` (caller, time, decision)."""
    question = call.question(Action.POLICY_OPERATE, context={"policy": operation})
    decision = await authorize(question, policy=call.services.policy)
    return Act(
        by=call.principal.subject,
        at=call.at,
        decision_id=decision.id,
        principal=call.principal,
        decision=decision,
        approvals=decision.obligations.approvals or 0,
    )
