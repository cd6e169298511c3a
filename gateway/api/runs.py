"""Runs: submit, list, look at, cancel, retry. `submit` is the hot path, and the order of a submission's way."""

import asyncio
import base64
import os
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from random import choice
from time import perf_counter

import msgspec
from msgspec import Raw, structs
from starlette.responses import Response

from gateway.api.calls import Call, Front, Reply
from gateway.api.views import SHOWN_BYTES, SHOWN_TASKS, DryRun, RegionPlan, RunPage, detail, summary
from gateway.core.errors import Conflict, Malformed
from gateway.core.identifiers import run_id
from gateway.core.principal import Action, Decision, Question
from gateway.core.run import AuditEntry, Run, RunPhase
from gateway.documents.checks import check
from gateway.documents.parsing import invalid_document, parse
from gateway.documents.partial_checks import check_valid_parts
from gateway.documents.workflow import Workflow
from gateway.regions.demand import plan
from gateway.regions.placement import Placement
from gateway.store.interface import RunQuery
from gateway.submission.admit import Submission, admit, fingerprint, oblige, readmission
from gateway.submission.authorize import authorize, question_about, see

INLINE_BYTES = 8 * 1024
"""A larger document is read on a thread of its own, which costs it a tenth of a millisecond. The worst of this size, all conditions or all
mistakes, holds the event loop for some 20 ms.
"""

KEY_MAXIMUM = 255
REOPENED = frozenset({RunPhase.FAILED, RunPhase.CANCELLED})

decode_workflow = msgspec.json.Decoder(Workflow).decode


async def submit(call: Call) -> Response:
    """Submit a workflow: 202 once it is durable; 200 with the same run for a known Idempotency-Key; `dryRun=true` stores nothing."""
    front = call.front
    key = _idempotency_key(call)
    body = await call.body(front.settings.documents.maximum_bytes)
    understand = partial(
        _understood, body, call.header(b"content-type") or "application/json", call.principal.tenant, front
    )
    workflow, canonical = understand() if len(body) <= INLINE_BYTES else await asyncio.to_thread(understand)
    question = Question(action=Action.RUNS_SUBMIT, principal=call.principal, at=call.at, workflow=canonical)
    decision = await authorize(question, policy=front.policy)
    front.metrics.decision_seconds.observe(decision.duration_seconds)
    obliged, document = oblige(workflow, canonical, decision, exclusive=front.executors.exclusive)
    if call.flag("dryRun"):
        call.outcome = "DryRun"
        return Reply(_dry_run(call, obliged, document, decision))
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
        run_id(int(call.at * 1000), os.urandom(8)),
        store=front.store,
        policy=front.policy,
    )
    front.metrics.commit_seconds.observe(perf_counter() - began)
    call.outcome = "Replayed" if admitted.replay else "Accepted"
    return Reply(
        summary(admitted.run), 200 if admitted.replay else 202, location=f"/v1/runs/{admitted.run.id}"
    )


async def listing(call: Call) -> Response:
    """List the runs that the caller may see, newest first."""
    front = call.front
    decision = await authorize(
        Question(action=Action.RUNS_LIST, principal=call.principal, at=call.at), policy=front.policy
    )
    limit = call.number("limit", default=50, minimum=1, maximum=front.settings.requests.page_maximum)
    phase = call.asked("phase")
    if phase is not None and phase not in tuple(RunPhase):
        raise Malformed(f"the query parameter phase is one of {', '.join(RunPhase)}")
    query = RunQuery(
        tenants=_visible_tenants(decision, call.principal.tenant, call.asked("tenant")),
        phase=phase,
        labels=_labels(call.query.get("label", ())),
        limit=limit + 1,
        after=_from_cursor(call.asked("continue")),
    )
    found = await front.store.runs(query) if query.tenants != () else ()
    shown = found[:limit]
    return Reply(
        RunPage(
            items=tuple(summary(run) for run in shown),
            next=_to_cursor(shown[-1].id) if len(found) > limit else None,
        ),
    )


async def describe(call: Call) -> Response:
    """Show one run with its shards and tasks; `shard` narrows the tasks to one, `outputs=true` shows what they returned."""
    store = call.front.store
    run = await visible(call)
    shard = (
        None
        if call.asked("shard") is None
        else call.number("shard", default=0, minimum=0, maximum=run.shard_count - 1)
    )
    outputs = call.flag("outputs")
    shards, counts = await store.shards(run.id), await store.task_counts(run.id, shard)
    tasks = await store.tasks(
        run.id, shard, limit=SHOWN_TASKS, maximum_bytes=SHOWN_BYTES if outputs else None, outputs=outputs
    )
    return Reply(detail(run, shards, tasks, counts))


async def cancel(call: Call) -> Response:
    """Cancel a run: 202 once the wish is durable. Its attempts are ended, wherever they are."""
    front = call.front
    run = await visible(call)
    question = question_about(run, Action.RUNS_CANCEL, principal=call.principal, at=call.at)
    decision = await authorize(question, policy=front.policy)
    credit = {
        "decision_id": decision.id,
        "revision": decision.revision,
        "rules": decision.rules,
        "trace_id": call.trace_id,
    }
    wish = AuditEntry(
        run=run.id, kind="CancelRequested", at=call.at, actor=call.principal.subject, detail=credit
    )
    cancelled = await front.store.cancel(run.id, at=call.at, audit=wish)
    if cancelled is None or cancelled.phase in (RunPhase.SUCCEEDED, RunPhase.FAILED):
        raise Conflict(f"the run is over: {(cancelled or run).phase}")
    return Reply(summary(cancelled), 200 if cancelled.phase.terminal else 202)


async def retry(call: Call) -> Response:
    """Run what did not succeed again, under a fresh decision: 202. What has succeeded stays done."""
    front = call.front
    run = await visible(call)
    if run.phase not in REOPENED:
        raise Conflict(f"only a run that is Failed or Cancelled can be retried; this one is {run.phase}")
    question = question_about(run, Action.RUNS_RETRY, principal=call.principal, at=call.at)
    decision = await authorize(question, policy=front.policy)
    workflow = decode_workflow(run.workflow)
    obliged, document = oblige(workflow, run.workflow, decision, exclusive=front.executors.exclusive)
    submission = Submission(
        workflow=obliged,
        document=document,
        fingerprint=run.fingerprint,
        principal=call.principal,
        key=run.idempotency_key,
        at=call.at,
        trace_id=call.trace_id,
    )
    again, entry = readmission(run, submission, decision)
    if not await front.store.retry(run.id, run=again, decision=decision, audit=entry):
        raise Conflict("the run has moved on meanwhile: look at it again")
    return Reply(summary(await front.store.run(run.id) or again), HTTPStatus.ACCEPTED)


async def visible(call: Call) -> Run:
    """The run that the path names. Raises `NotFound` where the caller may not see it."""
    run = await call.front.store.run(call.path["id"])
    return await see(run, principal=call.principal, at=call.at, policy=call.front.policy)


def _idempotency_key(call: Call) -> str | None:
    key = call.header(b"idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= KEY_MAXIMUM or not (key.isascii() and key.isprintable()) or " " in key:
        raise Malformed(f"Idempotency-Key has 1 to {KEY_MAXIMUM} visible ASCII characters")
    return key


def _understood(body: bytes, media_type: str, tenant: str, front: Front) -> tuple[Workflow, bytes]:
    """The document and its canonical form. Raises what `parse` raises, and `Invalid` with every error."""
    limits, regions = front.settings.documents, frozenset(front.clusters)
    rest = partial(check_valid_parts, limits=limits, executors=front.executors, regions=regions)
    workflow = _of_tenant(parse(body, media_type, limits, rest), tenant)
    canonical = msgspec.json.encode(workflow)
    if errors := check(workflow, canonical, limits, front.executors, regions):
        raise invalid_document(errors)
    return workflow, canonical


def _of_tenant(workflow: Workflow, tenant: str) -> Workflow:
    """With the caller's tenant where the document names none."""
    if workflow.metadata.tenant is not None:
        return workflow
    return structs.replace(workflow, metadata=structs.replace(workflow.metadata, tenant=tenant))


def _dry_run(call: Call, workflow: Workflow, document: bytes, decision: Decision) -> DryRun:
    regions = call.front.regions()
    found = plan(
        workflow, decision.obligations.regions, regions, choose=choice, settings=call.front.settings.placing
    )
    scores = found.scores if isinstance(found, Placement) else {}
    return DryRun(
        decision=decision,
        workflow=Raw(document),
        shard_count=workflow.shard_count,
        region=found.region if isinstance(found, Placement) else None,
        unplaceable=None if isinstance(found, Placement) else str(found),
        regions=tuple(
            RegionPlan(name=r.name, score=scores.get(r.name), rejected=found.rejected.get(r.name))
            for r in regions
        ),
    )


def _visible_tenants(decision: Decision, own: str, asked: str | None) -> tuple[str, ...] | None:
    """Whose runs to list. Where policy names no tenants it is the caller's own; `*` is all."""
    permitted = decision.obligations.tenants if decision.obligations.tenants is not None else (own,)
    if "*" in permitted:
        return None if asked is None else (asked,)
    return permitted if asked is None else tuple(tenant for tenant in permitted if tenant == asked)


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals or name in labels:
            raise Malformed("the query parameter label is NAME=VALUE, once for each name")
        labels[name] = value
    return labels


def _to_cursor(last: str) -> str:
    return base64.urlsafe_b64encode(f"1{last}".encode()).decode().rstrip("=")


def _from_cursor(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        cursor = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except ValueError as error:
        raise Malformed("the query parameter continue is not one that this gateway gave") from error
    if not cursor.startswith("1"):
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return cursor[1:]
