"""Reads the whole record of an ended run from the store, as lines of JSON for the archive."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, structs

from gateway.core.decision import Decision
from gateway.core.run import Run
from gateway.store.interface import Store

PAGE: Final = 500
"""The number of history entries that are read at once."""


async def run_lines(store: Store, run: Run) -> AsyncIterator[Sequence[bytes]]:
    """Yields the record of a run, in parts: a line of JSON for the run, each shard, task, entry and decision.

    Each line is an object with one member, whose name says what it is, and the run's id as `of`.
    """
    run_id = run.id
    yield [_line(run_id, "run", structs.replace(run, workflow=b""))]
    yield [_line(run_id, "document", msgspec.Raw(run.workflow))]
    shards = await store.shards(run_id)
    yield [_line(run_id, "shard", shard) for shard in shards]
    for shard in shards:
        # At most 16 MiB, as a cluster reports no more of a shard.
        tasks = await store.tasks(run_id, shard.index, encoded=True)
        yield [_line(run_id, "task", task) for task in tasks]
    decisions, seq = {run.decision_id}, 0
    while True:
        entries = await store.history(run_id, after=seq, limit=PAGE)
        yield [_line(run_id, "history", entry) for entry in entries]
        decisions |= {entry.decision_id for entry in entries if entry.decision_id is not None}
        if len(entries) < PAGE:
            break
        seq = entries[-1].seq
    for name in sorted(decisions):
        if (decision := await store.decision(name)) is not None:
            yield [_line(run_id, "decision", _readable(decision))]


def _readable(decision: Decision) -> Decision:
    """Returns the decision without the document that was asked about, which has a line of its own."""
    if decision.question is UNSET:
        return decision
    return structs.replace(decision, question=structs.replace(decision.question, workflow=None))


def _line(run_id: str, name: str, value: Any) -> bytes:
    return msgspec.json.encode({"of": run_id, name: value})
