"""The API handlers for accepted runs: list, show, cancel and retry."""

import re
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.pages import decode_cursor, encode_cursor, visible_tenants
from gateway.api.views import SHOWN_BYTES, SHOWN_TASKS, RunPage, detail, summary
from gateway.core.decision import Action
from gateway.core.errors import Archived, Conflict, Malformed
from gateway.core.history import CancellationDetail, HistoryEntry, HistoryKind
from gateway.core.run import Run, RunPhase
from gateway.documents.labels.checks import LABEL_NAME
from gateway.documents.workflow import Workflow
from gateway.store.interface import RunQuery
from gateway.store.rules import RETRYABLE
from gateway.submission.admit import Submission, check_limits, reopening
from gateway.submission.authorize import authorize
from gateway.submission.obligations import apply_obligations
from gateway.submission.run_visibility import question_about, readable_run

ID_PREFIX: Final = re.compile(r"[0-9a-f]{1,28}")

_decode_workflow = msgspec.json.Decoder(Workflow).decode


async def listing(call: Call) -> Response:
    """List the runs that the caller may see, newest first.

    The query parameter `id` is the beginning of their ids.
    """
    services = call.services
    decision = await authorize(call.question(Action.RUNS_LIST), policy=services.policy)
    limit = call.query.number("limit", default=50, minimum=1, maximum=services.settings.requests.page_maximum)
    prefix = _id_prefix(call.query.value("id"))
    query = RunQuery(
        phase=_phase(call.query.value("phase")),
        tenants=visible_tenants(decision, call.principal.tenant, call.query.value("tenant")),
        labels=_labels(call.query.values("label")),
        limit=limit,
        after=_first_cursor(decode_cursor(call.query.value("continue")), prefix),
    )
    found = await services.store.runs(query)
    # Ids are listed in falling order: with the first that begins otherwise, those of the prefix are over.
    more = found.next is not None and found.next.startswith(prefix)
    page = RunPage(
        items=tuple(summary(run) for run in found.runs if run.id.startswith(prefix)),
        next=encode_cursor(found.next) if found.next is not None and more else None,
    )
    return JsonResponse(page)


async def describe(call: Call) -> Response:
    """Show one run with its shards and tasks.

    `shard` narrows the tasks to those of one shard, `outputs=true` adds their outputs.
    """
    store, query = call.services.store, call.query
    run = await visible_run(call)
    shard = query.shard(run.shard_count)
    outputs = query.flag("outputs")
    shards, counts = await store.shards(run.id), await store.task_counts(run.id, shard)
    # Bounded twice: with outputs by bytes, since ten thousand outputs could be gigabytes.
    if not outputs:
        tasks = await store.tasks(run.id, shard, limit=SHOWN_TASKS, outputs=False)
        return JsonResponse(detail(run, shards, tasks, counts))
    async with call.large_answer():
        tasks = await store.tasks(run.id, shard, limit=SHOWN_TASKS, maximum_bytes=SHOWN_BYTES, encoded=True)
        return JsonResponse(detail(run, shards, tasks, counts))


async def cancel(call: Call) -> Response:
    """Cancel a run (202): its attempts are ended in every region.

    The request is stored before the response.
    """
    store = call.services.store
    run = await visible_run(call)
    question = question_about(
        run, Action.RUNS_CANCEL, principal=call.principal, at=call.at, trace_id=call.trace_id
    )
    decision = await authorize(question, policy=call.services.policy)
    request = HistoryEntry(
        run=run.id,
        kind=HistoryKind.CANCEL_REQUESTED,
        at=call.at,
        actor=call.principal.subject,
        detail=CancellationDetail(
            decision_id=decision.id,
            revision=decision.revision,
            rules=decision.rules,
            trace_id=call.trace_id,
        ),
    )
    cancelled = await store.cancel(run.id, at=call.at, entry=request)
    # The store leaves a run that is over alone; one that was cancelled before is no
    # conflict: it is as the caller wants it.
    if cancelled is None or cancelled.phase in (RunPhase.SUCCEEDED, RunPhase.FAILED):
        raise Conflict(f"the run is over: {(cancelled or run).phase}")
    call.log_act(f"{HistoryKind.CANCEL_REQUESTED} {run.id}", decision.id)
    return JsonResponse(summary(cancelled), 200 if cancelled.phase.terminal else 202)


async def retry(call: Call) -> Response:
    """Retry a failed or cancelled run under a new policy decision (202).

    Tasks that did not succeed run again; what has succeeded stays done.
    """
    services = call.services
    run = await visible_run(call)
    if run.phase not in RETRYABLE:
        raise Conflict(f"only a run that is Failed or Cancelled can be retried; this one is {run.phase}")
    question = question_about(
        run, Action.RUNS_RETRY, principal=call.principal, at=call.at, trace_id=call.trace_id
    )
    decision = await authorize(question, policy=services.policy)
    workflow = _decode_workflow(run.workflow)
    obliged = apply_obligations(workflow, decision, exclusive=services.executors.exclusive)
    submission = Submission(
        workflow=obliged,
        task_count=run.task_count,
        stage_tasks=run.stage_tasks,
        document=run.workflow if obliged is workflow else msgspec.json.encode(obliged),
        fingerprint=run.fingerprint,
        principal=call.principal,
        key=run.idempotency_key,
        at=call.at,
        span=call.span,
    )
    again, entry = reopening(run, submission, decision)
    await check_limits(again, decision, store=services.store, limits=services.settings.tenants)
    # False where another retry came first: both were read as over, and only one may open the run.
    if not await services.store.retry(run.id, run=again, decision=decision, entry=entry):
        raise Conflict("the run has moved on meanwhile: look at it again")
    call.log_act(f"{HistoryKind.REOPENED} {run.id}", decision.id)
    return JsonResponse(summary(await services.store.run(run.id) or again), status=202)


async def visible_run(call: Call) -> Run:
    """Returns the run with the id in the path.

    Raises `NotFound` if the caller may not see the run, and `Archived` if it is no longer in the store.
    """
    run_id, store = call.path_parameters["id"], call.services.store
    run = await store.run(run_id)
    archived = await store.archived_run(run_id) if run is None else None
    found = await readable_run(
        run if archived is None else archived.run,
        principal=call.principal,
        at=call.at,
        policy=call.services.policy,
        trace_id=call.trace_id,
    )
    if archived is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime(archived.archived_at))
        raise Archived(
            f"the run {archived.run.phase} and was archived on {day}: its record is in {archived.file} of the"
            " gateway's archive"
        )
    return found


def _id_prefix(text: str | None) -> str:
    if text is not None and not ID_PREFIX.fullmatch(text):
        raise Malformed("the query parameter id is the beginning of a run's id: hexadecimal digits")
    return text or ""


def _first_cursor(cursor: str | None, prefix: str) -> str | None:
    """Returns the cursor of a page that lists only runs whose ids begin with `prefix`, newest first.

    It is the place just before the newest of these runs, or the caller's `cursor` if that is further on.
    """
    if not prefix:
        return cursor
    # greater than every id that begins with `prefix`, since no id has a g
    first = f"{prefix}g"
    return first if cursor is None else min(cursor, first)


def _phase(name: str | None) -> str | None:
    if name is not None and name not in tuple(RunPhase):
        raise Malformed(f"the query parameter phase is one of {', '.join(RunPhase)}")
    return name


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals or name in labels:
            raise Malformed("the query parameter label is NAME=VALUE, once for each name")
        # A name that no label can have, such as `team!` of team!=data, would find nothing without a word.
        if not LABEL_NAME.fullmatch(name):
            raise Malformed(
                f"{name[:80]!r} is not the name of a label: the query parameter label is NAME=VALUE,"
                " and there are no other operators"
            )
        labels[name] = value
    return labels
