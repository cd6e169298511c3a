"""Reads a part of the audit trail from the store, as lines of JSON for the archive.

Lines of entries and seals are those of `waypost audit export`, so that it is verified like an export.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, structs

from gateway.core.decision import Decision
from gateway.store.decisions import RecordedDecision
from gateway.store.interface import Store
from observability.audit import Seal

PAGE: Final = 100
"""The number of decisions that are read at once."""


async def entry_lines(store: Store, *, last_entry: int) -> AsyncIterator[Sequence[bytes]]:
    """Yields lines of the trail's entries up to the number `last_entry`, sealed or not, from its beginning.

    Decisions behind them that have documents of their own follow, each with its document.
    """
    after = 0
    while after < last_entry:
        found = await store.trail(after=after)
        entries = [entry for number, entry in found.entries.items() if number <= last_entry]
        yield [_line(entry=entry) for entry in entries]
        behind = [entry["decision"]["id"] for entry in entries if entry["decision"]]
        for start in range(0, len(behind), PAGE):
            yield [*_decisions(await store.kept_documents(behind[start : start + PAGE]))]
        if found.last == after:
            break
        after = found.last


def seal_lines(seals: Iterable[Seal]) -> Iterator[bytes]:
    """Yields a line for each seal."""
    return (_line(seal=seal) for seal in seals)


async def decision_lines(store: Store, last: Seal) -> AsyncIterator[tuple[Sequence[str], Sequence[bytes]]]:
    """Yields the ids and lines of decisions, in parts, that are as old as the seal `last`.

    They are those that neither a run in the store nor an entry of the trail beyond that seal leads to.
    """
    after: str | None = ""
    while after is not None:
        page = await store.left_decisions(
            before=last.at, beyond_entry=last.entries[-1][0], after=after, limit=PAGE
        )
        yield [one.decision.id for one in page.decisions], [*_decisions(page.decisions)]
        after = page.next


def _decisions(found: Iterable[RecordedDecision]) -> Iterator[bytes]:
    for one in found:
        decision, document = _apart(one.decision)
        yield _line(decision=decision, **({} if document is None else {"document": msgspec.Raw(document)}))


def _apart(decision: Decision) -> tuple[Decision, bytes | None]:
    """Returns a decision without the document that was asked about, and that document."""
    question = decision.question
    if question is UNSET or question.workflow is None:
        return decision, None
    return structs.replace(decision, question=structs.replace(question, workflow=None)), question.workflow


def _line(**parts: Any) -> bytes:
    return msgspec.json.encode(parts)
