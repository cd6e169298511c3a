"""Reads and writes recorded policy decisions, as functions over one SQLite connection."""

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, structs

from gateway.core.decision import Decision
from gateway.core.run import Run
from gateway.store.decisions import DOCUMENT_BYTES, DecisionQuery, FoundDecisions, RecordedDecision

SCANNED_MAXIMUM: Final = 2_000
"""The maximum number of decisions scanned for one page, which takes some 20 ms."""

_INSERT: Final = (
    "insert or replace into decision (id, at, state, tenant, run, name, refused, passing, document, digest)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_STATE: Final = "select state from decision where id = ?"
_RECORDED: Final = (
    "select decision.state, decision.run, decision.name, decision.document, decision.digest, run.workflow"
    " from decision left join run on run.id = decision.run where decision.id = ?"
)
# The condition is the index's own, or SQLite would not take it.
_SCAN: Final = {
    None: "select id, tenant, run, name, state from decision where id < ? order by id desc limit ?",
    True: "select id, tenant, run, name, state from decision indexed by decision_refused"
    " where refused = 1 and id < ? order by id desc limit ?",
    False: "select id, tenant, run, name, state from decision"
    " where refused = 0 and id < ? order by id desc limit ?",
}
_NEWEST: Final = "~"
"""A string that sorts after every decision id."""
_KEEP_DOCUMENT: Final = (
    "update decision set document = ?1 where document is null and digest = ?2 and id in"
    " (select detail ->> '$.decision_id' from audit where run = ?3)"
)
_BEYOND_OF_TENANT: Final = (
    "delete from decision where passing = 1 and tenant = ?1 and id <= (select id from decision"
    " where passing = 1 and tenant = ?1 order by id desc limit 1 offset ?2)"
)
_BEYOND_IN_ALL: Final = (
    "delete from decision where passing = 1 and id <= (select id from decision"
    " where passing = 1 order by id desc limit 1 offset ?)"
)

_INSERT_OPA: Final = "insert or replace into opa_record (id, state) values (?, ?)"
_BEYOND_OF_OPA: Final = "delete from opa_record where rowid <= (select max(rowid) from opa_record) - ?"
_OPA_RECORD: Final = "select state from opa_record where id = ?"

_decode = msgspec.json.Decoder(Decision).decode


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Document(msgspec.Struct, frozen=True):
    metadata: _Named = _Named()


_decode_name = msgspec.json.Decoder(_Document).decode


def insert(
    db: sqlite3.Connection,
    decision: Decision,
    run: Run | None,
    *,
    asked_about: bytes = b"",
    passing: bool = False,
) -> None:
    """Stores a policy decision, which is about `run` if that is given.

    `asked_about` is the SHA-256 of the document that policy was asked about; it is computed if it is empty.
    """
    db.execute(_INSERT, _row(decision, run, asked_about, passing=passing))


def insert_passing(
    db: sqlite3.Connection, decisions: Sequence[Decision], *, of_tenant: int, in_all: int
) -> int:
    """Stores policy decisions that need not be kept for good; returns how many older ones were deleted.

    Of such decisions the newest `of_tenant` of each tenant and the newest `in_all` in total are kept.
    """
    deleted = 0
    for decision in decisions:
        insert(db, decision, None, passing=True)
    for tenant in {decision.question.principal.tenant for decision in decisions if decision.question}:
        deleted += db.execute(_BEYOND_OF_TENANT, (tenant, of_tenant)).rowcount
    return deleted + db.execute(_BEYOND_IN_ALL, (in_all,)).rowcount


def insert_opa_records(db: sqlite3.Connection, records: Sequence[tuple[str, bytes]], *, kept: int) -> None:
    """Stores events of OPA's decision log by their ids, and keeps only the newest `kept` of all."""
    db.executemany(_INSERT_OPA, [(name, state.decode()) for name, state in records])
    db.execute(_BEYOND_OF_OPA, (kept,))


def find_opa_record(db: sqlite3.Connection, engine_decision_id: str) -> bytes | None:
    """Reads the event of OPA's decision log with this id of OPA's; None if there is none."""
    row = db.execute(_OPA_RECORD, (engine_decision_id,)).fetchone()
    return None if row is None else str(row[0]).encode()


def keep_document(db: sqlite3.Connection, run: Run) -> None:
    """Copies a run's document into its policy decisions, before a retry gives the run another document."""
    db.execute(_KEEP_DOCUMENT, (run.workflow, hashlib.sha256(run.workflow).digest(), run.id))


def find_decision(db: sqlite3.Connection, decision_id: str) -> Decision | None:
    """Reads a policy decision without the workflow document it is about; None if there is none."""
    row = db.execute(_STATE, (decision_id,)).fetchone()
    return None if row is None else _decode(row[0])


def find_recorded(db: sqlite3.Connection, decision_id: str) -> RecordedDecision | None:
    """Reads a policy decision with its query's document, if that is still known; None if there is none."""
    row = db.execute(_RECORDED, (decision_id,)).fetchone()
    if row is None:
        return None
    state, run, name, document, digest, workflow = row
    if document is None and workflow is not None and hashlib.sha256(workflow).digest() == digest:
        document = workflow
    decision = _decode(state)
    if decision.question is not UNSET and document is not None:
        question = structs.replace(decision.question, workflow=document)
        decision = structs.replace(decision, question=question)
    return RecordedDecision(decision=decision, run=run, name=name)


def find_decisions(db: sqlite3.Connection, query: DecisionQuery) -> FoundDecisions:
    """Returns one page of the policy decisions that match `query`, newest first."""
    found: list[RecordedDecision] = []
    scanned, last, size = 0, query.before or _NEWEST, 0
    for decision_id, tenant, run, name, state in db.execute(_SCAN[query.refused], (last, SCANNED_MAXIMUM)):
        scanned, last = scanned + 1, decision_id
        if query.tenants is not None and tenant not in query.tenants:
            continue
        decision = _decode(state)
        if decision.at < query.since:
            # Ids are in the order of time, so all further ones are older.
            return FoundDecisions(decisions=tuple(found), next=None)
        if not _matches(decision, run, query):
            continue
        recorded: RecordedDecision | None = RecordedDecision(decision=decision, run=run, name=name)
        if query.documents and len(found) < query.limit and (recorded := find_recorded(db, decision_id)):
            size += _document_size(recorded)
        if len(found) == query.limit or (found and size > DOCUMENT_BYTES):
            return FoundDecisions(decisions=tuple(found), next=found[-1].decision.id)
        if recorded is not None:
            found.append(recorded)
    return FoundDecisions(decisions=tuple(found), next=last if scanned == SCANNED_MAXIMUM else None)


def _document_size(recorded: RecordedDecision) -> int:
    question = recorded.decision.question
    return len(question.workflow or b"") if question else 0


def _matches(decision: Decision, run: str, query: DecisionQuery) -> bool:
    subject = decision.question.principal.subject if decision.question else None
    return (
        decision.action in query.actions
        and query.subject in (None, subject)
        and query.run in (None, run)
        and (query.rule is None or query.rule in decision.rules)
    )


def _row(decision: Decision, run: Run | None, asked_about: bytes, *, passing: bool) -> tuple[Any, ...]:
    """Returns the parameters of the SQL statement `_INSERT` for a policy decision."""
    question = decision.question
    tenant, run_id, name = "", "", ""
    document = digest = None
    if question is not UNSET:
        tenant, document = question.principal.tenant, question.workflow
        run_id = _text(question.context.get("run", {}), "id")
        if document is not None and run is None:
            name = _decode_name(document).metadata.name
        decision = structs.replace(decision, question=structs.replace(question, workflow=None))
    if run is not None:
        run_id, name, tenant = run.id, run.name, tenant or run.tenant
        if document == run.workflow:
            document, digest = None, asked_about or hashlib.sha256(run.workflow).digest()
    state = msgspec.json.encode(decision).decode()
    flags = int(decision.allow is not True), int(passing)
    return decision.id, decision.at, state, tenant, run_id, name, *flags, document, digest


def _text(value: Any, name: str) -> str:
    found = value.get(name, "") if isinstance(value, dict) else ""
    return found if isinstance(found, str) else ""
