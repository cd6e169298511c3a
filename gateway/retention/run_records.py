"""Reads the whole record of an ended run from the store, as lines of JSON for the archive."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, structs

from gateway.core.decision import Decision
from gateway.core.run import Run
from gateway.store.interface import Store
from gateway.store.retention import RunRecord

PAGE: Final = 500
"""The number of history entries that are read at once."""


async def run_lines(store: Store, run: Run) -> AsyncIterator[Sequence[bytes]]:
    """Yields the record of a run, in parts: a line of JSON for the run, each shard, task, entry and decision.

    Each line is an object with one member, whose name says what it is, and the run's id as `of`.
    """
    run_id = run.id
    yield _first_lines(run)
    shards = await store.shards(run_id)
    yield _lines(run_id, "shard", shards)
    for shard in shards:
        # At most 16 MiB, as a cluster reports no more of a shard.
        yield _lines(run_id, "task", await store.tasks(run_id, shard.index, encoded=True))
    decisions, seq = {run.decision_id}, 0
    while True:
        entries = await store.history(run_id, after=seq, limit=PAGE)
        yield _lines(run_id, "history", entries)
        decisions |= {entry.decision_id for entry in entries if entry.decision_id is not None}
        if len(entries) < PAGE:
            break
        seq = entries[-1].seq
    for name in sorted(decisions):
        if (decision := await store.decision(name)) is not None:
            yield _lines(run_id, "decision", [_readable(decision)])


def record_lines(record: RunRecord) -> Sequence[bytes]:
    """Returns the lines of a record that was read as a whole: those that `run_lines` yields."""
    run_id = record.run.id
    return [
        *_first_lines(record.run),
        *_lines(run_id, "shard", record.shards),
        *_lines(run_id, "task", record.tasks),
        *_lines(run_id, "history", record.history),
        *_lines(run_id, "decision", [_readable(decision) for decision in record.decisions]),
    ]


def _first_lines(run: Run) -> list[bytes]:
    """Returns the lines of the run itself and of its document."""
    return [
        *_lines(run.id, "run", [structs.replace(run, workflow=b"")]),
        *_lines(run.id, "document", [msgspec.Raw(run.workflow)]),
    ]


def _readable(decision: Decision) -> Decision:
    """Returns the decision without the document that was asked about, which has a line of its own."""
    if decision.question is UNSET:
        return decision
    return structs.replace(decision, question=structs.replace(decision.question, workflow=None))


def _lines(run_id: str, name: str, values: Iterable[Any]) -> list[bytes]:
    return [msgspec.json.encode({"of": run_id, name: value}) for value in values]
