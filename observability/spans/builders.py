"""Makes the spans of API calls, of attempts and of tries. Pure.

Attributes are names, numbers and words of ours: never a token, a parameter, an output, or the reason of a
failure, which quotes what a task or a cluster says.
"""

from collections.abc import Mapping
from typing import Final

from observability.spans.call_trace import CallTrace
from observability.spans.finished_span import FinishedSpan
from waypost.tracing.context import TraceContext
from waypost.workflow.stages import name_in_cluster, name_in_gateway

WELL_ENDED: Final = frozenset({"Completed", "Cancelled"})
"""The ends of an attempt that are no failure."""


def call_spans(
    trace: CallTrace,
    operation: str,
    outcome: str,
    *,
    failed: bool,
    about: Mapping[str, str],
    began: float,
    ended: float,
    clock_offset: float,
) -> list[FinishedSpan]:
    """Makes the span of an API call, and one for each of its steps.

    `about` has the `run` or `region` that its path names. Times are by the performance counter, which reads
    `clock_offset` seconds less than the clock of the day.
    """
    attributes: dict[str, str | int] = {"operation": operation, "outcome": outcome}
    named = {"run": trace.run, "decision_id": trace.decision_id, **about}
    attributes |= {name: value for name, value in named.items() if value}
    call = FinishedSpan(
        name=operation,
        context=trace.context,
        began=began + clock_offset,
        ended=ended + clock_offset,
        attributes=attributes,
        failed=failed,
        of_a_caller=True,
    )
    steps = [
        FinishedSpan(
            name=step,
            context=trace.context.of_step(step),
            began=since + clock_offset,
            ended=until + clock_offset,
            attributes={"decision_id": trace.decision_id} if step == "authorize" else {},
        )
        for step, since, until in trace.steps
    ]
    return [call, *steps]


def attempt_span(
    submission: TraceContext,
    *,
    run: str,
    shard: int,
    epoch: int,
    region: str,
    outcome: str,
    decision_id: str,
    began: float,
    ended: float,
) -> FinishedSpan:
    """Makes the span of a shard's attempt, from its placement to the event that ended it (`outcome`)."""
    return FinishedSpan(
        name="attempt",
        context=submission.of_attempt(*name_in_cluster(run, shard), epoch),
        began=began,
        ended=ended,
        attributes={
            "run": run,
            "shard": shard,
            "epoch": epoch,
            "region": region,
            "outcome": outcome,
            "decision_id": decision_id,
        },
        failed=outcome not in WELL_ENDED,
    )


def try_span(
    context: TraceContext,
    *,
    run: str,
    shard: int,
    epoch: int,
    region: str,
    task: str,
    tries: int,
    executor: str,
    outcome: str,
    began: float,
    ended: float,
) -> FinishedSpan:
    """Makes the span of one try of a task in a cluster, which knows a stage of a run by another name."""
    run, shard = name_in_gateway(run, shard)
    return FinishedSpan(
        name="try",
        context=context,
        began=began,
        ended=ended,
        attributes={
            "run": run,
            "shard": shard,
            "epoch": epoch,
            "region": region,
            "task": task,
            "try": tries,
            "executor": executor,
            "outcome": outcome,
        },
        failed=outcome != "Succeeded",
    )
