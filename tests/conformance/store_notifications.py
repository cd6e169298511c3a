"""Conformance tests of stores about notifications, which they keep until they are delivered."""

from collections.abc import Mapping

from gateway.core.history import HistoryKind
from gateway.core.run import RunPhase
from gateway.core.shard_states import Phase
from gateway.store.interface import Store
from gateway.store.notifications.fair_claim import ClaimRoom
from gateway.store.retention import ArchivedRun
from tests.conformance.store_values import NOW, Open, admission, known, move
from tests.gateway.core.history_entries import history_entry

DOCUMENT = (
    b'{"spec":{"notify":[{"url":"https://a.test/x","on":["Failed"]},'
    b'{"url":"https://b.test/y","on":["Succeeded","Failed","Cancelled"]}]}}'
)


def room(limit: int, sending: Mapping[tuple[str, str], int] | None = None) -> ClaimRoom:
    return ClaimRoom(limit=limit, of_one_tenant=4, to_one_host=2, sending=sending or {})


class NotificationsConformance:
    """The part of `StoreConformance` about notifications."""

    async def test_the_end_of_a_run_is_to_be_notified_once_to_each_who_asked(self, open_store: Open) -> None:
        """From the commit that ends it on, whatever happens to the gateway; not before, and to no others."""
        async with open_store() as store:
            await store.admit(admission("run-1", shards=2, workflow=DOCUMENT))
            await store.admit(admission("run-2", workflow=b'{"spec":{"notify":[]}}'))
            await move(store, "run-1", Phase.SUCCEEDED)
            await move(store, "run-2", Phase.FAILED)
            assert await store.claim_notifications(now=NOW + 99, until=NOW + 100, room=room(9)) == ()
            await move(store, "run-1", Phase.SUCCEEDED, index=1)
        async with open_store() as store:
            (found,) = await store.claim_notifications(now=NOW + 99, until=NOW + 120, room=room(9))
            assert (found.run, found.url, found.phase) == ("run-1", "https://b.test/y", RunPhase.SUCCEEDED)
            assert (found.at, found.tries) == (NOW + 5, 0)

    async def test_a_claimed_notification_comes_again_if_nobody_settles_it(self, store: Store) -> None:
        """Its gateway may have died while it was sending."""
        await store.admit(admission("run-1", workflow=DOCUMENT))
        await move(store, "run-1", Phase.FAILED)
        first = await store.claim_notifications(now=NOW + 10, until=NOW + 30, room=room(1))
        assert [one.url for one in first] == ["https://a.test/x"]
        second = await store.claim_notifications(now=NOW + 10, until=NOW + 30, room=room(9))
        assert [one.url for one in second] == ["https://b.test/y"]
        assert not await store.claim_notifications(now=NOW + 29, until=NOW + 50, room=room(9))
        await store.put_off_notification(first[0].id, tries=1, until=NOW + 30)
        again = await store.claim_notifications(now=NOW + 30, until=NOW + 50, room=room(9))
        assert [(one.url, one.tries) for one in again] == [("https://b.test/y", 0), ("https://a.test/x", 1)]

    async def test_a_settled_notification_is_history(self, store: Store) -> None:
        await store.admit(admission("run-1", workflow=DOCUMENT))
        await move(store, "run-1", Phase.FAILED)
        for one in await store.claim_notifications(now=NOW + 10, until=NOW + 11, room=room(9)):
            told = history_entry(HistoryKind.NOTIFIED, run="run-1", at=NOW + 10)
            await store.end_notification(one.id, entry=told)
        assert not await store.claim_notifications(now=NOW + 99, until=NOW + 100, room=room(9))
        kinds = [entry.kind for entry in await store.history("run-1")]
        assert kinds.count(HistoryKind.NOTIFIED) == 2

    async def test_tenants_and_hosts_take_turns(self, store: Store) -> None:
        """One that has hundreds due, or whose host does not answer, delays no other."""
        for number in range(6):
            await store.admit(admission(f"run-{number}", workflow=DOCUMENT))
            await move(store, f"run-{number}", Phase.FAILED)
        await store.admit(admission("zrun", tenant="demo", workflow=DOCUMENT))
        await move(store, "zrun", Phase.FAILED)

        async def claimed(room: ClaimRoom) -> list[tuple[str, str]]:
            found = await store.claim_notifications(now=NOW + 10, until=NOW + 90, room=room)
            return sorted((one.tenant, one.host) for one in found)

        assert await claimed(room(2)) == [("demo", "a.test"), ("payments", "a.test")]
        under_way = {("payments", "a.test"): 2}
        assert await claimed(room(9, under_way)) == [
            ("demo", "b.test"),
            ("payments", "b.test"),
        ]
        under_way = {("payments", "a.test"): 1, ("payments", "b.test"): 2}
        assert await claimed(room(9, under_way)) == [("payments", "a.test")]
        assert await claimed(room(9, {("payments", f"{name}.test"): 1 for name in "cdef"})) == []
        assert await claimed(room(0)) == []
        backlog = await store.notification_backlog()
        assert (backlog.waiting, backlog.due_at) == (14, NOW + 5)

    async def test_what_is_settled_after_its_run_was_archived_leaves_no_history(self, store: Store) -> None:
        """A receiver may be away for longer than a run is kept, and nothing would delete the entry."""
        await store.admit(admission("run-1", workflow=DOCUMENT))
        await move(store, "run-1", Phase.SUCCEEDED)
        (one,) = await store.claim_notifications(now=NOW + 10, until=NOW + 11, room=room(9))
        run = await known(store, "run-1")
        await store.archive_runs([ArchivedRun(run=run, file="f.jsonl.gz", archived_at=NOW + 9)])
        while (await store.purge(limit=99, maximum_bytes=99_999)).more:
            pass
        before = await store.history("run-1")
        await store.end_notification(
            one.id, entry=history_entry(HistoryKind.NOTIFIED, run="run-1", at=NOW + 10)
        )
        assert await store.history("run-1") == before
        assert not await store.claim_notifications(now=NOW + 99, until=NOW + 100, room=room(9))
