"""Conformance tests of stores about ended runs that are archived and deleted."""

from collections import Counter

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.core.run import Run
from gateway.core.shard_states import Orphan, Phase
from gateway.store.acts import ActQuery
from gateway.store.interface import RunQuery, ShardWrite, Store
from gateway.store.retention import ArchivedRun, RetentionCounts
from tests.conformance.store_decisions import DOCUMENT, accepted, asked
from tests.conformance.store_values import NOW, admission, decision, kinds, known, move, task
from tests.gateway.core.history_entries import history_entry

ENDED = NOW + 5
"""The end of the runs that `ended_run` makes."""


async def ended_run(store: Store, name: str, *, shards: int = 1, phase: Phase = Phase.SUCCEEDED) -> Run:
    """Stores a run of three tasks in each shard, with the decision and history of a placement; ends it."""
    given = admission(name, shards=shards, workflow=DOCUMENT, labels={"team": "a"})
    given = structs.replace(
        given, decision=asked(f"accept-{name}"), history=(accepted(name, f"accept-{name}"),)
    )
    await store.admit(given)
    await store.replace_decision(name, decision=decision(f"place-{name}"))
    for index in range(shards):
        placed = history_entry(HistoryKind.PLACED, run=name, shard=index, at=NOW)
        placed = structs.replace(placed, detail=structs.replace(placed.detail, decision_id=f"place-{name}"))
        shard = (await store.shards(name))[index]
        after = structs.replace(shard, phase=Phase.RUNNING, rev=shard.rev + 1)
        tasks = tuple(structs.replace(task(name, each), shard=index) for each in ("a", "b", "c"))
        assert await store.record([ShardWrite(shard=after, tasks=tasks, history=(placed,))], {}) == [True]
        await move(store, name, phase, index=index)
    return await known(store, name)


async def take_out(store: Store, *runs: Run) -> list[bool]:
    return list(
        await store.archive_runs(
            [ArchivedRun(run=run, file="f.jsonl.gz", archived_at=NOW + 9) for run in runs]
        )
    )


async def purge_all(store: Store, limit: int = 100) -> Counter[str]:
    """Deletes all rows of archived runs; each call deletes no more than `limit`."""
    deleted: Counter[str] = Counter()
    more = True
    while more:
        purged = await store.purge(limit=limit, maximum_bytes=1_000_000)
        assert sum(purged.rows.values()) <= 2 * limit, "an entry may take a decision with it"
        deleted.update(purged.rows)
        more = purged.more
    return deleted


class RetentionConformance:
    """The part of `StoreConformance` about ended runs that are archived and deleted."""

    async def test_runs_that_have_ended_are_listed_the_oldest_first(self, store: Store) -> None:
        """Neither those that are under way, nor those of which something may still run."""
        assert await store.oldest_end() is None
        await ended_run(store, "run-1")
        await ended_run(store, "run-2", phase=Phase.FAILED)
        await store.admit(admission("run-3"))
        await ended_run(store, "run-4")
        shard = (await store.shards("run-4"))[0]
        orphaned = structs.replace(
            shard, rev=shard.rev + 1, orphans=(Orphan(region="beijing", epoch=1, incarnation="j1"),)
        )
        await store.record([ShardWrite(shard=orphaned)], {})
        assert await store.ended_runs(before=ENDED + 1, limit=9) == ["run-1", "run-2"]
        assert await store.ended_runs(before=ENDED + 1, limit=1, without=["run-1"]) == ["run-2"]
        assert await store.oldest_end() == ENDED
        assert len(await store.ended_runs(before=ENDED + 1, limit=1)) == 1
        assert await store.ended_runs(before=ENDED, limit=9) == []
        assert [await store.nth_newest_end(number) for number in (1, 3, 4)] == [ENDED, ENDED, None]
        counts = RetentionCounts(ended=3, oldest_finished_at=ENDED, archived=0)
        assert await store.retention_counts() == counts
        assert await store.retention_counts(before=ENDED + 1) == structs.replace(counts, due=3)
        assert await store.retention_counts(before=ENDED) == counts

    async def test_an_archived_run_is_gone_but_for_where_it_is(self, store: Store) -> None:
        """At once for readers, and its rows a few at a time; what else is there stays."""
        run, other = await ended_run(store, "run-1", shards=3), await ended_run(store, "run-2")
        assert await take_out(store, run) == [True]
        assert await store.run("run-1") is None
        assert [one.id for one in (await store.runs(RunQuery(tenants=None, labels={"team": "a"}))).runs] == [
            "run-2"
        ]
        archived = await store.archived_run("run-1")
        assert archived is not None
        assert (archived.file, archived.run) == ("f.jsonl.gz", structs.replace(run, workflow=b""))
        assert await store.archived_run("run-2") is None

        assert await purge_all(store, limit=2) == {"tasks": 9, "shards": 3, "history": 8, "decisions": 1}
        assert (await store.shards("run-1"), await store.tasks("run-1")) == ([], [])
        assert len(await store.tasks("run-2")) == 3
        assert await known(store, "run-2") == other
        assert await store.decision("place-run-2") is not None
        assert await store.retention_counts() == RetentionCounts(
            ended=1, oldest_finished_at=ENDED, archived=1
        )

    async def test_the_audit_trail_keeps_what_it_is_about(self, store: Store) -> None:
        """Its entries are sealed with the decisions behind them."""
        run = await ended_run(store, "run-1")
        await store.admit(admission("later"))  # the newest entry stays
        before = await store.trail(after=0)
        await take_out(store, run)
        await purge_all(store)
        assert await store.trail(after=0) == structs.replace(before, last=(await store.trail(after=0)).last)
        assert await kinds(store, "run-1") == ["Accepted"]
        assert await store.decision("accept-run-1") is not None
        assert await store.decision("place-run-1") is None

    async def test_acts_on_archived_runs_are_still_of_their_tenant(self, store: Store) -> None:
        """Who may see the tenant's sees them, nobody else does."""
        run = await ended_run(store, "run-1", phase=Phase.FAILED)
        reopened = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 6, actor="ada")
        assert await store.retry("run-1", run=run, decision=asked("again"), entry=reopened)
        await move(store, "run-1", Phase.FAILED)
        assert await take_out(store, await known(store, "run-1")) == [True]
        for tenants, expected in ((("payments",), 1), (("other",), 0), (None, 1)):
            assert len((await store.acts(ActQuery(tenants=tenants))).entries) == expected

    async def test_a_run_that_was_opened_again_is_not_taken(self, store: Store) -> None:
        """Somebody has retried it while its record was written."""
        run = await ended_run(store, "run-1", phase=Phase.FAILED)
        reopened = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 6)
        assert await store.retry("run-1", run=run, decision=asked("again"), entry=reopened)
        assert await take_out(store, run) == [False]
        assert await store.archived_run("run-1") is None
        assert await purge_all(store) == {}
        assert await store.shards("run-1") != []

    async def test_numbers_of_history_are_not_given_twice(self, store: Store) -> None:
        """The trail is sealed in their order: what came under an old number would never be sealed."""
        run = await ended_run(store, "run-1")
        newest = (await store.trail(after=0)).last
        await take_out(store, run)
        await purge_all(store)
        await store.admit(admission("run-2"))
        assert max((await store.trail(after=0)).entries) > newest
