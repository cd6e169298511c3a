"""From a permitted document to a promise: what policy obliges is applied, and all of it is stored in one commit."""

import hashlib

import msgspec
from msgspec import Struct, structs

from gateway.core.decision import Action, Decision, Obligations, Reason
from gateway.core.errors import Denied, Invalid
from gateway.core.history import HistoryEntry, HistoryKind, SubmissionDetail
from gateway.core.principal import Principal
from gateway.core.run import Run
from gateway.core.shard_states import Shard
from gateway.documents.workflow import Spec, Workflow
from gateway.policy.interface import PolicyEngine
from gateway.store.interface import Admission, Admitted, Store
from gateway.submission.authorize import authorize, question_about
from waypost.workflow.task import SideEffects


class Submission(Struct, frozen=True, kw_only=True):
    """A document that was checked, permitted and obliged, and who sent it. `at` is wall-clock seconds since 1970."""

    workflow: Workflow
    document: bytes
    """Its JSON, as it will run."""
    fingerprint: bytes
    """Of its JSON as policy saw it, before what policy obliges: that may change while the document does not."""
    principal: Principal
    key: str | None
    at: float
    trace_id: str


async def admit(
    submission: Submission, decision: Decision, run_id: str, *, store: Store, policy: PolicyEngine
) -> Admitted:
    """The run, durable when this returns; of an idempotency key that is known, the one it made.

    Raises `Denied` (403) for a replay that the caller may not see, `Invalid` (422) for a known key with another document, `Unavailable`
    (503) where nothing was stored.
    """
    admitted = await store.admit(admission(submission, decision, run_id))
    if admitted.replay:
        question = question_about(
            admitted.run, Action.RUNS_READ, principal=submission.principal, at=submission.at
        )
        await authorize(question, policy=policy)
        if admitted.run.fingerprint != submission.fingerprint:
            raise Invalid(f"this Idempotency-Key was used for another document: run {admitted.run.id}")
    return admitted


def admission(submission: Submission, decision: Decision, run_id: str) -> Admission:
    """All that the acceptance writes."""
    workflow, principal, at = submission.workflow, submission.principal, submission.at
    spec = workflow.spec
    run = Run(
        id=run_id,
        tenant=workflow.metadata.tenant or principal.tenant,
        name=workflow.metadata.name,
        subject=principal.subject,
        issuer=principal.issuer,
        labels=workflow.metadata.labels,
        priority=spec.priority,
        shard_count=workflow.shard_count,
        workflow=submission.document,
        created_at=at,
        deadline_at=_deadline(submission, decision),
        decision_id=decision.id,
        decided_at=decision.at,
        permitted=decision.obligations.regions,
        idempotency_key=submission.key,
        fingerprint=submission.fingerprint,
    )
    shards = tuple([Shard(run=run_id, index=index, item=item) for index, item in enumerate(workflow.items)])
    accepted = HistoryEntry(
        run=run_id,
        kind=HistoryKind.ACCEPTED,
        at=at,
        actor=principal.subject,
        detail=_credit(principal, decision, submission.trace_id),
    )
    return Admission(run=run, shards=shards, decision=decision, history=(accepted,))


def readmission(run: Run, submission: Submission, decision: Decision) -> tuple[Run, HistoryEntry]:
    """A run that is over, opened again under a fresh decision (T13), as that obliges it now. Its deadline counts from now."""
    workflow, principal, at = submission.workflow, submission.principal, submission.at
    again = structs.replace(
        run,
        labels=workflow.metadata.labels,
        priority=workflow.spec.priority,
        workflow=submission.document,
        deadline_at=_deadline(submission, decision),
        cancel_requested_at=None,
        finished_at=None,
        decision_id=decision.id,
        decided_at=decision.at,
        permitted=decision.obligations.regions,
    )
    entry = HistoryEntry(
        run=run.id,
        kind=HistoryKind.REOPENED,
        at=at,
        actor=principal.subject,
        detail=_credit(principal, decision, submission.trace_id),
    )
    return again, entry


def _deadline(submission: Submission, decision: Decision) -> float | None:
    """From now: the document's or policy's, whichever is nearer."""
    given = (submission.workflow.spec.deadline_seconds, decision.obligations.max_deadline_seconds)
    deadlines = [seconds for seconds in given if seconds is not None]
    return submission.at + min(deadlines) if deadlines else None


def oblige(
    workflow: Workflow, document: bytes, decision: Decision, *, exclusive: frozenset[str]
) -> tuple[Workflow, bytes]:
    """The workflow as it will run, and its JSON: priority capped, labels and side effects as policy says.

    `exclusive` names the executors that can keep a task from running twice. Raises `Denied` where the obligations leave no room.
    """
    duties = decision.obligations
    metadata, spec = workflow.metadata, workflow.spec
    if duties.labels and not duties.labels.items() <= metadata.labels.items():
        metadata = structs.replace(metadata, labels=metadata.labels | duties.labels)
    if duties.max_priority is not None and spec.priority > duties.max_priority:
        spec = structs.replace(spec, priority=duties.max_priority)
    if duties.side_effects == SideEffects.EXCLUSIVE and spec.side_effects is not SideEffects.EXCLUSIVE:
        spec = structs.replace(spec, side_effects=SideEffects.EXCLUSIVE)
    if (reason := _no_room(workflow, spec, duties, exclusive)) is not None:
        raise Denied(reason.message, reasons=(reason,), decision_id=decision.id)
    if metadata is workflow.metadata and spec is workflow.spec:
        return workflow, document
    obliged = structs.replace(workflow, metadata=metadata, spec=spec)
    return obliged, msgspec.json.encode(obliged)


def _no_room(workflow: Workflow, spec: Spec, duties: Obligations, exclusive: frozenset[str]) -> Reason | None:
    wished = spec.placement.regions
    if not duties.regions:
        return Reason(rule="placement.nowhere", message="policy permits no region for it")
    if wished and not set(wished) & set(duties.regions):
        permitted = ", ".join(duties.regions)
        return Reason(
            rule="placement.wishes",
            message=f"none of the wished regions is permitted; policy permits {permitted}",
        )
    if duties.max_shards is not None and workflow.shard_count > duties.max_shards:
        return Reason(
            rule="shards.maximum",
            message=f"{workflow.shard_count} shards; policy permits {duties.max_shards}",
        )
    if spec is not workflow.spec and spec.side_effects is SideEffects.EXCLUSIVE:
        unfit = sorted({task.type for task in spec.tasks} - exclusive)
        if unfit:
            return Reason(
                rule="sideEffects.exclusive",
                message=f"policy wants exclusive side effects, which {', '.join(unfit)} cannot promise",
            )
    return None


def _credit(principal: Principal, decision: Decision, trace_id: str) -> SubmissionDetail:
    """Who, by which decision: what the history keeps of an acceptance."""
    return SubmissionDetail(
        subject=principal.subject,
        issuer=principal.issuer,
        client=principal.client,
        decision_id=decision.id,
        revision=decision.revision,
        rules=decision.rules,
        regions=decision.obligations.regions,
        trace_id=trace_id,
    )


def fingerprint(canonical: bytes) -> bytes:
    """SHA-256 of the canonical document: what an idempotency key stands for."""
    return hashlib.sha256(canonical).digest()
