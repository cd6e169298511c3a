"""Tests accepted runs in the API: who sees them, and how they are listed, cancelled and retried."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.core.decision import Action, Obligations, Reason
from gateway.core.history import HistoryKind
from gateway.core.run import TaskRow
from gateway.core.shard_states import Event, advance
from gateway.store.interface import ShardWrite, Store
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.task_phase import TaskPhase

Document = dict[str, Any]
OTHERS = {"authorization": "Bearer science.bob"}
ABOUT_ONE = [
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/logs?task=a"),
    ("GET", "/explain"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
]


async def submitted(client: httpx.AsyncClient, document: Document, **labels: str) -> str:
    document["metadata"]["labels"] = labels
    answer = await client.post("/v1/runs", json=document)
    return str(answer.json()["id"])


async def failed(store: Store, run_id: str) -> None:
    """Ends every shard of the run without success, as the controller would."""
    for shard in await store.shards(run_id):
        over = advance(advance(shard, Event.EXPIRED), Event.EXPIRY_ENFORCED, reason="DeadlineExceeded")
        entry = history_entry(HistoryKind.EXPIRED, run=run_id, shard=shard.index, at=2.0)
        await store.record([ShardWrite(shard=over.with_rev(shard.rev + 1), history=(entry,))], {})


@pytest.mark.parametrize(("method", "rest"), ABOUT_ONE)
async def test_what_the_caller_may_not_see_is_not_there(
    client: httpx.AsyncClient, document: Document, method: str, rest: str
) -> None:
    """Another tenant's run and no run at all look the same: a 403 would tell that it is there."""
    run = await submitted(client, document)
    theirs = await client.request(method, f"/v1/runs/{run}{rest}", headers=OTHERS)
    none = await client.request(method, f"/v1/runs/{'0' * 28}{rest}")

    assert (theirs.status_code, none.status_code) == (404, 404)
    assert {**theirs.json(), "trace_id": ""} == {**none.json(), "trace_id": ""}


async def test_a_list_holds_the_callers_own_runs(client: httpx.AsyncClient, document: Document) -> None:
    """Where policy names no tenants, it is the caller's own, newest first."""
    mine = [await submitted(client, document) for _ in range(3)]
    await client.post("/v1/runs", json=document, headers=OTHERS)

    assert [run["id"] for run in (await client.get("/v1/runs")).json()["items"]] == sorted(mine, reverse=True)
    assert (await client.get("/v1/runs?tenant=science")).json()["items"] == []


async def test_policy_may_let_a_caller_see_more(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """An operator lists all tenants, or one of them."""
    await submitted(client, document)
    await client.post("/v1/runs", json=document, headers=OTHERS)
    rules.obligations = Obligations(tenants=("*",))

    assert len((await client.get("/v1/runs")).json()["items"]) == 2
    assert [run["tenant"] for run in (await client.get("/v1/runs?tenant=science")).json()["items"]] == [
        "science"
    ]


async def test_pages_meet_without_a_gap(client: httpx.AsyncClient, document: Document) -> None:
    """Every run is on exactly one page, also when new ones come in between."""
    runs = [await submitted(client, document) for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (
            await client.get("/v1/runs", params={"limit": 2} | ({"continue": cursor} if cursor else {}))
        ).json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["continue"]
        if cursor:
            await submitted(client, document)

    assert seen == sorted(runs, reverse=True)


async def test_filters_narrow(client: httpx.AsyncClient, document: Document) -> None:
    """By phase and by labels, all of which must hold."""
    wanted = await submitted(client, document, team="data", env="prod")
    await submitted(client, document, team="data")

    found = (await client.get("/v1/runs?phase=Pending&label=team%3Ddata&label=env%3Dprod")).json()["items"]
    assert [run["id"] for run in found] == [wanted]
    assert (await client.get("/v1/runs?phase=Failed")).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "limit=1&limit=2",
        "phase=Done",
        "label=team",
        "label=a%3D1&label=a%3D2",
        "continue=%C3%BC",
        "continue=AAAA",
        "tenants=x",
    ],
)
async def test_a_filter_that_is_not_understood_is_refused(client: httpx.AsyncClient, query: str) -> None:
    """A misspelt filter must not widen an answer."""
    answer = await client.get(f"/v1/runs?{query}")

    assert (answer.status_code, answer.json()["reason"]) == (400, "Malformed")


async def test_a_run_shows_its_shards_and_tasks(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """All that the store knows, the newest of each task."""
    run = await submitted(client, document)
    shard = next(iter(await store.shards(run)))
    placed = advance(shard, Event.INTENDED, epoch=1, region="beijing")
    row = TaskRow(
        run=run,
        shard=0,
        task="a",
        phase=TaskPhase.RUNNING,
        epoch=1,
        region="beijing",
        incarnation="i",
        tries=1,
        started_at=1.0,
    )
    await store.record([ShardWrite(shard=placed.with_rev(shard.rev + 1), tasks=(row,))], {})

    shown = (await client.get(f"/v1/runs/{run}")).json()
    assert (shown["shard_phases"], shown["task_phases"]) == ({"Dispatching": 1, "Pending": 1}, {"Running": 1})
    assert (shown["shards"][0]["region"], shown["tasks"][0]["task"], shown["tasks_left_out"]) == (
        "beijing",
        "a",
        0,
    )
    assert (await client.get(f"/v1/runs/{run}?shard=1")).json()["tasks"] == []
    assert (await client.get(f"/v1/runs/{run}?shard=2")).status_code == 400


async def test_outputs_are_shown_where_they_are_asked_for(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """Three hundred tasks that return 60 KB each made every look at a run 18 MB."""
    run = await submitted(client, document)
    shard = (await store.shards(run))[0]
    placed = advance(shard, Event.INTENDED, epoch=1, region="beijing")
    row = TaskRow(
        run=run,
        shard=0,
        task="a",
        phase=TaskPhase.SUCCEEDED,
        epoch=1,
        region="b",
        incarnation="i",
        tries=1,
        started_at=1.0,
    )
    await store.record(
        [ShardWrite(shard=placed.with_rev(shard.rev + 1), tasks=(structs.replace(row, output={"rows": 7}),))],
        {},
    )

    assert [task["output"] for task in (await client.get(f"/v1/runs/{run}")).json()["tasks"]] == [None]
    assert [
        task["output"] for task in (await client.get(f"/v1/runs/{run}?outputs=true")).json()["tasks"]
    ] == [{"rows": 7}]


async def test_tasks_that_are_left_out_are_counted(
    client: httpx.AsyncClient, store: Store, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is bounded; what it does not show, it names."""
    monkeypatch.setattr("gateway.api.runs.SHOWN_TASKS", 2)
    run = await submitted(client, document)
    shard = (await store.shards(run))[0]
    placed = advance(shard, Event.INTENDED, epoch=1, region="beijing")
    row = TaskRow(
        run=run,
        shard=0,
        task="",
        phase=TaskPhase.SUCCEEDED,
        epoch=1,
        region="b",
        incarnation="i",
        tries=1,
        started_at=1.0,
    )
    await store.record(
        [
            ShardWrite(
                shard=placed.with_rev(shard.rev + 1),
                tasks=tuple(structs.replace(row, task=name) for name in "cabd"),
            )
        ],
        {},
    )

    shown = (await client.get(f"/v1/runs/{run}")).json()
    assert ([task["task"] for task in shown["tasks"]], shown["tasks_left_out"], shown["task_phases"]) == (
        ["a", "b"],
        2,
        {"Succeeded": 4},
    )


async def test_cancel_is_a_wish_that_is_kept(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """202 after it is durable; asking again changes nothing."""
    run = await submitted(client, document)
    first = await client.post(f"/v1/runs/{run}/cancel")
    again = await client.post(f"/v1/runs/{run}/cancel")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["cancel_requested_at"] == again.json()["cancel_requested_at"] is not None
    story = (await client.get(f"/v1/runs/{run}/explain")).json()
    assert [entry["actor"] for entry in story["history"] if entry["kind"] == "CancelRequested"] == ["ada"]


async def test_cancel_needs_its_own_permission(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """A caller who may see a run learns why it may not be cancelled."""
    run = await submitted(client, document)
    rules.refused[Action.RUNS_CANCEL] = Reason(rule="cancel.owner", message="not yours")

    assert (await client.post(f"/v1/runs/{run}/cancel")).status_code == 403
    assert (await client.get(f"/v1/runs/{run}")).json()["cancel_requested_at"] is None


async def test_a_run_that_is_over_cannot_be_cancelled(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """What is done stays done."""
    run = await submitted(client, document)
    await failed(store, run)

    assert (await client.post(f"/v1/runs/{run}/cancel")).status_code == 409


async def test_retry_opens_what_failed_under_a_fresh_decision(
    client: httpx.AsyncClient, store: Store, rules: Any, document: Document
) -> None:
    """Policy may have changed since: the old permission does not count."""
    run = await submitted(client, document)
    await failed(store, run)
    rules.obligations = structs.replace(rules.obligations, regions=("shanghai",))
    answer = await client.post(f"/v1/runs/{run}/retry")

    shown = (await client.get(f"/v1/runs/{run}")).json()
    assert (answer.status_code, shown["shard_phases"], shown["permitted"]) == (
        202,
        {"Pending": 2},
        ["shanghai"],
    )
    assert rules.asked[-2].workflow is not None


async def test_only_what_is_over_without_success_can_be_retried(
    client: httpx.AsyncClient, document: Document
) -> None:
    """A second retry while the first is under way is refused, not doubled."""
    run = await submitted(client, document)

    assert (await client.post(f"/v1/runs/{run}/retry")).status_code == 409


async def test_regions_are_shown_with_their_score(client: httpx.AsyncClient) -> None:
    """As placement compares them: expected seconds until served."""
    found = (await client.get("/v1/regions")).json()["items"]

    assert [(region["name"], region["condition"], region["score"]) for region in found] == [
        ("beijing", "Healthy", pytest.approx(0.01)),
        ("shanghai", "Healthy", pytest.approx(0.01)),
    ]
