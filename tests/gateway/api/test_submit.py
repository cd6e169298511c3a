"""Tests submissions: what is promised, and how policy's answer changes the run."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from gateway.api.http.services import Services
from gateway.core.decision import Action, Obligations, Reason
from gateway.store.interface import Store

Document = dict[str, Any]


async def test_a_submission_is_answered_after_it_is_stored(
    client: httpx.AsyncClient, document: Document
) -> None:
    """202 is a promise: what it names can be read back at once."""
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 202
    again = await client.get(answer.headers["location"])
    assert again.json()["id"] == answer.json()["id"]
    assert again.json()["shard_phases"] == {"Pending": 2}
    assert again.json()["permitted"] == ["beijing", "shanghai"]


async def test_yaml_is_as_good_as_json(client: httpx.AsyncClient, document: Document) -> None:
    """People write YAML; both are the same document, and the same fingerprint."""
    as_json = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    as_yaml = await client.post(
        "/v1/runs",
        content=yaml.safe_dump(document),
        headers={"content-type": "application/yaml", "idempotency-key": "k"},
    )

    assert (as_yaml.status_code, as_yaml.json()["id"]) == (200, as_json.json()["id"])


async def test_policy_sees_what_will_run(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """Tenant and defaults are filled in before policy is asked: leaving one out evades no rule."""
    await client.post("/v1/runs", json=document)

    seen = msgspec.json.decode(rules.asked[0].workflow)
    assert (seen["metadata"]["tenant"], seen["spec"]["priority"], seen["spec"]["sideEffects"]) == (
        "payments",
        5,
        "idempotent",
    )


async def test_the_same_key_and_document_is_the_same_run(
    client: httpx.AsyncClient, document: Document
) -> None:
    """A client that does not know whether it was heard asks again: there is one run, whatever it does."""
    headers = {"idempotency-key": "nightly-2026-01-01"}
    first, *others = await asyncio.gather(
        *(client.post("/v1/runs", json=document, headers=headers) for _ in range(8))
    )

    assert {answer.json()["id"] for answer in others} == {first.json()["id"]}
    assert sorted(answer.status_code for answer in (first, *others)) == [200] * 7 + [202]
    assert len((await client.get("/v1/runs")).json()["items"]) == 1


async def test_the_same_key_with_another_document_is_refused(
    client: httpx.AsyncClient, document: Document
) -> None:
    """A key stands for one document: answering with the old run would be a lie about the new one."""
    headers = {"idempotency-key": "k"}
    await client.post("/v1/runs", json=document, headers=headers)
    document["metadata"]["name"] = "hourly"
    answer = await client.post("/v1/runs", json=document, headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


async def test_a_key_belongs_to_its_tenant(client: httpx.AsyncClient, document: Document) -> None:
    """Keys of others can neither collide with ours nor tell us of their runs."""
    mine = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    theirs = await client.post(
        "/v1/runs", json=document, headers={"idempotency-key": "k", "authorization": "Bearer science.bob"}
    )

    assert (theirs.status_code, mine.json()["id"] == theirs.json()["id"]) == (202, False)


async def test_a_replay_needs_the_right_to_see_the_run(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """Who may submit but not read must not read by submitting again."""
    await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    rules.refused[Action.RUNS_READ] = Reason(rule="read.never", message="not for you")
    answer = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})

    assert answer.status_code == 403
    assert "id" not in answer.json()


async def test_without_a_key_each_submission_is_a_run(client: httpx.AsyncClient, document: Document) -> None:
    """No key, no promise to recognize it."""
    answers = [await client.post("/v1/runs", json=document) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]


async def test_a_dry_run_stores_nothing(client: httpx.AsyncClient, store: Store, document: Document) -> None:
    """It shows the decision, the plan and every region's score, and leaves no trace."""
    answer = await client.post("/v1/runs?dryRun=true", json=document)

    plan = answer.json()
    assert (answer.status_code, plan["decision"]["allow"], plan["shard_count"]) == (200, True, 2)
    assert [region["name"] for region in plan["regions"]] == ["beijing", "shanghai"]
    assert all(region["score"] == pytest.approx(0.01) for region in plan["regions"])
    assert plan["region"] in ("beijing", "shanghai")
    assert await store.shard_counts() == {}


async def test_obligations_hold(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """What policy obliges is what is stored and will run, and the answer shows it."""
    rules.obligations = Obligations(
        regions=("beijing",),
        max_priority=3,
        max_deadline_seconds=60.0,
        side_effects="exclusive",
        labels={"cost": "42"},
    )
    answer = await client.post("/v1/runs", json=document)

    run = (await client.get(answer.headers["location"])).json()
    assert (run["priority"], run["labels"], run["permitted"]) == (
        3,
        {"team": "data", "cost": "42"},
        ["beijing"],
    )
    assert run["deadline_at"] == pytest.approx(run["created_at"] + 60)
    assert run["workflow"]["spec"]["sideEffects"] == "exclusive"


async def test_a_known_key_stays_known_when_obligations_change(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """The fingerprint is of what was sent: a new cap does not make the same document another one."""
    first = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    rules.obligations = Obligations(regions=("beijing",), max_priority=1)
    again = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize(
    ("obligations", "rule"),
    [
        (Obligations(), "placement.nowhere"),
        (Obligations(regions=("shenzhen",)), "placement.wishes"),
        (Obligations(regions=("beijing",), max_shards=1), "shards.maximum"),
    ],
)
async def test_obligations_that_leave_no_room_refuse(
    client: httpx.AsyncClient, rules: Any, document: Document, obligations: Obligations, rule: str
) -> None:
    """What could never run is refused now, with a reason, and not accepted to wait for ever."""
    document["spec"]["placement"] = {"regions": ["beijing"]}
    rules.obligations = obligations
    answer = await client.post("/v1/runs", json=document)

    assert (answer.status_code, answer.json()["reasons"][0]["rule"]) == (403, rule)


async def test_a_denial_names_every_reason_and_the_decision(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """Who is refused must be able to ask about it by its id."""
    rules.refused[Action.RUNS_SUBMIT] = Reason(rule="scope.missing", message="workflows:submit is missing")
    answer = await client.post("/v1/runs", json=document)

    problem = answer.json()
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="waypost", error="insufficient_scope"'
    assert problem["reasons"] == [{"rule": "scope.missing", "message": "workflows:submit is missing"}]
    assert (problem["decision_id"], problem["retryable"], problem["status"]) == ("d1", False, 403)


async def test_policy_that_cannot_answer_is_a_503(
    client: httpx.AsyncClient, rules: Any, store: Store, document: Document
) -> None:
    """A fault is neither yes nor no: nothing is stored, and the caller is asked to try again."""
    rules.fault = "Timeout"
    answer = await client.post("/v1/runs", json=document)

    assert (answer.status_code, answer.json()["retryable"]) == (503, True)
    assert int(answer.headers["retry-after"]) >= 1
    assert await store.shard_counts() == {}


async def test_a_store_that_cannot_commit_is_a_503(
    client: httpx.AsyncClient, services: Services, store: Any, document: Document
) -> None:
    """No 202 without a commit."""
    await store.__aexit__()
    answer = await client.post("/v1/runs", json=document)
    await store.__aenter__()

    assert (answer.status_code, answer.json()["reason"]) == (503, "Unavailable")


async def test_a_document_with_schema_errors_gets_those_of_its_conditions_too(
    client: httpx.AsyncClient, document: Document
) -> None:
    """Every error at once: whoever mends one must not be told of the next only then."""
    document["spec"]["tasks"][0]["when"] = "1 + 1"
    document["spec"]["tasks"][0]["priority"] = 99
    refused = await client.post("/v1/runs", json=document)

    assert (refused.status_code, {error["pointer"] for error in refused.json()["errors"]}) == (
        422,
        {"/spec/tasks/0/when", "/spec/tasks/0/priority"},
    )


async def test_a_submission_by_name_may_say_its_charset(
    client: httpx.AsyncClient, document: Document
) -> None:
    """Many clients send `application/json; charset=utf-8`, which is JSON as any other."""
    name = document["metadata"]["name"]
    assert (await client.post("/v1/workflows", json=document)).status_code == 201

    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await client.post("/v1/runs", headers=headers, content=msgspec.json.encode({"workflow": name}))

    assert answer.status_code == 202, answer.text
    assert answer.json()["name"] == name


async def test_a_run_keeps_the_trace_of_its_submission(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """Its tasks are found by the trace of whoever submitted it, as are the gateway's log and answer."""
    sent = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": "vendor=1"}
    answer = await client.post("/v1/runs", json=document, headers=sent)

    run = await store.run(answer.json()["id"])
    assert run is not None
    assert run.span is not None
    assert (run.span.trace_id, run.span.flags, run.span.state) == ("ab" * 16, 1, "vendor=1")
    assert answer.headers["traceparent"] == run.span.traceparent
    assert run.span.span_id != "cd" * 8


@pytest.mark.parametrize(
    "sent", [{}, {"traceparent": "00-broken", "tracestate": "vendor=1"}, {"tracestate": "\u00ff"}], ids=str
)
async def test_a_submission_without_a_trace_begins_one(
    client: httpx.AsyncClient, store: Store, document: Document, sent: dict[str, str]
) -> None:
    """A malformed one is as if it were not there; it is never an error."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    answer = await client.post("/v1/runs", json=document, headers=headers)

    run = await store.run(answer.json()["id"])
    assert run is not None
    assert run.span is not None
    assert (len(run.span.trace_id), run.span.flags, run.span.state) == (32, 0, "")


async def test_a_webhook_that_this_gateway_never_calls_is_refused(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    """At once: nobody wants to learn of it when the run has ended."""
    document["spec"]["notify"] = [{"url": "https://hooks.example.com/"}]
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/spec/notify/0/url"]
