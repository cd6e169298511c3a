"""Example history entries of every kind, for tests that do not care about the content."""

from typing import Any

from gateway.core.history import (
    DETAILS,
    BundleRefusedDetail,
    CancellationDetail,
    DeploymentDetail,
    Detail,
    ExceptionDetail,
    HistoryEntry,
    HistoryKind,
    NotificationDetail,
    OperationDetail,
    OrphanDetail,
    PlacementDetail,
    PolicyDetail,
    RegionEventDetail,
    RestoreDetail,
    RoutingDetail,
    RunPhaseDetail,
    SubmissionDetail,
    TaskDetail,
    TrailArchivedDetail,
    TransitionDetail,
    UnplaceableDetail,
    WorkflowDetail,
)
from gateway.core.run import RunPhase
from gateway.core.shard_states import Phase
from waypost.workflow.task_phase import TaskPhase

EXAMPLES: tuple[Detail, ...] = (
    TransitionDetail(before=Phase.PENDING, after=Phase.DISPATCHING, epoch=1, region="beijing"),
    PlacementDetail(
        region="beijing",
        epoch=2,
        scores={"beijing": 0.02},
        rejected={"shanghai": "unhealthy"},
        decision_id="d1",
        remade=("gather",),
    ),
    NotificationDetail(host="hooks.test", phase="Failed", tries=2, reason="the answer was 500"),
    UnplaceableDetail(reason="0/1 regions fit: 1 unhealthy", rejected={"beijing": "unhealthy"}),
    TaskDetail(
        task="gather", phase=TaskPhase.SUCCEEDED, epoch=1, region="beijing", tries=1, seconds=0.25, reason=""
    ),
    OrphanDetail(region="beijing", epoch=1),
    SubmissionDetail(
        subject="ada",
        issuer="https://issuer",
        client="cli",
        decision_id="d1",
        revision="r1",
        rules=("r",),
        regions=("beijing",),
        trace_id="t1",
    ),
    CancellationDetail(decision_id="d1", revision="r1", rules=("r",), trace_id="t1"),
    RunPhaseDetail(before=RunPhase.PENDING, after=RunPhase.RUNNING),
    OperationDetail(region="beijing", decision_id="d1"),
    RoutingDetail(routing=2, digest="d", in_force=1, reason="why", decision_id="d1"),
    WorkflowDetail(
        tenant="payments", workflow="nightly", version=2, digest="d", percent=5.0, stable=1, decision_id="d1"
    ),
    BundleRefusedDetail(archive="0" * 64, reason="it is not signed", decision_id="-"),
    DeploymentDetail(deployment="shop", version="2", returns_to="1", status=201, reason="why"),
    ExceptionDetail(
        exception="e1",
        rule="image.banned",
        tenant="payments",
        reason="why",
        ticket="OPS-7",
        expires_at=2.0,
        decision_id="d1",
    ),
    RegionEventDetail(region="beijing"),
    RestoreDetail(backup_made_at=1.0, sha256="ab", last_seal=3, replaced_seal=None),
    TrailArchivedDetail(file="f.jsonl.gz", first_seal=1, last_seal=3, last_seal_digest="ab", last_entry=9),
    PolicyDetail(sequence=7, revision="r7", decision_id="d1"),
)
"""One example of each type of detail."""


def history_entry(
    kind: HistoryKind, *, detail: Detail | None = None, at: float = 0.0, **fields: Any
) -> HistoryEntry:
    """Returns an entry of `kind`, by default with the example of its detail. `fields`: run, shard, actor."""
    example = next(example for example in EXAMPLES if type(example) is DETAILS[kind])
    return HistoryEntry(kind=kind, at=at, detail=detail or example, **{"run": ""} | fields)
