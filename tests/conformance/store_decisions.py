"""Conformance tests of stores about recorded policy decisions."""

import hashlib
from typing import Any

from msgspec import structs

from gateway.core.decision import Action, Decision, Question
from gateway.core.history import HistoryEntry, HistoryKind
from gateway.core.principal import Principal
from gateway.core.shard_states import Phase
from gateway.store.decisions import DOCUMENT_BYTES, DecisionQuery, RecordedDecision
from gateway.store.interface import Store
from tests.conformance.store_values import NOW, Open, admission, decision, known, move
from tests.gateway.core.history_entries import history_entry

DOCUMENT = b'{"metadata":{"name":"nightly"}}'


def asked(name: str, *, tenant: str = "payments", allow: bool = True, **changes: Any) -> Decision:
    """Returns a decision together with its input; `name` is the decision's id."""
    fields: dict[str, Any] = {
        "action": Action.RUNS_SUBMIT,
        "principal": Principal(subject="ada", issuer="https://issuer.test", tenant=tenant),
        "at": NOW,
        "workflow": DOCUMENT,
    }
    question = Question(**fields | changes)
    return structs.replace(
        decision(name, allow=allow), action=question.action, at=question.at, question=question
    )


def accepted(run: str, decision_id: str) -> HistoryEntry:
    entry = history_entry(HistoryKind.ACCEPTED, run=run, at=NOW)
    return structs.replace(entry, detail=structs.replace(entry.detail, decision_id=decision_id))


def document_of(recorded: RecordedDecision) -> bytes | None:
    question = recorded.decision.question
    return question.workflow if question else None


async def listed(store: Store, **conditions: Any) -> list[str]:
    found = await store.decisions(DecisionQuery(**{"tenants": None, **conditions}))
    return [recorded.decision.id for recorded in found.decisions]


class DecisionsConformance:
    """The part of `StoreConformance` about recorded policy decisions."""

    async def test_an_acceptance_records_what_policy_saw(self, store: Store) -> None:
        """The document that policy saw, also where the run has another since policy changed it."""
        digest = hashlib.sha256(DOCUMENT).digest()
        same = structs.replace(
            admission("run-1", workflow=DOCUMENT, fingerprint=digest), decision=asked("d1")
        )
        changed = structs.replace(
            admission("run-2", workflow=b'{"b":2}', idempotency_key=None), decision=asked("d2")
        )
        await store.admit(same)
        await store.admit(changed)

        for name, run in (("d1", "run-1"), ("d2", "run-2")):
            found = await store.recorded_decision(name)
            assert found is not None
            assert (found.decision, found.run, found.name) == (asked(name), run, "nightly")
        assert await store.recorded_decision("d9") is None

    async def test_a_record_is_there_after_a_restart(self, open_store: Open) -> None:
        """Durable with the acceptance."""
        async with open_store() as store:
            await store.admit(structs.replace(admission("run-1", workflow=DOCUMENT), decision=asked("d1")))
            await store.record_decision(asked("d2", action=Action.REGIONS_OPERATE, workflow=None))
        async with open_store() as store:
            assert await listed(store) == ["d2", "d1"]

    async def test_a_retry_does_not_change_what_was_seen_before(self, store: Store) -> None:
        """Each decision keeps the document that it was about, whatever the run has by now."""
        given = structs.replace(admission("run-1", workflow=DOCUMENT), decision=asked("d1"))
        await store.admit(structs.replace(given, history=(accepted("run-1", "d1"),)))
        await store.replace_decision("run-1", decision=asked("d2", action=Action.RUNS_PLACE))
        await move(store, "run-1", Phase.FAILED)
        later = b'{"metadata":{"name":"later"}}'
        again = structs.replace(await known(store, "run-1"), workflow=later)
        newest = asked("d3", action=Action.RUNS_RETRY, workflow=later)
        entry = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW)
        assert await store.retry("run-1", run=again, decision=newest, entry=entry)

        found = [await store.recorded_decision(name) for name in ("d1", "d3")]
        assert [recorded and recorded.decision for recorded in found] == [asked("d1"), newest]

    async def test_decisions_are_listed_newest_first_by_what_is_asked(self, store: Store) -> None:
        """Without their documents."""
        await store.admit(structs.replace(admission("run-1", workflow=DOCUMENT), decision=asked("d1")))
        refusals = [
            structs.replace(asked("d2", allow=False), rules=("image.banned",)),
            asked("d3", allow=False, tenant="research", at=NOW + 5),
            asked("d4", allow=False, action=Action.RUNS_CANCEL, workflow=None),
        ]
        await store.record_passing(refusals, of_tenant=10, in_all=10)

        assert await listed(store) == ["d4", "d3", "d2", "d1"]
        assert await listed(store, refused=True) == ["d4", "d3", "d2"]
        assert await listed(store, refused=False) == ["d1"]
        assert await listed(store, tenants=("research",)) == ["d3"]
        assert await listed(store, tenants=()) == []
        assert await listed(store, rule="image.banned") == ["d2"]
        assert await listed(store, run="run-1") == ["d1"]
        assert await listed(store, subject="eve") == []
        assert await listed(store, actions=(Action.RUNS_CANCEL,)) == ["d4"]
        found = await store.decisions(DecisionQuery(tenants=None))
        assert [recorded.name for recorded in found.decisions] == ["", "nightly", "nightly", "nightly"]
        assert all(
            recorded.decision.question and recorded.decision.question.workflow is None
            for recorded in found.decisions
        )

    async def test_pages_of_decisions_go_on_where_they_ended(self, store: Store) -> None:
        """By the id of the last one."""
        await store.record_passing([asked(f"d{n}", allow=False) for n in range(5)], of_tenant=10, in_all=10)
        first = await store.decisions(DecisionQuery(tenants=None, limit=3))
        assert first.next == "d2"
        second = await store.decisions(DecisionQuery(tenants=None, limit=3, before=first.next))
        assert [recorded.decision.id for recorded in second.decisions] == ["d1", "d0"]
        assert second.next is None

    async def test_decisions_are_listed_with_their_documents_where_that_is_asked(self, store: Store) -> None:
        """Those of runs too; masked ones without. A page has no more than a gateway is to hold at once."""
        await store.admit(structs.replace(admission("run-1", workflow=DOCUMENT), decision=asked("d1")))
        large = b'{"x":"' + b"x" * (DOCUMENT_BYTES * 2 // 5) + b'"}'
        refusals = [asked(f"d{n}", allow=False, workflow=large) for n in range(2, 7)]
        await store.record_passing(
            [*refusals, asked("d7", allow=False, workflow=None)], of_tenant=10, in_all=10
        )

        pages: list[list[tuple[str, bytes | None]]] = []
        before = None
        while not pages or before is not None:
            query = DecisionQuery(tenants=None, documents=True, limit=4, before=before)
            found = await store.decisions(query)
            pages.append([(one.decision.id, document_of(one)) for one in found.decisions])
            before = found.next
        assert pages == [
            [("d7", None), ("d6", large), ("d5", large)],
            [("d4", large), ("d3", large)],
            [("d2", large), ("d1", DOCUMENT)],
        ]
        huge = asked("d8", allow=False, workflow=b'{"x":"' + b"x" * DOCUMENT_BYTES + b'"}')
        await store.record_passing([huge], of_tenant=10, in_all=10)
        alone = await store.decisions(DecisionQuery(tenants=None, documents=True))
        assert [one.decision.id for one in alone.decisions] == ["d8"]

    async def test_refusals_are_kept_up_to_a_bound(self, store: Store) -> None:
        """The newest stay, those of other tenants too, and what was accepted always does."""
        await store.admit(structs.replace(admission("run-1", workflow=DOCUMENT), decision=asked("c1")))
        flood = [asked(f"d{n:03}", allow=False) for n in range(30)]
        other = [asked(f"e{n:03}", allow=False, tenant="research") for n in range(3)]

        assert await store.record_passing(other, of_tenant=5, in_all=100) == 0
        assert await store.record_passing(flood, of_tenant=5, in_all=100) == 25
        assert await listed(store) == ["e002", "e001", "e000", "d029", "d028", "d027", "d026", "d025", "c1"]
        assert await store.record_passing([asked("f000", allow=False)], of_tenant=100, in_all=4) == 5
        assert await listed(store) == ["f000", "e002", "e001", "e000", "c1"]
