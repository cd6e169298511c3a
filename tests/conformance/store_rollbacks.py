"""Conformance tests of stores about alerts and the rollbacks that follow from them."""

from msgspec import structs

from gateway.core.history import DeploymentDetail, HistoryEntry, HistoryKind
from gateway.core.rollback import Alert, ReleaseKind, Rollback, RollbackPhase, RollbackStep
from gateway.store.acts import ActQuery
from gateway.store.interface import Store
from tests.conformance.store_values import NOW


def alert(number: int = 1, *, resolved: bool = False) -> Alert:
    return Alert(
        group="g",
        fingerprint=f"f{number}",
        starts_at="2026",
        name="n",
        kind="policy",
        resolved=resolved,
        received_at=NOW,
    )


def rollback(release: str = "7", phase: RollbackPhase = RollbackPhase.INTENDED) -> Rollback:
    return Rollback(
        alert="n",
        kind=ReleaseKind.POLICY,
        release=release,
        digest="d",
        returns_to="6",
        revision="r",
        steps=(RollbackStep(phase=phase, at=NOW, detail="-", seen={"failovers": 0.0}),),
    )


def after(before: Rollback, phase: RollbackPhase) -> Rollback:
    steps = (*before.steps, RollbackStep(phase=phase, at=NOW + 1, detail="-"))
    return structs.replace(before, rev=before.rev + 1, steps=steps)


class RollbacksConformance:
    """The part of `StoreConformance` about alerts and rollbacks.

    Alerts are taken once, and a release is taken back once, whoever writes.
    """

    async def test_an_alert_is_taken_once_and_settled_for_good(self, store: Store) -> None:
        assert [await store.take_alerts([alert(1), alert(2), alert(1)]) for _ in range(2)] == [2, 0]
        assert (await store.open_alerts(limit=9)).alerts == (alert(1), alert(2))
        assert (await store.open_alerts(limit=1)).alerts == (alert(1),)
        await store.settle_alert(alert(1))
        await store.take_alerts([alert(1)])
        assert (await store.open_alerts(limit=9)).alerts == (alert(2),)

    async def test_open_alerts_are_read_in_pages(self, store: Store) -> None:
        await store.take_alerts([alert(number) for number in range(5)])
        await store.settle_alert(alert(1))
        first = await store.open_alerts(limit=2)
        assert first.alerts == (alert(0), alert(2))
        assert first.next is not None
        rest = await store.open_alerts(limit=2, after=first.next)
        assert (rest.alerts, rest.next) == ((alert(3), alert(4)), None)

    async def test_a_resolved_alert_is_settled_whichever_comes_first(self, store: Store) -> None:
        """Alertmanager may send that it is resolved before it sends that it fires."""
        await store.take_alerts([alert(1), alert(2, resolved=True)])
        await store.take_alerts([alert(1, resolved=True), alert(2)])
        assert (await store.open_alerts(limit=9)).alerts == ()

    async def test_a_release_is_taken_back_once(self, store: Store) -> None:
        """Two alerts, or two gateways, cannot both have done it."""
        await store.take_alerts([alert(1), alert(2)])
        first = await store.write_rollback(rollback(), settles=alert(1))
        assert first is not None
        assert await store.write_rollback(rollback(), settles=alert(2)) is None
        assert (await store.open_alerts(limit=9)).alerts == (alert(2),)
        assert [one.id for one in await store.acted_rollbacks(limit=9)] == [first.id]
        assert await store.write_rollback(rollback("8")) is not None

    async def test_what_is_not_done_may_be_noted_again(self, store: Store) -> None:
        frozen = [await store.write_rollback(rollback(phase=RollbackPhase.FROZEN)) for _ in range(2)]
        assert None not in frozen
        assert await store.acted_rollbacks(limit=9) == []
        assert await store.write_rollback(rollback()) is not None

    async def test_an_act_can_be_recorded_by_itself(self, store: Store) -> None:
        """What another system was asked for changes nothing else in the store."""
        detail = DeploymentDetail(deployment="shop", version="2", returns_to="1", status=201, reason="-")
        kind = HistoryKind.DEPLOYMENT_ROLLED_BACK
        await store.record_act(HistoryEntry(run="", kind=kind, at=NOW, actor="rollback", detail=detail))
        for tenants in (None, ("demo",)):
            (act,) = (await store.acts(ActQuery(tenants=tenants))).entries
            assert (act.kind, act.actor, act.detail) == (kind, "rollback", detail)

    async def test_the_steps_of_a_rollback_follow_each_other(self, store: Store) -> None:
        """Who writes about an older state has overlooked something."""
        first = await store.write_rollback(rollback())
        assert first is not None
        second = after(first, RollbackPhase.DONE)
        assert await store.write_rollback(second) == second
        assert await store.write_rollback(after(first, RollbackPhase.FAILED)) is None
        assert await store.rollback(first.id) == second
        assert await store.rollback(first.id + 1) is None

    async def test_rollbacks_are_listed_newest_first_in_pages(self, store: Store) -> None:
        for release in "123":
            await store.write_rollback(rollback(release))
        page = await store.rollbacks(limit=2)
        rest = await store.rollbacks(limit=2, before=page.next)
        assert [one.release for one in (*page.rollbacks, *rest.rollbacks)] == ["3", "2", "1"]
        assert rest.next is None
