"""The rules by which every store picks shards to be placed next, in fair turns, and limits open work.

They are pure functions: a store reads the rows, and asks them.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import TypeVar

from gateway.core.run import Run
from gateway.store.interface import OpenWork

T = TypeVar("T")

SMALLEST_WEIGHT = 0.01
"""The smallest effective weight of a tenant: with a turn now and then none waits for ever."""


def in_turns(queues: Sequence[tuple[float, Iterator[T]]], limit: int) -> list[T]:
    """Takes up to `limit` items from the queues in turns, by their weights; the first queue begins.

    An item is read from its queue only when it is taken: the queues may be cursors over many rows.
    """
    # Of two queues with the same turn the one goes first that comes first.
    turns = [(0.0, number) for number in range(len(queues))]
    taken: list[T] = []
    for_ever = object()
    while turns and len(taken) < limit:
        turn, number = turns[0]
        weight, items = queues[number]
        item = next(items, for_ever)
        if item is for_ever:
            heapq.heappop(turns)
        else:
            taken.append(item)  # type: ignore[arg-type]
            heapq.heapreplace(turns, (turn + 1 / max(weight, SMALLEST_WEIGHT), number))
    return taken


def beginning_after(names: Sequence[str], after: str) -> list[str]:
    """Sorts the names, and moves those up to and including `after` to the end."""
    ordered = sorted(names)
    return [name for name in ordered if name > after] + [name for name in ordered if name <= after]


def work_of(run: Run) -> OpenWork:
    """Returns the open work (runs, shards, tasks) that a run adds to its tenant's until the run has ended."""
    return OpenWork(
        runs=1,
        shards=run.shard_count + sum(tasks > 0 for tasks in run.stage_tasks),
        tasks=run.shard_count * run.task_count + sum(run.stage_tasks),
    )


def exceeded(open_work: OpenWork, added: OpenWork, limits: OpenWork) -> str:
    """Returns a sentence about the limit on a tenant's work that `open_work` with `added` would exceed.

    The text is empty if no limit is exceeded. One run may pass a limit if nothing of that kind is open: else
    it could never run.
    """
    for what, there, more, most in (
        ("runs", open_work.runs, added.runs, limits.runs),
        ("shards", open_work.shards, added.shards, limits.shards),
        ("tasks", open_work.tasks, added.tasks, limits.tasks),
    ):
        # What is larger than the limit by itself is taken when nothing else is open: it would never be.
        if there and there + more > most:
            return f"your tenant has {there} {what} open; with this run it would pass its {most}"
    return ""
