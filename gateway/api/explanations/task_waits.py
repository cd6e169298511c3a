"""The API handler that asks regions what the tasks of a run wait for there, and says it in words."""

import asyncio
from collections.abc import Sequence
from typing import Final, assert_never

from loguru import logger
from msgspec import Struct
from starlette.responses import Response

from clusters.errors import ClusterError
from clusters.interface import ListsWaits
from clusters.task_waits import TaskWait, TaskWaits, WaitReason
from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.api.runs import visible_run
from gateway.core.shard_states import Phase, Shard
from waypost.turns import NoTurn

ASKED_SECONDS: Final = 1.0
"""The seconds for which a region's answer is waited for: without it, less is said."""
ASKED_SHARDS: Final = 20
"""The maximum number of shards whose regions are asked for one response."""


class WaitingTask(Struct, frozen=True, kw_only=True):
    """What one task waits for now, in the region of its shard.

    `reason` is a word for programs, `text` a clause for people; `seconds` is how long it has been ready.
    """

    shard: int
    region: str
    task: str
    reason: WaitReason
    text: str
    seconds: float


class WaitingTasks(Struct, frozen=True, kw_only=True):
    """What the waiting tasks of a run's Running shards wait for, as their regions say.

    `unknown`: the Running shards whose region did not say it, or that were not asked (beyond the first 20).
    `left_out`: the number of further waiting tasks of the others.
    """

    items: tuple[WaitingTask, ...]
    unknown: tuple[int, ...]
    left_out: int


async def waits(call: Call) -> Response:
    """List what the tasks that have not started wait for, as the regions of a run's Running shards say.

    `shard` asks for one shard alone.
    """
    run = await visible_run(call)
    shards = [shard for shard in await call.services.store.shards(run.id) if shard.phase is Phase.RUNNING]
    if (index := call.query.shard(run.shard_count)) is not None:
        shards = [shard for shard in shards if shard.index == index]
    asked = shards[:ASKED_SHARDS]
    answers = await asyncio.gather(*(_ask(call, shard) for shard in asked))
    return JsonResponse(_listing(shards, [*answers, *[None] * (len(shards) - len(asked))]))


async def _ask(call: Call, shard: Shard) -> TaskWaits | None:
    """Returns what the shard's region says; None if it has no answer soon."""
    region = shard.region or ""
    cluster = call.services.clusters.get(region)
    if not isinstance(cluster, ListsWaits):
        return None
    try:
        async with asyncio.timeout(ASKED_SECONDS), call.turn(call.services.log_reads[region]):
            return await cluster.waits(shard.attempt)
    except (ClusterError, TimeoutError, NoTurn) as error:
        logger.debug("{} does not say what {} waits for: {}", region, shard.attempt, error)
        return None


def _listing(shards: Sequence[Shard], answers: Sequence[TaskWaits | None]) -> WaitingTasks:
    items, unknown, left_out = list[WaitingTask](), list[int](), 0
    for shard, answer in zip(shards, answers, strict=True):
        if answer is None:
            unknown.append(shard.index)
            continue
        left_out += answer.left_out
        items += [
            WaitingTask(
                shard=shard.index,
                region=shard.region or "",
                task=wait.task,
                reason=wait.reason,
                text=clause(wait),
                seconds=wait.seconds,
            )
            for wait in answer.waits
        ]
    return WaitingTasks(items=tuple(items), unknown=tuple(unknown), left_out=left_out)


def clause(wait: TaskWait) -> str:
    """Returns a clause that says what a task waits for."""
    beside = "" if not wait.ahead else f", beside {wait.ahead} more of its tenant"
    match wait.reason:
        case WaitReason.NEEDS:
            return "waits for tasks that it needs"
        case WaitReason.CONDITION:
            return "waits for its condition to be evaluated"
        case WaitReason.RETRY:
            return f"waits to be tried again, for {wait.left_seconds:.0f} s more"
        case WaitReason.PROCESSOR | WaitReason.TURN:
            turn = "its tenant's turn: another tenant is served before"
            return f"waits for {turn if wait.reason is WaitReason.TURN else 'a processor'}{beside}"
        case WaitReason.MEMORY:
            behind = f"behind {wait.name}, which waits for" if wait.name else "for"
            return (
                f"waits {behind} {wait.asked} MiB of memory: running tasks have asked for {wait.taken} of"
                f" {wait.places} MiB"
            )
        case WaitReason.SEMAPHORE:
            return f"waits for the semaphore {wait.name}: {wait.taken} of {wait.places} places are taken"
        case WaitReason.RATE:
            limit = f"the limit on starts of {wait.name} tasks"
            return f"waits for {limit}: the tenant may start one in {wait.left_seconds:.1f} s"
        case WaitReason.REPORTS:
            return "waits for the gateway, which has yet to take what other tasks of its tenant have reported"
        case WaitReason.LEASE:
            return "waits for the run-lease of its shard"
        case _:
            assert_never(wait.reason)
