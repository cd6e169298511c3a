"""Admits a permitted submission: builds its run, shards and history, and stores them in one commit."""

import hashlib
from typing import Final

from msgspec import UNSET, Struct, structs

from gateway.core.decision import Action, Decision
from gateway.core.errors import Invalid, TooManyRequests
from gateway.core.history import HistoryEntry, HistoryKind, SubmissionDetail
from gateway.core.principal import Principal
from gateway.core.run import Run
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Workflow
from gateway.policy.interface import PolicyEngine
from gateway.settings import TenantSettings
from gateway.store.interface import Admission, Admitted, OpenWork, Store
from gateway.store.rules import permitted_regions, run_after_retry
from gateway.store.tenant_limits import exceeded, work_of
from gateway.submission.authorize import authorize
from gateway.submission.run_visibility import question_about
from waypost.tracing.context import TraceContext
from waypost.workflow.stages import STAGE_SHARDS

FINALLY_SECONDS: Final = 600.0
"""The time limit of the stage `finally`, if the document does not say another."""
QUOTA_RETRY_SECONDS: Final = 5.0
"""The seconds that a caller is asked to wait if the tenant has reached its limit of open work."""


class Submission(Struct, frozen=True, kw_only=True):
    """A checked and permitted workflow to admit, with policy's obligations applied, and its submitter."""

    workflow: Workflow
    """The workflow as it will run, or the outline of a large one (`outline_of`: one task of each type)."""
    task_count: int
    """The number of main tasks in the whole workflow."""
    stage_tasks: tuple[int, int] = (0, 0)
    """The numbers of tasks in the stages `collect` and `finally` of the whole workflow."""
    document: bytes
    """The JSON of the whole workflow."""
    fingerprint: bytes
    """The SHA-256 of the JSON that policy saw.

    What policy obliges may change the stored document, while this stays the same.
    """
    released: str = ""
    """The released version that was submitted by name; empty for a document that was sent whole."""
    requested: bytes = b""
    """The SHA-256 of the request, if it was a submission by name; else empty."""
    principal: Principal
    key: str | None
    """The idempotency key of the submission; None without one."""
    at: float
    """The time of the submission, in seconds since 1970."""
    span: TraceContext
    """The span of the request: what is done for the run is in its trace."""


async def admit(
    submission: Submission,
    decision: Decision,
    run_id: str,
    *,
    store: Store,
    policy: PolicyEngine,
    limits: TenantSettings,
) -> Admitted:
    """Stores the submission as a run durably, or returns the run that its idempotency key made before.

    Raises `Denied` (403) for a known key whose run the caller may not see, `Invalid` (422) for a known key
    with another document, `TooManyRequests` (429) beyond the tenant's `limits` of open work, `Unavailable`
    (503) where nothing was stored.
    """
    admitted = await store.admit(admission(submission, decision, run_id, limits=limits_of(decision, limits)))
    if admitted.exceeded:
        raise TooManyRequests(admitted.exceeded, retry_after_seconds=QUOTA_RETRY_SECONDS)
    if admitted.replay:
        # Others of the tenant may know the key too: they see the run only if they may read it.
        read = question_about(
            admitted.run, Action.RUNS_READ, principal=submission.principal, at=submission.at
        )
        await authorize(read, policy=policy)
        if _request_digest(admitted.run) != _request_digest(submission):
            raise Invalid(f"this Idempotency-Key was used for another document: run {admitted.run.id}")
    return admitted


def _request_digest(sent: Run | Submission) -> bytes:
    """Returns the SHA-256 that identifies what was requested: of a document, or of a submission by name."""
    return sent.requested or sent.fingerprint


def admission(
    submission: Submission, decision: Decision, run_id: str, *, limits: OpenWork | None = None
) -> Admission:
    """Builds the rows that admit `submission`: run, shards, policy decision and history entry.

    `limits` are those of the tenant's open work; None: no limits.
    """
    workflow, principal, at = submission.workflow, submission.principal, submission.at
    run = Run(
        id=run_id,
        tenant=workflow.metadata.tenant or principal.tenant,
        name=workflow.metadata.name,
        subject=principal.subject,
        issuer=principal.issuer,
        principal=principal,
        labels=workflow.metadata.labels,
        priority=workflow.spec.priority,
        shard_count=workflow.shard_count,
        task_count=submission.task_count,
        stage_tasks=submission.stage_tasks,
        finally_seconds=_finally_seconds(submission, decision),
        weight=weight_of(decision),
        workflow=submission.document,
        created_at=at,
        deadline_at=_deadline_at(submission, decision),
        decision_id=decision.id,
        decided_at=decision.at,
        permitted=permitted_regions(decision),
        idempotency_key=submission.key,
        fingerprint=submission.fingerprint,
        released=submission.released,
        requested=submission.requested,
        span=submission.span,
    )
    shards = [Shard(run=run_id, index=index, item=item) for index, item in enumerate(workflow.items)]
    for index, tasks in zip(STAGE_SHARDS, submission.stage_tasks, strict=True):
        if tasks:
            shards.append(Shard(run=run_id, index=index, phase=Phase.WAITING))
    entry = _entry_of(HistoryKind.ACCEPTED, run_id, submission, decision)
    return Admission(run=run, shards=tuple(shards), decision=decision, history=(entry,), limits=limits)


def reopening(run: Run, submission: Submission, decision: Decision) -> tuple[Run, HistoryEntry]:
    """Returns the ended `run` opened again for a retry, and the history entry of the retry.

    The run takes its submitter, document, labels and priority from `submission`, its regions and weight
    from `decision`; its deadline counts from `submission.at`.
    """
    again = structs.replace(
        run_after_retry(run, decision),
        principal=submission.principal,
        labels=submission.workflow.metadata.labels,
        priority=submission.workflow.spec.priority,
        weight=weight_of(decision),
        workflow=submission.document,
        deadline_at=_deadline_at(submission, decision),
        finally_seconds=_finally_seconds(submission, decision),
        span=run.span or submission.span,
    )
    return again, _entry_of(HistoryKind.REOPENED, run.id, submission, decision)


async def check_limits(run: Run, decision: Decision, *, store: Store, limits: TenantSettings) -> None:
    """Raises `TooManyRequests` if a retry of the run would exceed its tenant's limits of open work.

    `limits` hold where `decision` sets no others.
    """
    passed = exceeded(await store.count_open_work(run.tenant), work_of(run), limits_of(decision, limits))
    if passed:
        raise TooManyRequests(passed, retry_after_seconds=QUOTA_RETRY_SECONDS)


def limits_of(decision: Decision, limits: TenantSettings) -> OpenWork:
    """Returns the limits of the tenant's open work: those in the policy decision, else in the settings."""
    obliged = decision.obligations
    return OpenWork(
        runs=limits.open_runs if obliged.max_open_runs is None else obliged.max_open_runs,
        shards=limits.open_shards if obliged.max_open_shards is None else obliged.max_open_shards,
        tasks=limits.open_tasks if obliged.max_open_tasks is None else obliged.max_open_tasks,
    )


def weight_of(decision: Decision) -> float:
    """Returns the tenant's weight by the policy decision, 1 by default; tenants take turns by weight."""
    weight = decision.obligations.weight
    return 1.0 if weight is None else weight


def _deadline_at(submission: Submission, decision: Decision) -> float | None:
    """Returns the time of the deadline, the earlier of the document's and policy's; None without one."""
    limits = (submission.workflow.spec.deadline_seconds, decision.obligations.max_deadline_seconds)
    deadlines = [seconds for seconds in limits if seconds is not None]
    return submission.at + min(deadlines) if deadlines else None


def _finally_seconds(submission: Submission, decision: Decision) -> float:
    """Returns the time limit of the stage `finally`: the document's, and at most policy's for whole runs."""
    wished, most = submission.workflow.spec.finally_seconds, decision.obligations.max_deadline_seconds
    seconds = FINALLY_SECONDS if wished is UNSET else wished
    return seconds if most is None else min(seconds, most)


def _entry_of(kind: HistoryKind, run_id: str, submission: Submission, decision: Decision) -> HistoryEntry:
    """Builds the history entry of an accepted or retried run: by whom, and by which policy decision."""
    principal = submission.principal
    detail = SubmissionDetail(
        subject=principal.subject,
        issuer=principal.issuer,
        client=principal.client,
        decision_id=decision.id,
        revision=decision.revision,
        rules=decision.rules,
        regions=permitted_regions(decision),
        trace_id=submission.span.trace_id,
    )
    return HistoryEntry(run=run_id, kind=kind, at=submission.at, actor=principal.subject, detail=detail)


def fingerprint(canonical: bytes) -> bytes:
    """Returns the SHA-256 of a document's canonical JSON, by which a repeated idempotency key is checked."""
    return hashlib.sha256(canonical).digest()
