"""Conformance tests of stores about policy exceptions."""

from msgspec import structs

from gateway.core.history import ExceptionDetail, HistoryEntry, HistoryKind
from gateway.core.policy_exception import PolicyException
from gateway.store.exceptions import ExceptionQuery
from tests.conformance.store_values import NOW, Open

ENTRY = HistoryEntry(
    run="",
    kind=HistoryKind.EXCEPTION_ASKED,
    at=NOW,
    actor="ada",
    detail=ExceptionDetail(
        exception="e1",
        rule="image.banned",
        tenant="payments",
        reason="r",
        ticket="t",
        expires_at=NOW + 60,
        decision_id="d",
    ),
)


def exception(number: int, tenant: str = "payments", seconds: float = 60.0) -> PolicyException:
    return PolicyException(
        id=f"e{number}",
        rule="image.banned",
        tenant=tenant,
        reason="r",
        ticket="t",
        asked_by="ada",
        asked_at=NOW,
        expires_at=NOW + seconds,
    )


class ExceptionsConformance:
    """The part of `StoreConformance` about policy exceptions."""

    async def test_an_exception_changes_only_from_the_state_that_was_read(self, open_store: Open) -> None:
        """Two approvals at once are two approvals; and what was not written has no history."""
        one = exception(1)
        next_one = structs.replace(one, rev=2, revoked_by="bob")
        async with open_store() as store:
            writes = [one, one, next_one, next_one, structs.replace(one, rev=4)]
            written = [await store.write_exception(write, entry=ENTRY) for write in writes]

            assert written == [True, False, True, False, False]
            assert len(await store.history("")) == 2
        async with open_store() as store:
            assert await store.exception("e1") == next_one
            assert await store.exception("e2") is None

    async def test_exceptions_are_listed_newest_first_by_tenant_page_and_whether_they_are_over(
        self, open_store: Open
    ) -> None:
        async with open_store() as store:
            for one in (
                exception(1),
                exception(2, "research"),
                exception(3, seconds=-1),
                exception(4),
                exception(5),
            ):
                await store.write_exception(one, entry=ENTRY)
            await store.write_exception(structs.replace(exception(4), rev=2, revoked_by="bob"), entry=ENTRY)

            async def ids(**query: object) -> list[str]:
                found = await store.exceptions(structs.replace(ExceptionQuery(), **query))
                return [one.id for one in found.exceptions]

            assert await ids() == ["e5", "e4", "e3", "e2", "e1"]
            assert await ids(tenants=("payments",), open_at=NOW) == ["e5", "e1"]
            page = await store.exceptions(ExceptionQuery(limit=2))
            assert page.next == "e4"
            assert await ids(before=page.next) == ["e3", "e2", "e1"]

    async def test_expired_exceptions_are_forgotten_after_a_time(self, open_store: Open) -> None:
        """Those that are still asked for stay, and so do those that would not have expired yet."""
        async with open_store() as store:
            for one in (exception(1), exception(2, seconds=70.0), exception(3, seconds=900.0)):
                assert await store.write_exception(one, entry=ENTRY)
            assert await store.forget_exceptions(before=NOW + 60, limit=9) == 0
            assert await store.forget_exceptions(before=NOW + 80, limit=1) == 1
            assert await store.exception("e1") is None
            assert await store.forget_exceptions(before=NOW + 80, limit=9) == 1
            assert await store.exception("e3") is not None
