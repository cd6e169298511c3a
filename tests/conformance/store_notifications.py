"""Conformance tests of stores about notifications, which they keep until they are delivered."""

from gateway.core.history import HistoryKind
from gateway.core.run import RunPhase
from gateway.core.shard_states import Phase
from gateway.store.interface import Store
from tests.conformance.store_values import NOW, Open, admission, move
from tests.gateway.core.history_entries import history_entry

DOCUMENT = (
    b'{"spec":{"notify":[{"url":"https://a.test/x","on":["Failed"]},'
    b'{"url":"https://b.test/y","on":["Succeeded","Failed","Cancelled"]}]}}'
)


class NotificationsConformance:
    """The part of `StoreConformance` about notifications."""

    async def test_the_end_of_a_run_is_to_be_notified_once_to_each_who_asked(self, open_store: Open) -> None:
        """From the commit that ends it on, whatever happens to the gateway; not before, and to no others."""
        async with open_store() as store:
            await store.admit(admission("run-1", shards=2, workflow=DOCUMENT))
            await store.admit(admission("run-2", workflow=b'{"spec":{"notify":[]}}'))
            await move(store, "run-1", Phase.SUCCEEDED)
            await move(store, "run-2", Phase.FAILED)
            assert await store.claim_notifications(now=NOW + 99, until=NOW + 100, limit=9) == ()
            await move(store, "run-1", Phase.SUCCEEDED, index=1)
        async with open_store() as store:
            (found,) = await store.claim_notifications(now=NOW + 99, until=NOW + 120, limit=9)
            assert (found.run, found.url, found.phase) == ("run-1", "https://b.test/y", RunPhase.SUCCEEDED)
            assert (found.at, found.tries) == (NOW + 5, 0)

    async def test_a_claimed_notification_comes_again_if_nobody_settles_it(self, store: Store) -> None:
        """Its gateway may have died while it was sending."""
        await store.admit(admission("run-1", workflow=DOCUMENT))
        await move(store, "run-1", Phase.FAILED)
        first = await store.claim_notifications(now=NOW + 10, until=NOW + 30, limit=1)
        assert [one.url for one in first] == ["https://a.test/x"]
        second = await store.claim_notifications(now=NOW + 10, until=NOW + 30, limit=9)
        assert [one.url for one in second] == ["https://b.test/y"]
        assert not await store.claim_notifications(now=NOW + 29, until=NOW + 50, limit=9)
        await store.put_off_notification(first[0].id, tries=1, until=NOW + 30)
        again = await store.claim_notifications(now=NOW + 30, until=NOW + 50, limit=9)
        assert [(one.url, one.tries) for one in again] == [("https://b.test/y", 0), ("https://a.test/x", 1)]

    async def test_a_settled_notification_is_history(self, store: Store) -> None:
        await store.admit(admission("run-1", workflow=DOCUMENT))
        await move(store, "run-1", Phase.FAILED)
        for one in await store.claim_notifications(now=NOW + 10, until=NOW + 11, limit=9):
            told = history_entry(HistoryKind.NOTIFIED, run="run-1", at=NOW + 10)
            await store.end_notification(one.id, entry=told)
        assert not await store.claim_notifications(now=NOW + 99, until=NOW + 100, limit=9)
        kinds = [entry.kind for entry in await store.history("run-1")]
        assert kinds.count(HistoryKind.NOTIFIED) == 2
