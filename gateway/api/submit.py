"""The API handler that accepts a workflow as a run: reads, authorizes and admits it. It is the hot path."""

import os
from random import choice
from time import perf_counter
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.http.services import Services
from gateway.api.submission_warnings import warnings_for
from gateway.api.views import DryRun, RegionPlan, summary
from gateway.core.decision import Action, Decision
from gateway.core.errors import Malformed
from gateway.core.run import new_run_id
from gateway.documents.checks import is_valid
from gateway.documents.labels.filling import has_templated_labels, with_filled_labels
from gateway.documents.likely_mistakes import likely_mistakes
from gateway.documents.parsing import invalid_document, media_kind, parse_quickly
from gateway.documents.workflow import Workflow
from gateway.notifications.permitted_hosts import notify_errors
from gateway.regions.placement import Placement, place
from gateway.regions.placement_demand import demand_of
from gateway.submission.admit import Submission, admit, fingerprint
from gateway.submission.authorize import authorize
from gateway.submission.obligations import apply_obligations
from gateway.submission.reading.document_reader import Reading
from gateway.submission.reading.outline import with_tenant
from gateway.submission.released_workflows import ReleasedDocument, names_a_release, released_document

INLINE_BYTES: Final = 8 * 1024
"""The maximum size in bytes of a document that is read on the event loop, if it has no mistakes.

Any other is read in a process, which costs a millisecond: to list the mistakes of one of this size takes up
to 50 ms.
"""
LARGE_WAIT_SECONDS: Final = 5.0
"""The seconds for which a document may wait to be read in a process."""
KEY_MAXIMUM: Final = 255
"""The maximum number of characters of an idempotency key."""


async def submit(call: Call) -> Response:
    """Submit a workflow, which becomes a run: 202 once the run is stored durably.

    The response is 200 with the same run for a known Idempotency-Key; `dryRun=true` stores nothing.
    """
    services = call.services
    key = _idempotency_key(call)
    body = await call.body(services.settings.documents.maximum_bytes)
    media_type = call.header(b"content-type") or "application/json"
    released = None
    # Many clients send a `charset` with JSON.
    if media_kind(media_type) == "application/json" and names_a_release(body):
        # The same key gets the same version, as long as shares do not change.
        chance = os.urandom(8) if key is None else key.encode()
        async with call.turn():
            released = await released_document(
                body, tenant=call.principal.tenant, chance=chance, store=services.store
            )
        body = released.document
    if len(body) <= INLINE_BYTES and media_type == "application/json":
        async with call.turn():
            if (quick := _read_quickly(body, call.principal.tenant, services)) is not None:
                call.log_fields["name"] = quick.workflow.metadata.name
                return await _decide(call, key, quick, released)
    async with call.turn(services.large_documents, wait_seconds=LARGE_WAIT_SECONDS):
        reading = await services.reader.read(
            body, media_type, tenant=call.principal.tenant, log_fields=call.log_fields
        )
    async with call.turn():
        return await _decide(call, key, reading, released)


async def _decide(
    call: Call, key: str | None, reading: Reading, released: ReleasedDocument | None
) -> Response:
    """Authorizes a submission and stores its run, unless it is a dry run; returns the response."""
    services, workflow, canonical = call.services, reading.workflow, reading.canonical
    if workflow.spec.notify and (errors := list(notify_errors(workflow, services.settings.notifications))):
        raise invalid_document(errors)
    decision = await _ask_policy(call, workflow, canonical)
    obliged = apply_obligations(workflow, decision, exclusive=services.executors.exclusive)
    # The bytes that policy saw are kept where nothing was changed.
    document = canonical if obliged is workflow else await _obliged_document(call, reading, obliged, decision)
    if call.query.flag("dryRun"):
        call.outcome = "DryRun"
        plan = JsonResponse(_dry_run(services, obliged, document, decision))
        plan.raw_headers += warnings_for(reading, decision.obligations, services)
        return plan
    submission = Submission(
        workflow=obliged,
        task_count=reading.task_count,
        stage_tasks=reading.stage_tasks,
        document=document,
        fingerprint=fingerprint(canonical),
        released="" if released is None else released.label,
        requested=b"" if released is None else released.requested,
        principal=call.principal,
        key=key,
        at=call.at,
        span=call.span,
    )
    began = perf_counter()
    admitted = await admit(
        submission,
        decision,
        new_run_id(int(call.at * 1000), os.urandom(8)),
        store=services.store,
        policy=services.policy,
        limits=services.settings.tenants,
    )
    call.end_step("admit", began)
    call.trace.run = admitted.run.id
    call.outcome = "Replayed" if admitted.replay else "Accepted"
    response = JsonResponse(
        summary(admitted.run), 200 if admitted.replay else 202, location=f"/v1/runs/{admitted.run.id}"
    )
    response.raw_headers += warnings_for(reading, decision.obligations, services)
    return response


async def _ask_policy(call: Call, workflow: Workflow, canonical: bytes) -> Decision:
    """Asks policy about the submission; sets the tenant's rate limit, and returns the permitting decision.

    Raises `Denied` if policy refuses the submission, `Unavailable` if it gives no answer.
    """
    services, began = call.services, call.end_step("read", call.began)
    question = call.question(Action.RUNS_SUBMIT, workflow=canonical)
    decision = await authorize(question, policy=services.policy)
    call.end_step("authorize", began)
    call.trace.decision_id = decision.id
    # An operator's rate is not that of whom it acts for.
    if workflow.metadata.tenant == call.principal.tenant:
        services.rates.set_rate(call.principal.tenant, decision.obligations.requests_per_second)
    return decision


async def _obliged_document(call: Call, reading: Reading, obliged: Workflow, decision: Decision) -> bytes:
    """Returns the JSON of the whole workflow with policy's obligations (changes and limits) applied."""
    if reading.whole:
        return msgspec.json.encode(obliged)
    return await call.services.reader.oblige(
        reading.canonical, decision.obligations, tenant=call.principal.tenant
    )


def _idempotency_key(call: Call) -> str | None:
    key = call.header(b"idempotency-key")
    if key is None:
        return None
    # Visible ASCII only: servers on the way read anything else differently, and two keys could become one.
    if not 0 < len(key) <= KEY_MAXIMUM or not (key.isascii() and key.isprintable()) or " " in key:
        raise Malformed(f"Idempotency-Key has 1 to {KEY_MAXIMUM} visible ASCII characters")
    return key


def _read_quickly(body: bytes, tenant: str, services: Services) -> Reading | None:
    """Parses a small JSON document on the event loop; returns None if a worker process must read it.

    A worker process must read an invalid document, and one with conditions of tasks (`when`), schemas of
    their outputs, items of shards or targets.
    """
    limits = services.settings.documents
    if (workflow := parse_quickly(body, limits)) is None or workflow.spec.shards.items is not None:
        return None
    if workflow.spec.targets:
        return None
    if any(task.when is not None or task.outputs is not None for task in workflow.spec.all_tasks):
        return None
    workflow = with_tenant(workflow, tenant)
    canonical = msgspec.json.encode(workflow)
    if not is_valid(workflow, canonical, limits, services.executors, services.engines):
        return None
    if has_templated_labels(workflow):
        workflow = with_filled_labels(workflow)
        canonical = msgspec.json.encode(workflow)
    return Reading(
        workflow=workflow,
        whole=True,
        canonical=canonical,
        task_count=len(workflow.spec.tasks),
        stage_tasks=workflow.stage_tasks,
        mistakes=list(likely_mistakes(workflow, canonical)),
    )


def _dry_run(services: Services, workflow: Workflow, document: bytes, decision: Decision) -> DryRun:
    regions, placing = services.regions(), services.settings.placing
    demand = demand_of(workflow, decision.obligations.regions, tenant=workflow.metadata.tenant or "")
    found = place(demand, regions, choose=choice, settings=placing)
    scores = found.scores if isinstance(found, Placement) else {}
    return DryRun(
        decision=replace(decision, question=msgspec.UNSET),
        workflow=Raw(document),
        shard_count=workflow.shard_count,
        region=found.region if isinstance(found, Placement) else None,
        unplaceable=None if isinstance(found, Placement) else str(found),
        regions=tuple(
            RegionPlan(name=r.name, score=scores.get(r.name), rejected=found.rejected.get(r.name))
            for r in regions
        ),
    )
