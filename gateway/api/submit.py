"""Submission of a workflow, step by step: read, authorize, admit. It is the hot path of the API."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from random import choice
from time import perf_counter
from typing import Final

import msgspec
from msgspec import Raw, Struct, structs
from msgspec.structs import replace
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.http.services import Services
from gateway.api.submission_warnings import warnings_for
from gateway.api.views import DryRun, RegionPlan, summary
from gateway.core.decision import Action, Decision
from gateway.core.errors import Invalid, Malformed
from gateway.core.run import new_run_id
from gateway.documents.checks import check, is_right, is_too_large
from gateway.documents.condition_checks import ConditionTrial
from gateway.documents.parsing import REPORTED_ERRORS, invalid_document, parse, parse_quickly
from gateway.documents.partial_checks import PartialChecks
from gateway.documents.workflow import Workflow
from gateway.regions.placement import Placement, place
from gateway.regions.placement_demand import demand_of
from gateway.submission.admit import Submission, admit, fingerprint
from gateway.submission.authorize import authorize
from gateway.submission.obligations import apply_obligations
from gateway.submission.try_conditions import try_conditions
from waypost.json_pointer import FieldError

INLINE_BYTES: Final = 8 * 1024
"""The largest document that is read on the event loop, if nothing is wrong with it.

Any other is read on a thread, which costs 0.1 ms: to list the mistakes of one of this size takes up to 50 ms.
"""
LARGE_WAIT_SECONDS: Final = 5.0
"""How long a document waits to be read on a thread: one of another tenant takes up to half a second."""
KEY_MAXIMUM: Final = 255
"""The most characters of an idempotency key."""


class _Reading(Struct, frozen=True, kw_only=True):
    """A workflow, its canonical JSON, the errors found so far, and what is to be tried of its conditions.

    No workflow where the document does not fit its schema; `own` then leaves out what follows from that.
    """

    workflow: Workflow | None
    canonical: bytes
    errors: list[FieldError]
    trial: ConditionTrial | None
    own: Callable[[list[FieldError]], list[FieldError]] = list


async def submit(call: Call) -> Response:
    """Submit a workflow: 202 once it is durable.

    200 with the same run for a known Idempotency-Key; `dryRun=true` stores nothing.
    """
    services = call.services
    key = _idempotency_key(call)
    body = await call.body(services.settings.documents.maximum_bytes)
    media_type = call.header(b"content-type") or "application/json"
    # What has conditions would be parsed twice: it goes to the thread in any case.
    if len(body) <= INLINE_BYTES and media_type == "application/json" and b'"when":' not in body:
        async with call.turn():
            if (quick := _read_quickly(body, call.principal.tenant, services)) is not None:
                return await _decide(call, key, quick)
    read = partial(_read_workflow, body, media_type, call.principal.tenant, services)
    async with call.turn(services.large_documents, wait_seconds=LARGE_WAIT_SECONDS):
        reading = await asyncio.to_thread(read)
    if reading.trial is not None:
        # Without a turn: processes have turns of their own.
        found = await _condition_errors(call, reading.trial)
        reading = replace(reading, errors=reading.errors + reading.own(found))
    async with call.turn():
        return await _decide(call, key, reading)


async def _decide(call: Call, key: str | None, reading: _Reading) -> Response:
    """Authorizes and admits what was read, or only says what would come of it.

    Raises `Invalid` with every error of the document.
    """
    services, workflow, canonical = call.services, reading.workflow, reading.canonical
    if workflow is not None:
        call.log_fields["name"] = workflow.metadata.name
    if reading.errors or workflow is None:
        raise invalid_document(reading.errors)
    decision = await _ask_policy(call, workflow, canonical)
    obliged, document = apply_obligations(
        workflow, canonical, decision, exclusive=services.executors.exclusive
    )
    if call.query.flag("dryRun"):
        call.outcome = "DryRun"
        plan = JsonResponse(_dry_run(services, obliged, document, decision))
        plan.raw_headers += warnings_for(obliged, canonical, decision.obligations, services)
        return plan
    submission = Submission(
        workflow=obliged,
        document=document,
        fingerprint=fingerprint(canonical),
        principal=call.principal,
        key=key,
        at=call.at,
        trace_id=call.trace_id,
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
    services.metrics.observe_step("admit", perf_counter() - began)
    call.outcome = "Replayed" if admitted.replay else "Accepted"
    response = JsonResponse(
        summary(admitted.run), 200 if admitted.replay else 202, location=f"/v1/runs/{admitted.run.id}"
    )
    response.raw_headers += warnings_for(obliged, canonical, decision.obligations, services)
    return response


async def _ask_policy(call: Call, workflow: Workflow, canonical: bytes) -> Decision:
    """The decision that permits the submission, with the rate that it sets for the caller's tenant applied.

    Raises what `authorize` raises where policy does not permit it.
    """
    services, began = call.services, perf_counter()
    services.metrics.observe_step("read", began - call.began)
    question = call.question(Action.RUNS_SUBMIT, workflow=canonical)
    decision = await authorize(question, policy=services.policy)
    services.metrics.observe_step("authorize", perf_counter() - began)
    # An operator's rate is not that of whom it acts for.
    if workflow.metadata.tenant == call.principal.tenant:
        services.rates.set_rate(call.principal.tenant, decision.obligations.requests_per_second)
    return decision


def _idempotency_key(call: Call) -> str | None:
    key = call.header(b"idempotency-key")
    if key is None:
        return None
    # Visible ASCII only: servers on the way read anything else differently, and two keys could become one.
    if not 0 < len(key) <= KEY_MAXIMUM or not (key.isascii() and key.isprintable()) or " " in key:
        raise Malformed(f"Idempotency-Key has 1 to {KEY_MAXIMUM} visible ASCII characters")
    return key


def _read_quickly(body: bytes, tenant: str, services: Services) -> _Reading | None:
    """Reads a small JSON document; None where it may take longer than a turn of the event loop has.

    Something is wrong with it, or it has conditions or items of shards.
    """
    limits = services.settings.documents
    if (workflow := parse_quickly(body, limits)) is None or workflow.spec.shards.items is not None:
        return None
    workflow = _with_tenant(workflow, tenant)
    canonical = msgspec.json.encode(workflow)
    if b'"when":' in canonical or not is_right(
        workflow, canonical, limits, services.executors, frozenset(services.clusters)
    ):
        return None
    return _Reading(workflow=workflow, canonical=canonical, errors=[], trial=None)


def _with_tenant(workflow: Workflow, tenant: str) -> Workflow:
    # Filled in before policy is asked: a rule about tenants must not be evaded by naming none.
    if workflow.metadata.tenant is not None:
        return workflow
    return structs.replace(workflow, metadata=structs.replace(workflow.metadata, tenant=tenant))


def _read_workflow(body: bytes, media_type: str, tenant: str, services: Services) -> _Reading:
    """Reads the workflow that `body` holds, with `tenant` where it names none.

    Raises what `parse` raises, unless conditions of a document with schema errors are left to be tried.
    """
    limits, regions = services.settings.documents, frozenset(services.clusters)
    rest = PartialChecks(limits, services.executors, regions)
    try:
        workflow = _with_tenant(parse(body, media_type, limits, rest), tenant)
    except Invalid as error:
        # Where there are so many errors, not all of them are listed anyway.
        if rest.trial is None or not rest.trial.first or len(error.errors) >= REPORTED_ERRORS:
            raise
        return _Reading(
            workflow=None, canonical=b"", errors=list(error.errors), trial=rest.trial, own=rest.own
        )
    canonical = msgspec.json.encode(workflow)
    errors = check(workflow, canonical, limits, services.executors, regions)
    conditional = b'"when":' in canonical and not is_too_large(workflow, limits)
    return _Reading(
        workflow=workflow,
        canonical=canonical,
        errors=errors,
        trial=ConditionTrial(workflow) if conditional else None,
    )


async def _condition_errors(call: Call, trial: ConditionTrial) -> list[FieldError]:
    services = call.services
    return await try_conditions(
        trial,
        evaluator=services.conditions,
        tenant=call.principal.tenant,
        limits=services.settings.documents,
    )


def _dry_run(services: Services, workflow: Workflow, document: bytes, decision: Decision) -> DryRun:
    regions, placing = services.regions(), services.settings.placing
    demand = demand_of(workflow, decision.obligations.regions)
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
