"""Conformance tests of stores about released workflows."""

from typing import Any

from msgspec import structs

from gateway.core.history import HistoryEntry, HistoryKind, WorkflowDetail
from gateway.core.principal import Principal
from gateway.core.workflow_release import ReleasedWorkflow, ReleaseStep, after_apply, after_step
from gateway.store.acts import ActQuery
from gateway.store.workflows import StagedWorkflow
from tests.conformance.store_values import NOW, Open


def entry(tenant: str = "payments") -> HistoryEntry:
    detail = WorkflowDetail(tenant=tenant, workflow="nightly", version=1, digest="d", decision_id="d1")
    return HistoryEntry(run="", kind=HistoryKind.WORKFLOW_APPLIED, at=NOW, actor="ada", detail=detail)


def applied(workflow: ReleasedWorkflow, digest: str) -> ReleasedWorkflow:
    return after_apply(workflow, digest=digest, source="", by="ada", at=NOW)


def workflow(name: str = "nightly", tenant: str = "payments") -> ReleasedWorkflow:
    return applied(ReleasedWorkflow(tenant=tenant, name=name), "d1")


class WorkflowsConformance:
    """The part of `StoreConformance` about released workflows."""

    async def test_a_workflow_changes_only_from_the_state_that_was_read(self, open_store: Open) -> None:
        """Two versions at once are two; what was not written has neither document nor history."""
        one = workflow()
        two, other = applied(one, "d2"), applied(one, "d3")
        async with open_store() as store:
            written = [
                await store.write_workflow(each, entry=entry(), document=each.versions[-1].digest.encode())
                for each in (one, one, two, other, structs.replace(two, rev=9))
            ]
            assert written == [True, False, True, False, False]
            assert len(await store.history("")) == 2
        async with open_store() as store:
            assert await store.released_workflow("payments", "nightly") == two
            assert await store.released_workflow("research", "nightly") is None
            documents = [await store.workflow_document("payments", "nightly", number) for number in (1, 2, 3)]
            assert documents == [b"d1", b"d2", None]

    async def test_workflows_are_listed_by_tenant_and_name_in_pages(self, open_store: Open) -> None:
        async with open_store() as store:
            for one in (workflow("b"), workflow("a"), workflow("a", "research")):
                assert await store.write_workflow(one, entry=entry(one.tenant), document=b"{}")
            page = await store.released_workflows(tenants=None, limit=2)
            rest = await store.released_workflows(tenants=None, limit=2, after=page.next or ("", ""))
            found = [(one.tenant, one.name) for one in (*page.workflows, *rest.workflows)]
            assert found == [("payments", "a"), ("payments", "b"), ("research", "a")]
            assert rest.next is None
            counts = [await store.count_workflows(tenant) for tenant in ("payments", "research", "other")]
            assert counts == [2, 1, 0]
            own = await store.released_workflows(tenants=("research",), limit=2)
            assert [one.tenant for one in own.workflows] == ["research"]
            assert (await store.released_workflows(tenants=(), limit=2)).workflows == ()

    async def test_documents_of_versions_that_are_not_kept_are_deleted(self, open_store: Open) -> None:
        one = workflow()
        two = applied(one, "d2")
        alone = structs.replace(two, versions=two.versions[1:])
        async with open_store() as store:
            await store.write_workflow(one, entry=entry(), document=b"1")
            await store.write_workflow(alone, entry=entry(), document=b"2")
            documents = [await store.workflow_document("payments", "nightly", number) for number in (1, 2)]
            assert documents == [None, b"2"]

    async def test_a_canary_with_further_shares_is_staged_for_who_asked(self, open_store: Open) -> None:
        """Until none is left, or the canary has ended; in pages."""
        one = applied(workflow(), "d2")
        act: dict[str, Any] = {"by": "ada", "at": NOW}
        begun = after_step(one, ReleaseStep.CANARY, 2, percent=5.0, steps=(25.0, 100.0), **act)
        next_one = after_step(begun, ReleaseStep.CANARY, 2, percent=25.0, steps=(100.0,), **act)
        stable = after_step(next_one, ReleaseStep.PROMOTE, 2, **act)
        ada = Principal(subject="ada", issuer="i", tenant="payments", scopes=("a", "b"), groups=("c",))
        async with open_store() as store:
            for each in (workflow(), one, workflow("b")):
                await store.write_workflow(each, entry=entry(), document=b"{}", asked_by=ada)
            assert await store.staged_workflows(limit=9) == []
            await store.write_workflow(begun, entry=entry(), asked_by=ada)
            await store.write_workflow(next_one, entry=entry())
            found = StagedWorkflow(workflow=next_one, asked_by=ada)
            assert await store.staged_workflows(limit=9) == [found]
            assert await store.staged_workflows(limit=9, after=("payments", "nightly")) == []
            await store.write_workflow(stable, entry=entry())
            assert await store.staged_workflows(limit=9) == []

    async def test_what_was_done_to_a_workflow_is_an_act_that_its_tenant_sees(self, open_store: Open) -> None:
        async with open_store() as store:
            await store.write_workflow(workflow(), entry=entry(), document=b"{}")
            seen = [
                len((await store.acts(ActQuery(tenants=tenants))).entries)
                for tenants in (("payments",), ("research",), None)
            ]
            assert seen == [1, 0, 1]
